"""The components that can be installed: emulators, drivers and C compilers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from compile.emulation import locations, pins
from compile.emulation.builders import (
    Archive,
    build_aarch64,
    build_compilers,
    build_counter,
    build_lavapipe,
    build_qemu,
    build_swiftshader,
    wheel_versions,
)


@dataclass(frozen=True, slots=True)
class ComponentState:
    """Whether a component can be used.

    Attributes:
        name: Name of the component.
        summary: Purpose of the component.
        usable: Whether the component is installed.
        source: Version and path of the component, or what is missing.
    """

    name: str
    summary: str
    usable: bool
    source: str


@dataclass(frozen=True, slots=True)
class Component:
    """One component: what it is, how it is made, and how it is found.

    Attributes:
        name: Name of the component and of its folder.
        summary: Purpose of the component.
        wanted: Returns the entries that the record has to have for the component to be left alone.
        build: Fills a new folder, sees that its content runs, and returns further entries of the record.
        source: Says what would be used, or returns None.
        system: Says whether the system's own program would do.
    """

    name: str
    summary: str
    wanted: Callable[[], dict[str, object]]
    build: Callable[[Path, Archive], dict[str, object]]
    source: Callable[[], str | None]
    system: Callable[[], bool] = lambda: False

    def ready(self, own: bool) -> bool:
        """Return whether there is nothing to fetch.

        Args:
            own: Whether the system's own programs are left out of account.
        """
        record = locations.read_record(locations.emulators_folder() / self.name)
        if record and all(record.get(key) == value for key, value in self.wanted().items()):
            return True
        return not own and self.system()

    def state(self) -> ComponentState:
        """Return whether the component can be used, and from where."""
        source = self.source()
        return ComponentState(self.name, self.summary, source is not None, source or "missing: make emulators")


def _qemu_source() -> str | None:
    installed = list(locations.qemus("aarch64"))
    return ", ".join(f"{qemu.version} in {qemu.path.parent}" for qemu in installed) or None


def _counter_source() -> str | None:
    qemu = locations.counting_qemu()
    return None if qemu is None else f"{qemu.version} in {qemu.path.parent}"


def _compilers_source() -> str | None:
    compilers = [locations.cross_compiler(prefix) for prefix in pins.CROSS_COMPILERS]
    return ", ".join(str(compiler.path) for compiler in compilers if compiler is not None) if all(compilers) else None


def _aarch64_source() -> str | None:
    installed = locations.aarch64()
    if installed is None or next(locations.qemus("aarch64"), None) is None:
        return None
    wheels = locations.read_record(installed.root.parent)["wheels"]
    assert isinstance(wheels, dict)
    packages = ", ".join(f"{name} {number}" for name, number in wheels.items())
    return f"Python {pins.AARCH64_PYTHON} with {packages} in {installed.root.parent}"


def _driver_source(find: Callable[[], locations.Driver | None]) -> Callable[[], str | None]:
    def source() -> str | None:
        driver = find()
        return str(driver.manifest) if driver is not None else None

    return source


COMPONENTS = {
    component.name: component
    for component in (
        Component(
            "qemu",
            "runs programs for other processors, aarch64 above all",
            lambda: {
                "architectures": list(pins.QEMU_ARCHITECTURES),
                "sources": [f"{source.package}/{source.suite}" for source in pins.QEMU_PACKAGES],
            },
            build_qemu,
            _qemu_source,
        ),
        Component(
            "aarch64",
            "the runtime and a whole Python for 64-bit ARM",
            lambda: {"debian": list(pins.AARCH64_PACKAGES), "wheels": wheel_versions()},
            build_aarch64,
            _aarch64_source,
        ),
        Component(
            "counter",
            "counts executed instructions",
            lambda: {"debian": [pins.COUNTING_PACKAGE]},
            build_counter,
            _counter_source,
        ),
        Component(
            "compilers",
            "builds parsers in C for 32-bit ARM and RISC-V",
            lambda: {"debian": [list(names) for names in pins.CROSS_COMPILERS.values()]},
            build_compilers,
            _compilers_source,
            lambda: _compilers_source() is not None,
        ),
        Component(
            "lavapipe",
            "Mesa's Vulkan on the processor",
            lambda: {"debian": list(pins.LAVAPIPE_PACKAGES)},
            build_lavapipe,
            _driver_source(locations.lavapipe),
            lambda: locations.lavapipe() is not None,
        ),
        Component(
            "swiftshader",
            "Google's Vulkan on the processor",
            lambda: {"debian": [pins.SWIFTSHADER_PACKAGE]},
            build_swiftshader,
            _driver_source(locations.swiftshader),
        ),
    )
}
