"""Making components: packages are fetched, unpacked into a new folder, and run once.

Every `build_*` function fills an empty folder and returns what the component's record says about its content. All of
them raise `FetchError` where something cannot be had or does not run.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from compile.emulation import locations, pins
from compile.emulation.debian import Debian, FetchError, unpack
from compile.support.process import Finished, run_tool

_SECONDS = 300.0

Say = Callable[[str], None]


class Archive:
    """Debian's archive for two architectures, and the settings of an installation."""

    def __init__(self, scratch: Path, say: Say, own: bool) -> None:
        """Fetch nothing yet.

        Args:
            scratch: Folder for what is fetched.
            say: Called with what is being done.
            own: Whether to fetch even what the system has.
        """
        self.say = say
        self.own = own
        self.debian = Debian(scratch / "apt", None, say)
        self.debian_arm64 = Debian(scratch / "apt", "arm64", say)


def build_qemu(folder: Path, archive: Archive) -> dict[str, object]:
    """Fetch the emulators of user programs, as far as the system lacks them."""
    taken: dict[str, object] = {}
    failures: list[str] = []
    for source in pins.QEMU_PACKAGES:
        names = [f"qemu-{architecture}{source.suffix}" for architecture in pins.QEMU_ARCHITECTURES]
        if source.suffix and not archive.own and all(shutil.which(name) for name in names):
            continue  # the system has them
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


def build_counter(folder: Path, archive: Archive) -> dict[str, object]:
    """Fetch the emulator that can load a plugin, with the libraries that it needs."""
    packages = archive.debian.download_missing([pins.COUNTING_PACKAGE])
    program = "usr/bin/qemu-aarch64"
    for package in packages:
        own = package.name.startswith(f"{pins.COUNTING_PACKAGE}_")
        unpack(package, folder / "root", [program] if own else [])
    if not (folder / "root" / program).is_file():
        raise FetchError(f"{pins.COUNTING_PACKAGE} holds no {program}")
    return {"packages": _versions(packages)}


def build_aarch64(folder: Path, archive: Archive) -> dict[str, object]:
    """Fetch a whole Python for 64-bit ARM, with the runtime, and compile its modules to bytecode."""
    installed = locations.aarch64_in(folder)
    packages = archive.debian_arm64.download(pins.AARCH64_PACKAGES)
    for package in packages:
        unpack(package, installed.root)
    wheels = wheel_versions()
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
        [*command, "--target", installed.site, *(f"{name}=={number}" for name, number in wheels.items())], _SECONDS
    )
    if finished.code:
        raise FetchError(
            f"pip {finished.ending}: {(finished.diagnostics.strip().splitlines() or ['it said nothing'])[-1]}"
        )
    emulator = next(locations.qemus("aarch64"), None)
    if emulator is None:
        raise FetchError("there is no qemu-aarch64 to see whether it runs")
    archive.say("compiling its modules to bytecode, which every later start uses")
    libraries = installed.root / "usr" / "lib" / f"python{pins.AARCH64_PYTHON}"
    # Skipped: what a parser never imports.
    skip = r"/(lib2to3|idlelib|distutils|pydoc_data|unittest|tests?|turtledemo)/"
    start: list[str | Path] = [emulator.path, "-L", installed.root, installed.python, "-I"]
    _see(
        run_tool([*start, "-c", "import platform, ctypes, ssl; assert platform.machine() == 'aarch64'"], _SECONDS),
        "the Python for aarch64",
    )
    for target in (libraries, installed.site):
        _see(
            run_tool([*_compiler(start), "-q", "-x", skip, target], _SECONDS),
            "compiling the Python modules for aarch64",
        )
    imports = f"import sys; sys.path.insert(0, {str(installed.site)!r}); import numpy, msgspec, ml_dtypes, iree.runtime"
    _see(run_tool([*start, "-c", imports], _SECONDS), "the Python packages for aarch64")
    return {"packages": _versions(packages)}


def _compiler(start: list[str | Path]) -> list[str | Path]:
    """Return the command that compiles Python modules to bytecode.

    It is this Python's own where its bytecode is the same, because the emulated Python takes a minute.
    """
    same = (
        f"{sys.version_info.major}.{sys.version_info.minor}" == pins.AARCH64_PYTHON
        and sys.implementation.name == "cpython"
    )
    return [*([sys.executable, "-I"] if same else start), "-m", "compileall"]


def build_lavapipe(folder: Path, archive: Archive) -> dict[str, object]:
    """Fetch Mesa's Vulkan driver for the processor."""
    packages = archive.debian.download_missing(pins.LAVAPIPE_PACKAGES)
    for package in packages:
        unpack(package, folder / "root")
    final = locations.emulators_folder() / "lavapipe"
    library = next(folder.glob("root/usr/lib/*/libvulkan_lvp.so"), None)
    if library is None:
        raise FetchError(f"{pins.LAVAPIPE_PACKAGES[0]} holds no lavapipe")
    _write_manifest(folder / "lvp_icd.json", final / library.relative_to(folder))
    return {"packages": _versions(packages)}


def build_swiftshader(folder: Path, archive: Archive) -> dict[str, object]:
    """Fetch Google's Vulkan driver for the processor, which is a part of Chromium."""
    package = archive.debian.download([pins.SWIFTSHADER_PACKAGE])[0]
    unpack(package, folder / "unpacked", pins.SWIFTSHADER_FILES)
    for name in pins.SWIFTSHADER_FILES:
        os.replace(folder / "unpacked" / name, folder / Path(name).name)
    shutil.rmtree(folder / "unpacked")
    return {"packages": _versions([package])}


def build_compilers(folder: Path, archive: Archive) -> dict[str, object]:
    """Fetch the C compilers for other processors, and see that each makes a program."""
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


def wheel_versions() -> dict[str, str]:
    """Return the versions of the Python packages that the emulated Python gets, those that are installed here."""
    return {name: version(name) for name in pins.AARCH64_WHEELS}
