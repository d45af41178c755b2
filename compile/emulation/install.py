"""Fetch the emulators: `python -m compile.emulation.install` (or `make emulators`).

Each component is made in a folder of its own beside the final one and moved there when it is whole and was seen to run,
so that a failed download leaves what there was. What is there already, and of the right version, is left alone.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from compile.emulation import locations, pins
from compile.emulation.debian import Debian, FetchError, unpack
from compile.support.process import Finished, run_tool

_SECONDS = 300.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class State:
    """Whether a component can be used.

    Attributes:
        name: The component.
        summary: What it is for.
        usable: Whether it is there.
        source: Its version and where it is, or what is missing.
    """

    name: str
    summary: str
    usable: bool
    source: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Install, or say what is there.

    Returns:
        Exit status: 0 when every component that was asked for can be used.
    """
    parser = argparse.ArgumentParser(
        prog="python -m compile.emulation.install",
        description="Fetch the emulators from Debian's archive, without root.",
    )
    parser.add_argument("components", nargs="*", metavar="COMPONENT", help=f"only these: {', '.join(_COMPONENTS)}")
    parser.add_argument("--check", action="store_true", help="fetch nothing, say what is there")
    parser.add_argument("--json", action="store_true", help="with --check: as JSON")
    parser.add_argument("--own", action="store_true", help="do not use the system's packages")
    options = parser.parse_args(arguments)
    names = options.components or list(_COMPONENTS)
    unknown = [name for name in names if name not in _COMPONENTS]
    if unknown:
        parser.error(f"no component {unknown[0]!r}; there are: {', '.join(_COMPONENTS)}")
    if options.check:
        states = survey_components(names)
        sys.stdout.write(
            json.dumps([_as_json(state) for state in states], indent=2) + "\n" if options.json else _table(states)
        )
        return 0 if all(state.usable for state in states) else 1
    failed = install(names, _say, own=options.own)
    for name, reason in failed.items():
        _say(f"{name}: not installed. {reason}")
    if failed:
        _say(
            "what was there before is unchanged; run `make emulators` again to go on. Without it, what needs these is reported as unverified."
        )
    return 1 if failed else 0


def survey_components(names: Sequence[str] | None = None) -> list[State]:
    """Say of components, by default of all, whether they can be used."""
    return [_COMPONENTS[name].state() for name in (_COMPONENTS if names is None else names)]


def install(names: Sequence[str], say: Say, own: bool = False) -> dict[str, str]:
    """Make components usable.

    Args:
        names: Components.
        say: Told of progress.
        own: Whether to fetch even what the system has.

    Returns:
        Per component that is not usable now, why.
    """
    failed: dict[str, str] = {}
    missing = [name for name in names if not _COMPONENTS[name].ready(own)]
    if not missing:
        return failed
    folder = locations.emulators_folder()
    with _alone(folder, say), _scratch(folder) as scratch:
        archive = Archive(scratch, say, own)
        for name in missing:
            component = _COMPONENTS[name]
            if component.ready(own):
                continue  # by another process, meanwhile
            begin = time.monotonic()
            try:
                _replace(component, folder / name, scratch / name, archive)
            except (FetchError, OSError) as error:
                failed[name] = str(error)
            else:
                say(f"{name}: {component.state().source} ({time.monotonic() - begin:.0f} s)")
    return failed


class Archive:
    """Where components come from: Debian's archive, for the two architectures, and the Python package index."""

    def __init__(self, scratch: Path, say: Say, own: bool) -> None:
        self.say = say
        self.own = own
        self.debian = Debian(scratch / "apt", None, say)
        self.debian_arm64 = Debian(scratch / "apt", "arm64", say)


@dataclass(frozen=True, slots=True)
class Component:
    """One thing to install.

    Attributes:
        name: Its name and that of its folder.
        summary: What it is for.
        wanted: What its record has to say for it to be left alone.
        build: Fills a new folder, sees that it runs, and returns what else to record.
        source: Says what would be used, or None.
        system: Whether the system's own would do.
    """

    name: str
    summary: str
    wanted: Callable[[], dict[str, object]]
    build: Callable[[Path, Archive], dict[str, object]]
    source: Callable[[], str | None]
    system: Callable[[], bool] = lambda: False

    def ready(self, own: bool) -> bool:
        """Return whether there is nothing to fetch."""
        record = locations.read_record(locations.emulators_folder() / self.name)
        if record and all(record.get(key) == value for key, value in self.wanted().items()):
            return True
        return not own and self.system()

    def state(self) -> State:
        """Return what is there."""
        source = self.source()
        return State(self.name, self.summary, source is not None, source or "missing: make emulators")


def _replace(component: Component, folder: Path, fresh: Path, archive: Archive) -> None:
    """Build a component beside its place, then put it there."""
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    record = component.build(fresh, archive)
    locations.write_record(fresh, component.wanted() | record)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(fresh, folder)


def _build_qemu(folder: Path, archive: Archive) -> dict[str, object]:
    taken: dict[str, object] = {}
    failures: list[str] = []
    for source in pins.QEMU_PACKAGES:
        names = [f"qemu-{architecture}{source.suffix}" for architecture in pins.QEMU_ARCHITECTURES]
        if source.suffix and not archive.own and all(shutil.which(name) for name in names):
            continue  # the system's own does
        try:
            package = archive.debian.download([source.package], source.suite)[0]
            unpack(package, folder / "unpacked", [f"usr/bin/{name}" for name in names])
        except FetchError as error:
            failures.append(str(error))
            continue
        (folder / source.folder).mkdir()
        for name in names:
            os.replace(folder / "unpacked" / "usr" / "bin" / name, folder / source.folder / name)
            _see(run_tool([folder / source.folder / name, "--version"], _SECONDS), name)
        taken |= _versions([package])
        package.unlink()
    shutil.rmtree(folder / "unpacked", ignore_errors=True)
    if len(failures) == len(pins.QEMU_PACKAGES):
        raise FetchError("; ".join(failures))
    for failure in failures:
        archive.say(f"going on with one emulator of two: {failure}")
    return {"packages": taken}


def _build_counter(folder: Path, archive: Archive) -> dict[str, object]:
    packages = archive.debian.download_missing([pins.COUNTING_PACKAGE])
    program = "usr/bin/qemu-aarch64"
    for package in packages:
        own = package.name.startswith(f"{pins.COUNTING_PACKAGE}_")
        unpack(package, folder / "root", [program] if own else [])
    if not (folder / "root" / program).is_file():
        raise FetchError(f"{pins.COUNTING_PACKAGE} holds no {program}")
    return {"packages": _versions(packages)}


def _build_aarch64(folder: Path, archive: Archive) -> dict[str, object]:
    place = locations.aarch64_in(folder)
    packages = archive.debian_arm64.download(pins.AARCH64_PACKAGES)
    for package in packages:
        unpack(package, place.root)
    wheels = _wheels()
    archive.say(f"fetching {', '.join(f'{name} {number}' for name, number in wheels.items())} for aarch64")
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--no-compile",
        "--only-binary=:all:",
    ]
    command += [
        "--implementation=cp",
        f"--python-version={pins.AARCH64_PYTHON}",
        *(f"--platform={tag}" for tag in pins.AARCH64_PLATFORMS),
    ]
    finished = run_tool(
        [*command, "--target", place.site, *(f"{name}=={number}" for name, number in wheels.items())], _SECONDS
    )
    if finished.code:
        raise FetchError(
            f"pip {finished.ending}: {(finished.diagnostics.strip().splitlines() or ['it said nothing'])[-1]}"
        )
    emulator = next(locations.qemus("aarch64"), None)
    if emulator is None:
        raise FetchError("there is no qemu-aarch64 to see whether it runs")
    archive.say("compiling its modules to bytecode, which every later start uses")
    libraries = place.root / "usr" / "lib" / f"python{pins.AARCH64_PYTHON}"
    # Skipped: what a parser never imports.
    skip = r"/(lib2to3|idlelib|distutils|pydoc_data|unittest|tests?|turtledemo)/"
    start: list[str | Path] = [emulator.path, "-L", place.root, place.python, "-I"]
    _see(
        run_tool([*start, "-c", "import platform, ctypes, ssl; assert platform.machine() == 'aarch64'"], _SECONDS),
        "the Python for aarch64",
    )
    for target in (libraries, place.site):
        _see(
            run_tool([*_compiler(start), "-q", "-x", skip, target], _SECONDS),
            "compiling the Python modules for aarch64",
        )
    imports = f"import sys; sys.path.insert(0, {str(place.site)!r}); import numpy, msgspec, ml_dtypes, iree.runtime"
    _see(run_tool([*start, "-c", imports], _SECONDS), "the Python packages for aarch64")
    return {"packages": _versions(packages)}


def _compiler(start: list[str | Path]) -> list[str | Path]:
    """Return the command that compiles Python modules:

    this Python's own where its bytecode is the same, since the emulated one takes a minute.
    """
    same = (
        f"{sys.version_info.major}.{sys.version_info.minor}" == pins.AARCH64_PYTHON
        and sys.implementation.name == "cpython"
    )
    return [*([sys.executable, "-I"] if same else start), "-m", "compileall"]


def _build_lavapipe(folder: Path, archive: Archive) -> dict[str, object]:
    packages = archive.debian.download_missing(pins.LAVAPIPE_PACKAGES)
    for package in packages:
        unpack(package, folder / "root")
    final = locations.emulators_folder() / "lavapipe"
    library = next(folder.glob("root/usr/lib/*/libvulkan_lvp.so"), None)
    if library is None:
        raise FetchError(f"{pins.LAVAPIPE_PACKAGES[0]} holds no lavapipe")
    _write_manifest(folder / "lvp_icd.json", final / library.relative_to(folder))
    return {"packages": _versions(packages)}


def _build_swiftshader(folder: Path, archive: Archive) -> dict[str, object]:
    package = archive.debian.download([pins.SWIFTSHADER_PACKAGE])[0]
    unpack(package, folder / "unpacked", pins.SWIFTSHADER_FILES)
    for name in pins.SWIFTSHADER_FILES:
        os.replace(folder / "unpacked" / name, folder / Path(name).name)
    shutil.rmtree(folder / "unpacked")
    return {"packages": _versions([package])}


def _build_compilers(folder: Path, archive: Archive) -> dict[str, object]:
    packages = archive.debian.download_missing([name for names in pins.CROSS_COMPILERS.values() for name in names])
    for package in packages:
        unpack(package, folder / "root")
    (folder / "empty.c").write_text("int main(void) { return 0; }\n", encoding="utf-8")
    for prefix in pins.CROSS_COMPILERS:
        compiler = locations.cross_compiler_in(folder, prefix)
        if compiler is None:
            raise FetchError(f"the packages hold no {prefix}gcc")
        _see(
            run_tool(
                [compiler.path, "-static", folder / "empty.c", "-o", folder / "empty"],
                _SECONDS,
                environment=compiler.environment,
            ),
            compiler.path.name,
        )
    return {"packages": _versions(packages)}


def _versions(packages: Sequence[Path]) -> dict[str, object]:
    """Return the version of each package by its name, from the names of the files."""
    parts = [package.name.split("_") for package in packages]
    return {name: number.replace("%3a", ":") for name, number, _ in parts}


def _write_manifest(path: Path, library: Path) -> None:
    manifest = {"file_format_version": "1.0.0", "ICD": {"library_path": str(library), "api_version": "1.3.230"}}
    path.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _see(finished: Finished, what: str) -> None:
    if finished.code:
        raise FetchError(f"{what} does not run here: it {finished.ending}")


def _wheels() -> dict[str, str]:
    return {name: version(name) for name in pins.AARCH64_WHEELS}


def _qemu_source() -> str | None:
    found = list(locations.qemus("aarch64"))
    return ", ".join(f"{qemu.version} in {qemu.path.parent}" for qemu in found) or None


def _counter_source() -> str | None:
    qemu = locations.counting_qemu()
    return None if qemu is None else f"{qemu.version} in {qemu.path.parent}"


def _compilers_source() -> str | None:
    found = [locations.cross_compiler(prefix) for prefix in pins.CROSS_COMPILERS]
    return ", ".join(str(compiler.path) for compiler in found if compiler is not None) if all(found) else None


def _aarch64_source() -> str | None:
    place = locations.aarch64()
    if place is None or next(locations.qemus("aarch64"), None) is None:
        return None
    wheels = locations.read_record(place.root.parent)["wheels"]
    assert isinstance(wheels, dict)
    return f"Python {pins.AARCH64_PYTHON} with {', '.join(f'{name} {number}' for name, number in wheels.items())} in {place.root.parent}"


def _driver_source(find: Callable[[], locations.Driver | None]) -> Callable[[], str | None]:
    def source() -> str | None:
        driver = find()
        return str(driver.manifest) if driver is not None else None

    return source


_COMPONENTS = {
    component.name: component
    for component in (
        Component(
            "qemu",
            "runs programs for other processors, aarch64 above all",
            lambda: {
                "architectures": list(pins.QEMU_ARCHITECTURES),
                "sources": [f"{source.package}/{source.suite}" for source in pins.QEMU_PACKAGES],
            },
            _build_qemu,
            _qemu_source,
        ),
        Component(
            "aarch64",
            "the runtime and a whole Python for 64-bit ARM",
            lambda: {"debian": list(pins.AARCH64_PACKAGES), "wheels": _wheels()},
            _build_aarch64,
            _aarch64_source,
        ),
        Component(
            "counter",
            "counts executed instructions",
            lambda: {"debian": [pins.COUNTING_PACKAGE]},
            _build_counter,
            _counter_source,
        ),
        Component(
            "compilers",
            "builds parsers in C for 32-bit ARM and RISC-V",
            lambda: {"debian": [list(names) for names in pins.CROSS_COMPILERS.values()]},
            _build_compilers,
            _compilers_source,
            lambda: _compilers_source() is not None,
        ),
        Component(
            "lavapipe",
            "Mesa's Vulkan on the processor",
            lambda: {"debian": list(pins.LAVAPIPE_PACKAGES)},
            _build_lavapipe,
            _driver_source(locations.lavapipe),
            lambda: locations.lavapipe() is not None,
        ),
        Component(
            "swiftshader",
            "Google's Vulkan on the processor",
            lambda: {"debian": [pins.SWIFTSHADER_PACKAGE]},
            _build_swiftshader,
            _driver_source(locations.swiftshader),
        ),
    )
}


@contextmanager
def _alone(folder: Path, say: Say) -> Iterator[None]:
    """Keep other processes from installing into the same folder at the same time."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another process that installs them")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """Give a folder on the same disk, empty, that is gone afterwards."""
    place = folder / ".fetching"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _as_json(state: State) -> dict[str, object]:
    return {"name": state.name, "summary": state.summary, "usable": state.usable, "source": state.source}


def _table(states: Sequence[State]) -> str:
    wide = max(len(state.name) for state in states)
    wider = max(len(state.summary) for state in states)
    return "".join(f"{state.name:<{wide}}  {state.summary:<{wider}}  {state.source}\n" for state in states)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
