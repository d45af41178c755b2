"""A native library of a package as a parser: `runtime_py.Parser.load(package)` where the library runs.

To load one and to parse takes the standard library alone. What an assistant wants beyond that (logits, names known at
run time, the manifest) imports NumPy and msgspec when it is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from ctypes import string_at
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Self

from runtime_py.assistant import Assistant
from runtime_py.decode.answers import encode_text
from runtime_py.decode.rejection import MinScore, read_threshold
from runtime_py.errors import DeviceError, InputTooLongError, PackageError, ParserClosedError, UnsupportedTargetError
from runtime_py.native.calling import LibraryParser, OnLong
from runtime_py.native.library import Library
from runtime_py.native.machine import choose_fitting, this_architecture
from runtime_py.native.packaged import NativePart, PackagedLibrary, place_library, read_native_part
from runtime_py.trust.requirement import required_keys

if TYPE_CHECKING:
    from pathlib import Path

    from runtime_py.decode.answers import Parse
    from runtime_py.decode.decoder import Decoder
    from runtime_py.decode.rejection import Rejection
    from runtime_py.execute.logits import Logits
    from runtime_py.package_format.manifest import Manifest
    from runtime_py.package_format.package import Package

_OF_IREE = frozenset({"entries", "prepare", "needs_rerun"})


class NativeSelection(NamedTuple):
    """The library that was chosen.

    Attributes:
        variant: The library.
        reason: Why this one, in a sentence.
        gpu: None: it runs on the processor.
    """

    variant: PackagedLibrary
    reason: str
    gpu: None = None


class PackagedNativeParser(LibraryParser, Assistant):
    """A parser that is a native library of a package, with what `runtime_py.parser.Parser` does for applications.

    Missing are `entries`, `prepare` and `needs_rerun`, which measure compiled functions that it does not have.
    """

    threads, batch = 1, 1

    def __init__(
        self, part: NativePart, library: Library, chosen: PackagedLibrary, reason: str, arguments: dict[str, Any]
    ) -> None:
        """Take an open library, and the arguments of `load`."""
        super().__init__(library, part.words, part.bytes, arguments["on_long"])
        self.selection = NativeSelection(chosen, reason)
        self._part, self._arguments = part, arguments
        self._package: Package | None = None
        self._deciding: tuple[Decoder, Rejection] | None = None
        self._tag_count = 0

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        variant: str | None = None,
        device: str = "auto",
        threads: int = 1,
        on_long: OnLong = "error",
        verify: bool = True,
        strict: bool = True,
        self_test: bool = True,
        require_signature: str | Path | Sequence[str | Path] | None = None,
        min_score: MinScore | None = None,
        budget: float | str | None = None,
        if_best: bool = False,
    ) -> Self:
        """Load a native library of a package: its manifest's digest, then the library's, are verified before it runs.

        Arguments and errors are those of `runtime_py.parser.Parser.load`; besides:

        Args:
            path: The package directory.
            variant: Name of a target; by default the library that needs the most of what this processor has. A library
                that nobody has run yet, or that failed its check, is taken by name only.
            device: ``auto`` or ``cpu``.
            threads: 1.
            on_long: As there.
            verify: As there. Unverified, the file itself is loaded, and not a copy in memory.
            strict: Has no meaning here: the library itself asks the processor.
            self_test: Has no meaning here.
            require_signature: As there; it imports msgspec, NumPy and cryptography.
            min_score: As there.
            budget: None: a library is the whole network.
            if_best: Whether to refuse a package with functions for several texts at once or for budgets, which the
                engine ``iree`` makes more of.

        Raises:
            UnsupportedTargetError: The package has no library that runs on this machine.
            ValueError: An argument is out of range, or only the engine ``iree`` can do it.
        """
        del strict, self_test
        if on_long not in ("error", "truncate"):
            raise ValueError(f"on_long is {on_long!r}, expected 'error' or 'truncate'")
        if device not in ("auto", "cpu") or threads != 1:
            raise ValueError(
                f"device {device!r} with {threads} threads: for a GPU or several threads take engine='iree'"
            )
        if budget is not None:
            raise ValueError(f"budget {budget!r}: a native library is the whole network; take engine='iree'")
        least = read_threshold(min_score)
        keys = required_keys(require_signature)
        arguments = {
            "path": os.path.abspath(path),
            "variant": variant,
            "on_long": on_long,
            "verify": verify,
            "require_signature": keys,
            "min_score": min_score,
        }
        folder = os.fspath(path)
        part = _read_part(folder, keys)
        if if_best and (part.batch > 1 or part.budgets):
            what = "several texts at once" if part.batch > 1 else "budgets"
            raise UnsupportedTargetError(f"{folder}: has functions for {what}, which native code has not.")
        refused: list[str] = []
        for candidate in _choose(part, variant):
            where = os.path.join(folder, candidate.path)
            placed = place_library(folder, candidate, verify or bool(keys))
            try:
                library = Library(placed, candidate.prefix, where, "compile")
            except UnsupportedTargetError as error:
                refused.append(str(error))
                continue
            if library.intents != part.intents:
                library.close()
                raise PackageError(f"{where}: has other intents than the manifest says. Compile the package again.")
            library.set_min_score(least, str(path))
            why = "was asked for by name" if variant is not None else "a native library that runs on this processor"
            return cls(part, library, candidate, f"{candidate.target}: {why}", arguments)
        raise UnsupportedTargetError(f"{folder}: no native library runs on this machine. {' '.join(refused)}")

    def __reduce__(self) -> tuple[Callable[..., PackagedNativeParser], tuple[Any, ...]]:
        """Return how a copy is made, in this or another process: the package is loaded again from its path."""
        if self.closed:
            raise ParserClosedError("the parser is closed, and cannot be pickled. Load it again.")
        return _load_again, (type(self), self._arguments)

    def __getattr__(self, name: str) -> NoReturn:
        """Say what only the other engine has."""
        if name in _OF_IREE:
            raise AttributeError(f"{name}: a native parser has no such thing; load the package with engine='iree'.")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def path(self) -> Path:
        """The package directory."""
        from pathlib import Path

        return Path(self._arguments["path"])

    @property
    def name(self) -> str:
        """Name of the package, for people."""
        return self._part.name

    @property
    def variant(self) -> PackagedLibrary:
        """The library that runs."""
        return self.selection.variant

    @property
    def abi(self) -> str:
        """Version of the library's interface, for people."""
        return f"{self._library.abi >> 16}.{self._library.abi & 0xFFFF}"

    @property
    def package(self) -> Package:
        """The package, whose manifest has to be the one that was loaded.

        Raises:
            PackageError: It was exchanged since.
            DeviceError: A library of Python's that reads it is not installed.
        """
        if self._package is None:
            try:
                from runtime_py.package_format.package import open_package
            except ModuleNotFoundError as error:
                raise DeviceError(
                    f"{self.path}: what was asked for needs {error.name}, which is not installed here. Install pqrnn "
                    "with what it depends on; parsing alone does without."
                ) from error
            package = open_package(self.path)
            if package.manifest_sha256 != self._part.manifest_sha256:
                raise PackageError(f"{self.path}: was exchanged after it was loaded. Load it again.")
            self._package = package
        return self._package

    @property
    def manifest(self) -> Manifest:
        """The package's manifest; raises as `package` does."""
        return self.package.manifest

    def warmup(self) -> None:
        """Parse once, so that the first real text does not pay for page faults."""
        self(b"a")

    def logits(self, text: str | bytes) -> Logits:
        """Return the numbers behind a parse; raises as a call does. The bucket is the smallest that holds the text."""
        raw = encode_text(text)[1]
        import numpy as np

        from runtime_py.execute.logits import Logits

        buckets = self.manifest.buckets
        with self._lock:
            self._run(raw)
            answer = self._answer
            words, truncated = answer.words, answer.truncated != 0
            tags = self._tag_count = self._tag_count or len(self._library.tags())

            def read(what: Any, dtype: Any, *shape: int) -> Any:
                count = int(np.prod(shape))
                content = string_at(what, 4 * count) if count else b""
                return np.frombuffer(content, dtype, count).reshape(shape)

            intent = read(answer.intent_logits, np.float32, len(self.intents))
            rows = read(answer.tag_logits, np.float32, words, tags)
            spans = read(answer.spans, np.int32, words, 2)
        fitting = [each for each in buckets if not truncated and words <= each.words and len(raw) <= each.bytes]
        return Logits(intent, rows, spans, truncated, (fitting or buckets[-1:])[0].words)

    def logits_batch(self, texts: Iterable[str | bytes]) -> list[Logits]:
        """Return the numbers behind `parse_batch`; raises as it does."""
        found = []
        for index, text in enumerate(texts):
            try:
                found.append(self.logits(text))
            except InputTooLongError as error:
                raise InputTooLongError(f"text {index} of the batch: {error}") from error
        return found

    def decide_logits(self, shown: str, raw: bytes, logits: Logits, alternatives: int = 0) -> Parse:
        """Return what logits mean, of a text and its bytes (`encode_text`), by the decoder in Python."""
        if self._deciding is None:
            from runtime_py.decode.rejection import choose_rejection

            manifest = self.manifest
            self._deciding = (
                manifest.labels.decoder(manifest.calibration),
                choose_rejection(self._arguments["min_score"], manifest.calibration, str(self.path)),
            )
        decoder, rejection = self._deciding
        intent, tags, spans, truncated, _ = logits
        return rejection.apply(decoder.parse(shown, raw, intent, tags, spans, truncated, alternatives))


def _load_again(kind: type[PackagedNativeParser], arguments: dict[str, Any]) -> PackagedNativeParser:
    return kind.load(**arguments)


def _read_part(folder: str, keys: Sequence[Path]) -> NativePart:
    """Read the native part of a package that is signed as demanded.

    Raises:
        PackageError: The package cannot be used, or (SignatureError) is not signed as demanded.
        UnsupportedTargetError: It has no libraries.
    """
    part = read_native_part(folder)
    if part is None:
        raise UnsupportedTargetError(
            f"{folder}: the package has no native libraries. Compile it with them (`pqrnn compile --native`), or load "
            "it with engine='iree'."
        )
    if keys:
        from runtime_py.package_format.package import open_package

        if open_package(folder, keys=keys).manifest_sha256 != part.manifest_sha256:
            raise PackageError(f"{folder}: was exchanged while it was loaded. Load it again.")
    return part


def _choose(part: NativePart, name: str | None) -> list[PackagedLibrary]:
    """Return the libraries that may run here, the most demanding first; a named one whatever it is.

    Raises:
        UnsupportedTargetError: There is none.
    """
    listed = ", ".join(library.target for library in part.libraries)
    if name is not None:
        chosen = [library for library in part.libraries if library.target == name]
        if not chosen:
            raise UnsupportedTargetError(f"{part.folder}: has no native library {name!r}; it has: {listed}.")
        return chosen
    fitting = choose_fitting(library for library in part.libraries if library.proved)
    if not fitting:
        import sys

        raise UnsupportedTargetError(
            f"{part.folder}: no native library for {this_architecture()} under {sys.platform} that was ever run; it "
            f"has: {listed}. Compile one (`pqrnn compile --native -t TARGET`), or load it with engine='iree'."
        )
    return fitting
