"""`runtime_py.Parser`: what runs a parser, IREE's runtime or a library of its own, is chosen when it is loaded.

A package (`pqrnn compile`) runs on IREE's runtime; a folder of native libraries (`pqrnn native`) needs neither that nor
NumPy, and nothing of them is imported for it.
"""

from __future__ import annotations

import os
from abc import ABCMeta, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from runtime_py.errors import PackageError

if TYPE_CHECKING:
    from runtime_py.native.parser import NativeParser
    from runtime_py.parser import Parser as PackageParser

Engine = Literal["auto", "iree", "native"]
_NATIVE = "native.json"


class Parser(metaclass=ABCMeta):
    """A parser: text in, intent and slots out. `load` returns a `PackageParser` or a `NativeParser`, which are both."""

    @abstractmethod
    def __call__(self, text: str | bytes) -> Any:
        """Parse one text."""

    @overload
    @classmethod
    def load(cls, path: str | Path, *, engine: Literal["auto", "iree"] = ..., **settings: Any) -> PackageParser: ...

    @overload
    @classmethod
    def load(cls, path: str | Path, *, engine: Literal["native"], **settings: Any) -> NativeParser: ...

    @classmethod
    def load(cls, path: str | Path, *, engine: Engine = "auto", **settings: Any) -> Any:
        """Load a parser.

        Args:
            path: Folder of a package, or of native libraries.
            engine: ``iree`` for a package, ``native`` for native libraries, ``auto`` for whatever the folder holds.
            settings: As `runtime_py.parser.Parser.load` or `runtime_py.native.parser.NativeParser.load` takes them.

        Raises:
            PackageError: The folder holds nothing for that engine; else as those do.
            ValueError: The engine is unknown.
        """
        if engine not in ("auto", "iree", "native"):
            raise ValueError(f"engine is {engine!r}, expected 'auto', 'iree' or 'native'")
        native = os.path.isfile(os.path.join(path, _NATIVE))
        if engine == "iree" and native:
            raise PackageError(
                f"{path}: a folder of native libraries; engine='iree' takes what `pqrnn compile` writes."
            )
        if native or engine == "native":
            from runtime_py.native.parser import NativeParser

            Parser.register(NativeParser)
            return NativeParser.load(path, **settings)
        from runtime_py.parser import Parser as PackageParser

        Parser.register(PackageParser)
        return PackageParser.load(path, **settings)
