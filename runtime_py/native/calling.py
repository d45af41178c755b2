"""What every parser in a native library does: calls it, and reads its answers; by ctypes and `struct`."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from ctypes import string_at
from itertools import repeat
from struct import Struct, unpack
from threading import Lock
from types import TracebackType
from typing import Literal, Self

from runtime_py.decode.answers import Alternative, Parse, Slot, encode_text
from runtime_py.errors import DeviceError, InputTooLongError, ParserClosedError
from runtime_py.native.interface import ANSWER_FORMAT, SLOT_FORMAT, TOO_LONG, TRUNCATE, Answer
from runtime_py.native.library import Library

OnLong = Literal["error", "truncate"]
_ANSWER, _SLOT = Struct(ANSWER_FORMAT), Struct(SLOT_FORMAT)
_read_answer, _read_slots, _slot_bytes, _new = _ANSWER.unpack_from, _SLOT.iter_unpack, _SLOT.size, object.__new__


class LibraryParser:
    """A parser that is a library of its own.

    One parser may be used from several threads: a lock lets one call at a time run on it. Python's own lock is free
    while it computes, so parsers of several threads run side by side. A process may be forked at any time.
    """

    def __init__(self, library: Library, words: int, most_bytes: int, on_long: OnLong) -> None:
        """Take an open library.

        Args:
            library: The library.
            words: Number of words that it reads at most, for messages.
            most_bytes: Number of bytes that it reads at most, for messages.
            on_long: What to do with a text that is too long.
        """
        self.on_long: OnLong = on_long
        self.intents = library.intents
        self._library = library
        self._words, self._bytes = words, most_bytes
        self._parse = library.parse
        self._answer = Answer(size=ctypes.sizeof(Answer))
        self._reference = ctypes.byref(self._answer)
        self._flags = TRUNCATE if on_long == "truncate" else 0
        self._labels: dict[int, str] = {}  # by the address of the name, which stands in the library for good
        self._lock = Lock()

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
            self._run(raw)
            # All fields at once: reading them one by one through ctypes takes as long as a tenth of the call.
            (
                _,
                intent,
                words,
                truncated,
                count,
                _,
                score,
                _,
                slots_at,
                _,
                _,
                _,
                in_scope,
                calibrated,
                rejected,
                scores_at,
            ) = _read_answer(self._answer)
            slots = self._read_slots(shown, count, slots_at, scores_at if calibrated else 0) if count else ()
            named: tuple[Alternative, ...] = ()
            if alternatives > 0:
                ranked = self._library.list_intents("alternatives", alternatives)
                named = tuple(Alternative(name, share) for name, share in ranked)
        return Parse(
            self.intents[intent],
            score,
            slots,
            shown,
            truncated != 0,
            words,
            calibrated != 0,
            in_scope if calibrated and in_scope >= 0 else None,
            "rejected" if rejected else "parsed",
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
            self._run(raw)
            return self._library.list_intents("rank", most)

    def call_only(self, raw: bytes) -> int:
        """Call the library and leave its answer unread, for measuring; return its code."""
        return int(self._parse(self._library.handle, raw, len(raw), self._flags, self._reference))

    def close(self) -> None:
        """Give the memory back; further calls raise. Closing twice is fine."""
        with self._lock:
            self._library.close()

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._library.handle is None

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

    def _run(self, raw: bytes) -> None:
        """Answer a text into the parser's own answer; the caller holds the lock."""
        if status := self.call_only(raw):
            self._fail(status, raw)

    def _read_slots(self, shown: str, count: int, slots_at: int, scores_at: int) -> tuple[Slot, ...]:
        scores = unpack(f"{count}d", string_at(scores_at, 8 * count)) if scores_at else repeat(None)
        labels, slots = self._labels, []
        # Each slot is made as its `__init__` would, but without a call of that: they take most of the time beside the
        # library's own.
        set_label, set_text, set_start, set_end, set_score, set_value = Slot.setters
        for (name, _, _, first, last), score in zip(
            _read_slots(string_at(slots_at, count * _slot_bytes)), scores, strict=False
        ):
            slot = _new(Slot)
            set_label(slot, labels.get(name) or self._name(name))
            set_text(slot, shown[first:last])
            set_start(slot, first)
            set_end(slot, last)
            set_score(slot, score)
            set_value(slot, None)
            slots.append(slot)
        return tuple(slots)

    def _name(self, address: int) -> str:
        label = self._labels[address] = string_at(address).decode()
        return label

    def _fail(self, status: int, raw: bytes) -> None:
        if self._library.handle is None:
            raise ParserClosedError("the parser is closed. Load it again.")
        if status == TOO_LONG:
            raise InputTooLongError(
                f"the text has {len(raw)} bytes; this parser reads up to {self._words} words in {self._bytes} bytes. "
                "Shorten it, or load the parser with on_long='truncate'."
            )
        raise DeviceError(f"{self._library.where}: {self._library.message(status)}.")
