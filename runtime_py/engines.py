"""`runtime_py.Parser`: what runs a parser, IREE's runtime or a library of its own, is chosen when it is loaded.

A package (`pqrnn compile`) runs on IREE's runtime, and where it has a native library (``--native``) without; a folder
of native libraries (`pqrnn native`) needs no runtime either. Where none is needed, neither that nor NumPy is imported.
"""

from __future__ import annotations

import os
from abc import ABCMeta, abstractmethod
from typing import TYPE_CHECKING, Any, Literal, overload

from runtime_py.errors import DeviceError, PackageError, ParserError, UnsupportedTargetError

if TYPE_CHECKING:
    from pathlib import Path

    from runtime_py.native.package_parser import PackagedNativeParser
    from runtime_py.native.parser import NativeParser
    from runtime_py.parser import Parser as PackageParser

Engine = Literal["auto", "iree", "native"]
_NATIVE = "native.json"


class Parser(metaclass=ABCMeta):
    """A parser: text in, intent and slots out.

    `load` returns a `PackageParser`, a `PackagedNativeParser` or a `NativeParser`, which all are such parsers.
    """

    @abstractmethod
    def __call__(self, text: str | bytes) -> Any:
        """Parse one text."""

    @overload
    @classmethod
    def load(cls, path: str | Path, *, engine: Literal["auto", "iree"] = ..., **settings: Any) -> PackageParser: ...

    @overload
    @classmethod
    def load(
        cls, path: str | Path, *, engine: Literal["native"], **settings: Any
    ) -> NativeParser | PackagedNativeParser: ...

    @overload
    @classmethod
    def load(cls, path: str | Path, *, engine: Engine, **settings: Any) -> Any: ...

    @classmethod
    def load(cls, path: str | Path, *, engine: Engine = "auto", **settings: Any) -> Any:
        """Load a parser.

        Of a package with native libraries, ``auto`` takes one where this machine runs it and it has answered the golden
        texts of the package as PyTorch does, on this machine or another: it decides alike, starts in a third of the
        time, and answers sooner (rows of ``native`` in `benchmarks/results`, which this order was chosen by; nothing is
        timed when a parser is loaded). It takes IREE for what only that can do: a GPU, several threads, a variant
        by a name that no library has, ``strict=False``, and functions for several texts at once or for budgets.

        Args:
            path: Folder of a package, or of native libraries.
            engine: ``iree`` for a package's modules, ``native`` for native libraries, or ``auto``.
            settings: As `runtime_py.parser.Parser.load` takes them; for a folder of native libraries those of
                `runtime_py.native.parser.NativeParser.load`.

        Raises:
            PackageError: The folder holds nothing for that engine; else as those do.
            ValueError: The engine is unknown.
        """
        if engine not in ("auto", "iree", "native"):
            raise ValueError(f"engine is {engine!r}, expected 'auto', 'iree' or 'native'")
        alone = is_native_folder(path)
        if engine == "iree" and alone:
            raise PackageError(
                f"{path}: a folder of native libraries; engine='iree' takes what `pqrnn compile` writes."
            )
        if alone:
            from runtime_py.native.parser import NativeParser

            Parser.register(NativeParser)
            return NativeParser.load(path, **settings)
        refused: ParserError | None = None
        if engine == "native" or (engine == "auto" and _suits_native(settings)):
            try:
                return _load_library(path, engine == "native", settings)
            except (UnsupportedTargetError, DeviceError) as error:
                if engine == "native":
                    raise
                refused = error
        try:
            from runtime_py.parser import Parser as PackageParser
        except ModuleNotFoundError as error:
            if refused is None or error.name is None or not error.name.startswith(("iree", "numpy", "msgspec")):
                raise
            raise UnsupportedTargetError(f"{refused} Nor is there {error.name}, which runs the rest.") from error
        Parser.register(PackageParser)
        return PackageParser.load(path, **settings)


def is_native_folder(path: str | Path) -> bool:
    """Return whether a folder is one of native libraries (`pqrnn native`), and not a package."""
    return os.path.isfile(os.path.join(path, _NATIVE))


def _suits_native(settings: dict[str, Any]) -> bool:
    """Return whether a native library can do what is asked for."""
    return (
        settings.get("device", "auto") in ("auto", "cpu")
        and settings.get("threads", 1) == 1
        and settings.get("strict", True)
        and settings.get("budget") is None
    )


def _load_library(path: str | Path, demanded: bool, settings: dict[str, Any]) -> PackagedNativeParser:
    from runtime_py.native.package_parser import PackagedNativeParser

    Parser.register(PackagedNativeParser)
    return PackagedNativeParser.load(path, if_best=not demanded, **settings)
