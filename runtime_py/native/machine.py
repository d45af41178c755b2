"""Which native libraries this system and architecture can load; what the processor lacks, a library says itself."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

_SYSTEMS = {"linux": ("linux", "host"), "darwin": ("apple",), "win32": ("windows",)}


class _ForMachine(Protocol):
    @property
    def triple(self) -> str: ...

    @property
    def features(self) -> Sequence[str]: ...


Library = TypeVar("Library", bound=_ForMachine)


def this_architecture() -> str:
    """Return the architecture of this process's machine, as triples spell it."""
    if hasattr(os, "uname"):
        machine = os.uname().machine
    else:  # Windows
        import platform

        machine = platform.machine()
    return {"amd64": "x86_64", "arm64": "aarch64", "armv8l": "armv7l"}.get(machine.lower(), machine)


def choose_fitting(libraries: Iterable[Library]) -> list[Library]:
    """Return the libraries for this system and architecture, those that need more of the processor first."""
    machine = this_architecture()
    fitting = [library for library in libraries if _is_for(library.triple, machine, sys.platform)]
    return sorted(fitting, key=lambda library: -len(library.features))


def _is_for(triple: str, machine: str, system: str) -> bool:
    architecture = triple.split("-", 1)[0]
    architecture = {"arm64": "aarch64"}.get(
        architecture, "armv7l" if architecture.startswith("armv7") else architecture
    )
    android = hasattr(sys, "getandroidapilevel")
    return (
        architecture == machine
        and any(part in triple for part in _SYSTEMS.get(system, ()))
        and ("android" in triple) == android
    )
