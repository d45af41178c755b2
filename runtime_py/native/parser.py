"""A native library as a parser, by ctypes."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Literal, Self

from runtime_py.decode.answers import Alternative, Parse, Slot, encode_text
from runtime_py.decode.rejection import MinScore, nothing_recommended, read_threshold
from runtime_py.errors import (
    CalibrationMissingError,
    DeviceError,
    InputTooLongError,
    PackageError,
    ParserClosedError,
    UnsupportedTargetError,
)
from runtime_py.native.interface import (
    ABI,
    CALIBRATED_SINCE,
    NO_CALIBRATION,
    RECOMMENDED,
    TOO_LONG,
    TRUNCATE,
    WRONG_PROCESSOR,
    Answer,
    AnswerSlot,
    Ranked,
)
from runtime_py.native.manifest import NativeManifest, NativeVariant, check_library, read_manifest

OnLong = Literal["error", "truncate"]
_SYSTEMS = {"linux": ("linux", "host"), "darwin": ("apple",), "win32": ("windows",)}


class NativeParser:
    """A parser that is a library of its own.

    One parser may be used from several threads: a lock lets one call at a time run on it. Python's own lock is free
    while it computes, so parsers of several threads run side by side. A process may be forked at any time.
    """

    def __init__(
        self,
        path: str | Path,
        manifest: NativeManifest,
        variant: NativeVariant,
        on_long: OnLong,
        min_score: MinScore | None = None,
    ) -> None:
        """Load the library of a variant whose files were checked; `load` is what applications call."""
        self.path, self.manifest, self.variant, self.on_long = Path(path), manifest, variant, on_long
        self.min_score = min_score
        self._handle: int | None = None
        where = self.path / str(variant.library)
        try:
            self._library = ctypes.CDLL(os.fspath(where))
            self._parse, self._close = self._find("parse"), self._find("close")
            self._open()
            self._set_min_score(read_threshold(min_score))
        except (OSError, AttributeError) as error:
            raise DeviceError(f"{where}: cannot be loaded ({error}). Build it again with `pqrnn native`.") from error
        self._answer = Answer(size=ctypes.sizeof(Answer))
        self._reference = ctypes.byref(self._answer)
        self._flags = TRUNCATE if on_long == "truncate" else 0
        name = self._find("intent_name")
        name.restype = ctypes.c_char_p
        self.intents = tuple(name(index).decode() for index in range(self._find("intents")()))
        self._labels: dict[bytes, str] = {}
        self._lock = Lock()

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

    def __call__(self, text: str | bytes, *, alternatives: int = 0) -> Parse:
        """Parse one text.

        Args:
            text: A string, or UTF-8 bytes. Invalid bytes read as U+FFFD; zero bytes separate words.
            alternatives: How many of the most probable intents to name, that of the parse first.

        Raises:
            InputTooLongError: The text does not fit and the policy is ``error``.
            ParserClosedError: The parser was closed.
        """
        shown, raw = encode_text(text)
        with self._lock:
            status = self._parse(self._handle, raw, len(raw), self._flags, self._reference)
            if status:
                self._fail(status, raw)
            answer = self._answer
            slots: tuple[Slot, ...] = ()
            if count := answer.slot_count:
                scores = answer.slot_scores[:count] if answer.calibrated else (None,) * count
                slots = tuple(
                    self._read_slot(slot, shown, score)
                    for slot, score in zip(answer.slots[:count], scores, strict=True)
                )
            named: tuple[Alternative, ...] = ()
            if alternatives > 0:
                ranked = self._list_intents(self._since_calibration("alternatives"), alternatives)
                named = tuple(Alternative(intent, score) for intent, score in ranked)
            return Parse(
                self.intents[answer.intent],
                answer.score,
                slots,
                shown,
                answer.truncated != 0,
                answer.words,
                answer.calibrated != 0,
                answer.in_scope if answer.calibrated and answer.in_scope >= 0 else None,
                "rejected" if answer.rejected else "parsed",
                named,
            )

    def parse_batch(self, texts: Iterable[str | bytes], *, alternatives: int = 0) -> list[Parse]:
        """Parse several texts, one after the other.

        Raises:
            InputTooLongError: As for one text; the message says which.
        """
        parses = []
        for index, text in enumerate(texts):
            try:
                parses.append(self(text, alternatives=alternatives))
            except InputTooLongError as error:
                raise InputTooLongError(f"text {index} of the batch: {error}") from error
        return parses

    def rank(self, text: str | bytes, most: int = 5) -> list[tuple[str, float]]:
        """Return the most probable intents of a text and their probabilities, the first first.

        The intent of a parse fits its slots, and is not always the first here.

        Raises:
            InputTooLongError: As for a call.
            ValueError: ``most`` is less than 1.
        """
        if most < 1:
            raise ValueError(f"most is {most}, expected at least 1")
        raw = encode_text(text)[1]
        with self._lock:
            status = self._parse(self._handle, raw, len(raw), self._flags, self._reference)
            if status:
                self._fail(status, raw)
            return self._list_intents(self._rank, most)

    def close(self) -> None:
        """Give the memory back; further calls raise. Closing twice is fine."""
        with self._lock:
            handle, self._handle = self._handle, None
            if handle:
                self._close(handle)

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._handle is None

    @property
    def device(self) -> str:
        """What runs the code."""
        return "native"

    def __enter__(self) -> Self:
        """Return the parser itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the parser."""
        self.close()

    def __del__(self) -> None:
        """Give the memory back, where Python still can."""
        handle, self.__dict__["_handle"] = self.__dict__.get("_handle"), None
        if handle and not sys.is_finalizing():
            self._close(handle)

    def __reduce__(self) -> tuple[Callable[..., NativeParser], tuple[Any, ...]]:
        """Return how a copy is made, in this or another process: the library is loaded again from its path."""
        if self.closed:
            raise ParserClosedError("the parser is closed, and cannot be pickled. Load it again.")
        return _load_again, (type(self), self.path, self.variant.target, self.on_long, self.min_score)

    def _find(self, name: str) -> Any:
        function = self._library[f"{self.manifest.prefix}_{name}"]
        handle = ctypes.c_void_p
        if name == "parse":
            function.argtypes = (
                handle,
                ctypes.c_char_p,
                ctypes.c_size_t,
                ctypes.c_uint32,
                ctypes.POINTER(Answer),
            )
        elif name == "close":
            function.argtypes, function.restype = (handle,), None
        elif name in ("rank", "alternatives"):
            function.argtypes = (handle, ctypes.POINTER(Ranked), ctypes.c_int32)
        elif name == "set_min_score":
            function.argtypes = (handle, ctypes.c_double)
        return function

    def _open(self) -> None:
        where = f"{self.path / str(self.variant.library)}"
        abi = self._find("abi")()
        if abi >> 16 != ABI:
            raise PackageError(
                f"{where}: interface {abi >> 16}, expected {ABI}. Install the pqrnn that built it, or build it again."
            )
        self._message = self._find("message")
        self._message.restype = ctypes.c_char_p
        self._rank = self._find("rank")
        self._abi = abi
        handle = ctypes.c_void_p()
        status = self._find("open")(ctypes.byref(handle))
        if status:
            reason = f"{where}: {self._message(status).decode()}."
            raise (UnsupportedTargetError if status == WRONG_PROCESSOR else DeviceError)(reason)
        self._handle = handle.value

    def _set_min_score(self, least: float | None) -> None:
        if least == 0:
            return
        status = self._since_calibration("set_min_score")(self._handle, RECOMMENDED if least is None else least)
        if status == NO_CALIBRATION:
            raise CalibrationMissingError(nothing_recommended(str(self.path), "build"))
        if status:
            raise DeviceError(f"{self.path}: {self._message(status).decode()}.")

    def _since_calibration(self, name: str) -> Any:
        """Return a function that libraries of interface 1.0 lack."""
        if self._abi < CALIBRATED_SINCE:
            raise PackageError(
                f"{self.path / str(self.variant.library)}: interface 1.0 has no {name}. Build it again with "
                "`pqrnn native`."
            )
        return self._find(name)

    def _list_intents(self, ranking: Callable[..., int], most: int) -> list[tuple[str, float]]:
        ranked = (Ranked * min(most, len(self.intents)))()
        count = ranking(self._handle, ranked, len(ranked))
        return [(self.intents[entry.intent], entry.score) for entry in ranked[:count]]

    def _read_slot(self, slot: AnswerSlot, shown: str, score: float | None) -> Slot:
        label = self._labels.get(slot.label)
        if label is None:
            label = self._labels[slot.label] = slot.label.decode()
        start, end = slot.first, slot.last
        return Slot(label, shown[start:end], start, end, score)

    def _fail(self, status: int, raw: bytes) -> None:
        if self._handle is None:
            raise ParserClosedError("the parser is closed. Load it again.")
        if status == TOO_LONG:
            raise InputTooLongError(
                f"the text has {len(raw)} bytes; this parser reads up to {self.variant.words} words in "
                f"{self.variant.bytes} bytes. Shorten it, or load the parser with on_long='truncate'."
            )
        raise DeviceError(f"{self.path}: {self._message(status).decode()}.")


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
    import platform

    machine = {"amd64": "x86_64", "arm64": "aarch64", "armv8l": "armv7l"}.get(
        platform.machine().lower(), platform.machine()
    )
    fits = [
        variant
        for variant in manifest.variants
        if variant.library is not None and _is_for(variant.triple, machine, sys.platform)
    ]
    if not fits:
        raise UnsupportedTargetError(
            f"{folder}: nothing for {machine} under {sys.platform}; it has: {listed}. "
            "Build it with `pqrnn native -t TARGET`."
        )
    return sorted(fits, key=lambda variant: -len(variant.features))


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
