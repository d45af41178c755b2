"""The interface of a runtime that is measured: a file for a number of words, and a call that runs it.

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

# Not in git: runtimes that are not installed beside ours, and converted graphs.
PEERS = Path(__file__).parents[2] / ".peers"

Features = npt.NDArray[np.float32]  # [1, words, F]
Answer = Sequence[npt.NDArray[np.float32]]
Call = Callable[[Features], Answer]


class Peer(ABC):
    """A runtime at a precision.

    Attributes:
        name: Name in tables.
        precision: Precision of the weights, "f32" or "int8".
        forms: Ways to write the encoder that are worth trying: forms of the recurrence, settings of a quantization.
        packages: Distributions that it is made of; the first one gives its version.
        modules: Modules that have to be importable for it.
        environment: Folder below `.peers` of a virtual environment that has it, where it is not installed beside ours.
            Python looks there after it has looked into our own environment.
    """

    name: str
    precision: str = "f32"
    forms: tuple[str, ...] = ("loop", "scan")
    packages: ClassVar[tuple[str, ...]] = ()
    modules: ClassVar[tuple[str, ...]] = ()
    environment: ClassVar[str] = ""

    @abstractmethod
    def convert(self, model: ParserModel, words: int, form: str, folder: Path) -> Path:
        """Write the encoder for exactly so many words in one of `forms`, unless the file is there already."""

    @abstractmethod
    def open(self, path: Path) -> Call:
        """Load a file, ready to be called on one thread."""

    def why_absent(self) -> str:
        """Return why the peer cannot run here; empty where it can."""
        self._reach()
        missing = [module for module in self.modules if _lacks(module)]
        if not missing:
            return ""
        tried = f" (neither here nor in {PEERS.name}/{self.environment})" if self.environment else ""
        return f"{', '.join(missing)} not installed{tried}"

    def version(self) -> str:
        """Return the version of the first package; empty where there is none."""
        self._reach()
        try:
            return version(self.packages[0]) if self.packages else ""
        except PackageNotFoundError:
            return ""

    def _reach(self) -> None:
        """Let Python also look into the peer's own environment, last."""
        if self.environment:
            for folder in sorted((PEERS / self.environment / "lib").glob("python3.*/site-packages")):
                if str(folder) not in sys.path and folder.parent.name == f"python3.{sys.version_info.minor}":
                    sys.path.append(str(folder))


def write_once(path: Path, write: Callable[[Path], Any]) -> Path:
    """Let `write` make a file that is not there yet; a file that it leaves unfinished does not get the name."""
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
