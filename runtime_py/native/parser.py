"""A folder of native libraries (`pqrnn native`) as a parser."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from runtime_py.decode.rejection import MinScore, read_threshold
from runtime_py.errors import PackageError, ParserClosedError, UnsupportedTargetError
from runtime_py.native.calling import LibraryParser, OnLong
from runtime_py.native.library import Library
from runtime_py.native.machine import choose_fitting, this_architecture
from runtime_py.native.manifest import NativeManifest, NativeVariant, check_library, read_manifest


class NativeParser(LibraryParser):
    """A parser from a folder of native libraries."""

    def __init__(
        self,
        path: str | Path,
        manifest: NativeManifest,
        variant: NativeVariant,
        on_long: OnLong,
        min_score: MinScore | None = None,
    ) -> None:
        """Load the library of a variant whose files were checked; `load` is what applications call."""
        self.path, self.manifest, self.variant = Path(path), manifest, variant
        self.min_score = min_score
        where = self.path / str(variant.library)
        library = Library(where, manifest.prefix, str(where))
        library.set_min_score(read_threshold(min_score), str(self.path))
        super().__init__(library, variant.words, variant.bytes, on_long)

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        variant: str | None = None,
        on_long: OnLong = "error",
        verify: bool = True,
        min_score: MinScore | None = None,
    ) -> Self:
        """Load a parser from a folder of `pqrnn native`.

        A library is code that runs with the rights of this process: load only what comes from someone whom you trust.

        Args:
            path: The folder.
            variant: Name of a target; by default the first that runs on this machine, those with more features before.
            on_long: What to do with a text that is too long: ``error`` raises `InputTooLongError`, ``truncate`` reads
                what fits and says so in the answer.
            verify: Whether to compare the library's SHA-256 with what was built.
            min_score: Parses with a smaller score are answered with ``outcome="rejected"``; ``recommended`` takes the
                threshold of the parser's calibration. By default nothing is rejected.

        Raises:
            PackageError: The folder cannot be read, is damaged, lacks that variant, or (CalibrationMissingError) has no
                calibration that could recommend a threshold.
            UnsupportedTargetError: No variant runs on this machine.
            DeviceError: The system refuses the library.
            ValueError: ``on_long`` or ``min_score`` is out of range.
        """
        if on_long not in ("error", "truncate"):
            raise ValueError(f"on_long is {on_long!r}, expected 'error' or 'truncate'")
        read_threshold(min_score)
        folder = Path(path)
        manifest = read_manifest(folder)
        refused: list[str] = []
        for candidate in _choose(folder, manifest, variant):
            if verify:
                check_library(folder, candidate)
            try:
                return cls(os.path.abspath(path), manifest, candidate, on_long, min_score)
            except UnsupportedTargetError as error:
                refused.append(str(error))
        raise UnsupportedTargetError(f"{folder}: nothing runs on this machine. {' '.join(refused)}")

    def __reduce__(self) -> tuple[Callable[..., NativeParser], tuple[Any, ...]]:
        """Return how a copy is made, in this or another process: the library is loaded again from its path."""
        if self.closed:
            raise ParserClosedError("the parser is closed, and cannot be pickled. Load it again.")
        return _load_again, (type(self), self.path, self.variant.target, self.on_long, self.min_score)


def _load_again(
    kind: type[NativeParser], path: Path, variant: str, on_long: OnLong, min_score: MinScore | None
) -> NativeParser:
    return kind.load(path, variant=variant, on_long=on_long, min_score=min_score)


def _choose(folder: Path, manifest: NativeManifest, name: str | None) -> list[NativeVariant]:
    """Return the variants that may run here, the most demanding first; a named one whatever it is.

    Raises:
        PackageError: There is none of that name.
        UnsupportedTargetError: None is for this system and architecture.
    """
    listed = ", ".join(variant.target for variant in manifest.variants) or "none"
    if name is not None:
        chosen = [variant for variant in manifest.variants if variant.target == name]
        if not chosen:
            raise PackageError(f"{folder}: no variant {name!r}; it has: {listed}.")
        return chosen
    fitting = choose_fitting(variant for variant in manifest.variants if variant.library is not None)
    if not fitting:
        raise UnsupportedTargetError(
            f"{folder}: nothing for {this_architecture()} under {sys.platform}; it has: {listed}. "
            "Build it with `pqrnn native -t TARGET`."
        )
    return fitting
