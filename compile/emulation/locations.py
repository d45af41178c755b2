"""Locations of the emulators: a folder of this project, or the system."""

from __future__ import annotations

import ctypes.util
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from compile.emulation import pins
from compile.support.process import run_tool

VARIABLE = "PQRNN_EMULATORS"
_RECORD = "installed.json"
_MANIFESTS = ("/etc/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/usr/share/vulkan/icd.d")
_SECONDS = 60.0


def checkout() -> Path:
    """Return the folder that holds this package and `runtime_py`."""
    return Path(__file__).resolve().parents[2]


def python_path() -> str:
    """Return `PYTHONPATH` for another Python of this machine, so that it finds the modules that this one finds."""
    return os.pathsep.join((str(checkout()), *filter(None, [os.environ.get("PYTHONPATH")])))


def emulators_folder() -> Path:
    """Return the folder of the emulators: `$PQRNN_EMULATORS`, else `.emulators` in the checkout. It need not exist."""
    given = os.environ.get(VARIABLE)
    return Path(given).resolve() if given else checkout() / ".emulators"


def component_folder(name: str) -> Path | None:
    """Return the folder of a component, or None where the component is not completely installed."""
    folder = emulators_folder() / name
    return folder if (folder / _RECORD).is_file() else None


def read_record(folder: Path) -> dict[str, object]:
    """Return the installer's record of a component, which is empty where it is not completely installed."""
    try:
        record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def write_record(folder: Path, record: dict[str, object]) -> None:
    """Record that a component is complete, and its content."""
    (folder / _RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Qemu:
    """An emulator of programs for Linux.

    Attributes:
        path: Path of the program.
        version: Version of the program.
        processors: Names of processors that `-cpu` accepts.
        libraries: Folders that the dynamic linker has to search for the program's libraries.
    """

    path: Path
    version: str
    processors: frozenset[str]
    libraries: tuple[Path, ...] = ()


def qemus(architecture: str) -> Iterator[Qemu]:
    """Yield the emulators for an architecture (`aarch64`), in the order in which they are to be tried."""
    folder = component_folder("qemu")
    for source in pins.QEMU_PACKAGES:
        name = f"qemu-{architecture}{source.suffix}"
        if folder is not None and (folder / source.folder / name).is_file():
            yield _ask_qemu(folder / source.folder / name)
        elif source.suffix:
            path = shutil.which(name)
            if path:
                yield _ask_qemu(Path(path))


def counting_qemu() -> Qemu | None:
    """Return the emulator for aarch64 that can load plugins, where it is installed."""
    folder = component_folder("counter")
    return None if folder is None else _ask_qemu(folder / "root" / "usr" / "bin" / "qemu-aarch64", _libraries(folder))


@cache
def _ask_qemu(path: Path, libraries: tuple[Path, ...] = ()) -> Qemu:
    environment = {"LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries))} if libraries else {}
    version = run_tool([path, "--version"], _SECONDS, environment=environment).output.split(" version ")[-1].split()[0]
    words = run_tool([path, "-cpu", "help"], _SECONDS, environment=environment).output.split()
    return Qemu(path, version, frozenset(words), libraries)


@dataclass(frozen=True, slots=True)
class InstalledCompiler:
    """A C compiler for another machine, as it is installed here.

    Attributes:
        path: Path of the program.
        libraries: Folders that the dynamic linker has to search for the program's libraries.
    """

    path: Path
    libraries: tuple[Path, ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables to set for the program."""
        given = os.environ.get("LD_LIBRARY_PATH", "")
        return (
            {"LD_LIBRARY_PATH": ":".join([*map(str, self.libraries), *([given] if given else [])])}
            if self.libraries
            else {}
        )


def cross_compiler(prefix: str) -> InstalledCompiler | None:
    """Return the C compiler with a prefix (`arm-linux-gnueabihf-`), that of the system or of the emulators' folder."""
    path = shutil.which(f"{prefix}gcc")
    if path:
        return InstalledCompiler(Path(path))
    folder = component_folder("compilers")
    return cross_compiler_in(folder, prefix) if folder is not None else None


def cross_compiler_in(folder: Path, prefix: str) -> InstalledCompiler | None:
    """Return the C compiler in a folder of unpacked packages, or None where there is none."""
    path = folder / "root" / "usr" / "bin" / f"{prefix}gcc"
    return InstalledCompiler(path, _libraries(folder)) if path.exists() else None


@dataclass(frozen=True, slots=True)
class Driver:
    """A Vulkan driver that computes on the processor.

    Attributes:
        manifest: File that describes the driver to Vulkan's loader.
        libraries: Folders that the dynamic linker has to search for the driver's libraries.
    """

    manifest: Path
    libraries: tuple[Path, ...] = ()


def lavapipe() -> Driver | None:
    """Return Mesa's driver, that of the system if there is one, else that of the emulators' folder."""
    if ctypes.util.find_library("vulkan"):
        for directory in _MANIFESTS:
            for manifest in sorted(Path(directory).glob("lvp_icd*.json")):
                return Driver(manifest)
    return installed_lavapipe()


def installed_lavapipe() -> Driver | None:
    """Return Mesa's driver in the emulators' folder."""
    folder = component_folder("lavapipe")
    return None if folder is None else Driver(folder / "lvp_icd.json", _libraries(folder))


def swiftshader() -> Driver | None:
    """Return Google's driver, which comes with Chromium, from the emulators' folder."""
    folder = component_folder("swiftshader")
    if folder is None:
        return None
    loader = lavapipe()  # the loader that the driver needs came with Mesa
    return None if loader is None else Driver(folder / "vk_swiftshader_icd.json", loader.libraries)


def _libraries(folder: Path) -> tuple[Path, ...]:
    """Return the folders with shared libraries of an unpacked component."""
    return tuple(sorted(folder.glob("root/usr/lib/*-linux-gnu*")) + sorted(folder.glob("root/lib/*-linux-gnu*")))


@dataclass(frozen=True, slots=True)
class Aarch64:
    """A Python for 64-bit ARM.

    Attributes:
        root: Folder that is `/` to the emulated programs.
        python: Path of the interpreter.
        site: Folder of the packages that `runtime_py` needs.
    """

    root: Path
    python: Path
    site: Path

    @property
    def tools(self) -> Path:
        """Folder of the programs of the IREE runtime, such as `iree-run-module`."""
        return self.site / "iree" / "_runtime_libs"


def aarch64() -> Aarch64 | None:
    """Return the Python for 64-bit ARM, where it is installed."""
    folder = component_folder("aarch64")
    return None if folder is None else aarch64_in(folder)


def aarch64_in(folder: Path) -> Aarch64:
    """Return the Python for 64-bit ARM that is, or will be, in a folder."""
    return Aarch64(folder / "root", folder / "root" / "usr" / "bin" / f"python{pins.AARCH64_PYTHON}", folder / "site")
