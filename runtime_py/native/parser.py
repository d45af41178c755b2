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

from runtime_py.decode.answers import Parse, Slot, encode_text
from runtime_py.errors import DeviceError, InputTooLongError, PackageError, ParserClosedError, UnsupportedTargetError
from runtime_py.native.manifest import NativeManifest, NativeVariant, check_library, read_manifest

OnLong = Literal["error", "truncate"]
_ABI = 1
_TOO_LONG, _WRONG_PROCESSOR, _TRUNCATE = 1, 4, 1
_SYSTEMS = {"linux": ("linux", "host"), "darwin": ("apple",), "win32": ("windows",)}


class _Slot(ctypes.Structure):
    _fields_ = (
        ("label", ctypes.c_char_p),
        ("start", ctypes.c_int32),
        ("end", ctypes.c_int32),
        ("first", ctypes.c_int32),
        ("last", ctypes.c_int32),
    )


class _Answer(ctypes.Structure):
    _fields_ = (
        ("size", ctypes.c_uint32),
        ("intent", ctypes.c_int32),
        ("words", ctypes.c_int32),
        ("truncated", ctypes.c_int32),
        ("slot_count", ctypes.c_int32),
        ("read", ctypes.c_int32),
        ("score", ctypes.c_double),
        ("intent_name", ctypes.c_char_p),
        ("slots", ctypes.POINTER(_Slot)),
        ("intent_logits", ctypes.POINTER(ctypes.c_float)),
        ("tag_logits", ctypes.POINTER(ctypes.c_float)),
        ("spans", ctypes.POINTER(ctypes.c_int32)),
    )


class _Ranked(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("score", ctypes.c_double),
        ("intent", ctypes.c_int32),
        ("reserved", ctypes.c_int32),
    )


class NativeParser:
    """A parser that is a library of its own.

    One parser may be used from several threads: a lock lets one call at a time run on it. Python's own lock is free
    while it computes, so parsers of several threads run side by side. A process may be forked at any time.
    """

    def __init__(self, path: str | Path, manifest: NativeManifest, variant: NativeVariant, on_long: OnLong) -> None:
        """Load the library of a variant whose files were checked; `load` is what applications call."""
        self.path, self.manifest, self.variant, self.on_long = Path(path), manifest, variant, on_long
        self._handle: int | None = None
        where = self.path / str(variant.library)
        try:
            self._library = ctypes.CDLL(os.fspath(where))
            self._parse, self._close = self._find("parse"), self._find("close")
            self._open()
        except (OSError, AttributeError) as error:
            raise DeviceError(f"{where}: cannot be loaded ({error}). Build it again with `pqrnn native`.") from error
        self._answer = _Answer(size=ctypes.sizeof(_Answer))
        self._reference = ctypes.byref(self._answer)
        self._flags = _TRUNCATE if on_long == "truncate" else 0
        name = self._find("intent_name")
        name.restype = ctypes.c_char_p
        self.intents = tuple(name(index).decode() for index in range(self._find("intents")()))
        self._labels: dict[bytes, str] = {}
        self._lock = Lock()

    @classmethod
    def load(
        cls, path: str | Path, *, variant: str | None = None, on_long: OnLong = "error", verify: bool = True
    ) -> Self:
        """Load a parser from a folder of `pqrnn native`.

        A library is code that runs with the rights of this process: load only what comes from someone whom you trust.

        Args:
            path: The folder.
            variant: Name of a target; by default the first that runs on this machine, those with more features before.
            on_long: What to do with a text that is too long: ``error`` raises `InputTooLongError`, ``truncate`` reads
                what fits and says so in the answer.
            verify: Whether to compare the library's SHA-256 with what was built.

        Raises:
            PackageError: The folder cannot be read, is damaged, or does not have that variant.
            UnsupportedTargetError: No variant runs on this machine.
            DeviceError: The system refuses the library.
            ValueError: ``on_long`` is neither.
        """
        if on_long not in ("error", "truncate"):
            raise ValueError(f"on_long is {on_long!r}, expected 'error' or 'truncate'")
        folder = Path(path)
        manifest = read_manifest(folder)
        refused: list[str] = []
        for candidate in _choose(folder, manifest, variant):
            if verify:
                check_library(folder, candidate)
            try:
                return cls(os.path.abspath(path), manifest, candidate, on_long)
            except UnsupportedTargetError as error:
                refused.append(str(error))
        raise UnsupportedTargetError(f"{folder}: nothing runs on this machine. {' '.join(refused)}")

    def __call__(self, text: str | bytes) -> Parse:
        """Parse one text.

        Args:
            text: A string, or UTF-8 bytes. Invalid bytes read as U+FFFD; zero bytes separate words.

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
            if answer.slot_count:
                slots = tuple(self._read_slot(slot, shown) for slot in answer.slots[: answer.slot_count])
            return Parse(self.intents[answer.intent], answer.score, slots, shown, answer.truncated != 0, answer.words)

    def parse_batch(self, texts: Iterable[str | bytes]) -> list[Parse]:
        """Parse several texts, one after the other.

        Raises:
            InputTooLongError: As for one text; the message says which.
        """
        parses = []
        for index, text in enumerate(texts):
            try:
                parses.append(self(text))
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
        raw, wanted = encode_text(text)[1], min(most, len(self.intents))
        ranked = (_Ranked * wanted)()
        with self._lock:
            status = self._parse(self._handle, raw, len(raw), self._flags, self._reference)
            if status:
                self._fail(status, raw)
            count = self._rank(self._handle, ranked, wanted)
        return [(self.intents[entry.intent], entry.score) for entry in ranked[:count]]

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
        return _load_again, (type(self), self.path, self.variant.target, self.on_long)

    def _find(self, name: str) -> Any:
        function = self._library[f"{self.manifest.prefix}_{name}"]
        handle = ctypes.c_void_p
        if name == "parse":
            function.argtypes = (
                handle,
                ctypes.c_char_p,
                ctypes.c_size_t,
                ctypes.c_uint32,
                ctypes.POINTER(_Answer),
            )
        elif name in ("close", "rank"):
            function.argtypes = (handle,) if name == "close" else (handle, ctypes.POINTER(_Ranked), ctypes.c_int32)
            function.restype = None if name == "close" else ctypes.c_int32
        return function

    def _open(self) -> None:
        where = f"{self.path / str(self.variant.library)}"
        abi = self._find("abi")()
        if abi >> 16 != _ABI:
            raise PackageError(
                f"{where}: interface {abi >> 16}, expected {_ABI}. Install the pqrnn that built it, or build it again."
            )
        self._message = self._find("message")
        self._message.restype = ctypes.c_char_p
        self._rank = self._find("rank")
        handle = ctypes.c_void_p()
        status = self._find("open")(ctypes.byref(handle))
        if status:
            reason = f"{where}: {self._message(status).decode()}."
            raise (UnsupportedTargetError if status == _WRONG_PROCESSOR else DeviceError)(reason)
        self._handle = handle.value

    def _read_slot(self, slot: _Slot, shown: str) -> Slot:
        label = self._labels.get(slot.label)
        if label is None:
            label = self._labels[slot.label] = slot.label.decode()
        start, end = slot.first, slot.last
        return Slot(label, shown[start:end], start, end)

    def _fail(self, status: int, raw: bytes) -> None:
        if self._handle is None:
            raise ParserClosedError("the parser is closed. Load it again.")
        if status == _TOO_LONG:
            raise InputTooLongError(
                f"the text has {len(raw)} bytes; this parser reads up to {self.variant.words} words in "
                f"{self.variant.bytes} bytes. Shorten it, or load the parser with on_long='truncate'."
            )
        raise DeviceError(f"{self.path}: {self._message(status).decode()}.")


def _load_again(kind: type[NativeParser], path: Path, variant: str, on_long: OnLong) -> NativeParser:
    return kind.load(path, variant=variant, on_long=on_long)


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
