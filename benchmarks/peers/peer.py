"""What a runtime has to offer to be measured: a file for a number of words, and a call that runs it.

Modules of peers import their runtimes, and PyTorch, only where they need them: a start of one of them is measured, too.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from pqrnn.model.parser import ParserModel

PEERS = (
    Path(__file__).parents[2] / ".peers"
)  # not in git: runtimes that are not installed beside ours, and converted graphs

Features = npt.NDArray[np.float32]  # [1, words, F]
Answer = Sequence[npt.NDArray[np.float32]]
Call = Callable[[Features], Answer]


class Peer(ABC):
    """A runtime at a precision.

    Attributes:
        name: as in tables.
        precision: "f32" or "int8".
        forms: ways to write the encoder, each worth trying: forms of the recurrence, settings of a quantization.
        packages: distributions that it is made of, the first one giving its version.
        modules: what has to be importable for it.
        environment: folder below `.peers` of a virtual environment that has it, where it is not installed beside ours;
            used behind our own packages.
    """

    name: str
    precision: str = "f32"
    forms: tuple[str, ...] = ("loop", "scan")
    packages: ClassVar[tuple[str, ...]] = ()
    modules: ClassVar[tuple[str, ...]] = ()
    environment: ClassVar[str] = ""

    @abstractmethod
    def convert(self, model: ParserModel, words: int, form: str, folder: Path) -> Path:
        """Write the encoder for exactly so many words in one of `forms`; a file that is there is taken as it is."""

    @abstractmethod
    def open(self, path: Path) -> Call:
        """Load one file, ready to be called on one thread."""

    def why_absent(self) -> str:
        """Say why it cannot run here; empty where it can."""
        self._reach()
        missing = [module for module in self.modules if _lacks(module)]
        if not missing:
            return ""
        place = f" (neither here nor in {PEERS.name}/{self.environment})" if self.environment else ""
        return f"{', '.join(missing)} not installed{place}"

    def version(self) -> str:
        """Return the version of its first package."""
        self._reach()
        try:
            return version(self.packages[0]) if self.packages else ""
        except PackageNotFoundError:
            return ""

    def _reach(self) -> None:
        """Let Python also look into the peer's own environment, last."""
        if self.environment:
            for place in sorted((PEERS / self.environment / "lib").glob("python3.*/site-packages")):
                if str(place) not in sys.path and place.parent.name == f"python3.{sys.version_info.minor}":
                    sys.path.append(str(place))


def write_once(path: Path, write: Callable[[Path], Any]) -> Path:
    """Let `write` make a file that is not there yet; what it leaves unfinished does not get the name."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}")
        write(unfinished)
        unfinished.replace(path)
    return path


def _lacks(module: str) -> bool:
    try:
        return find_spec(module) is None
    except ModuleNotFoundError:
        return True
