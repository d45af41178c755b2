"""From logits to a typed parse: pure functions, shared by the device and by the trainer's scoring.

Positions in a result are code points of ``Parse.text``. For bytes as input that text is
``raw.decode("utf-8", "replace")``, where one U+FFFD stands for each maximal part of an invalid sequence (the practice
that Unicode recommends, chapter 3.9, and that Python follows).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from runtime_py.decode.calibration import Calibration, judge, judge_slot, log_probabilities, rank_intents
from runtime_py.decode.frame_search import Frames
from runtime_py.decode.frame_weights import FrameWeights
from runtime_py.decode.tags import TagScheme, WordSpan
from runtime_py.values.names import Value

_LONGEST_TAIL = 64  # bytes that may be given up to end a cut text at a space
Outcome = Literal["parsed", "rejected"]

_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot of a parse: ``text`` is ``Parse.text[start:end]``.

    Attributes:
        label: Name of the slot.
        text: The piece of the text that fills it.
        start: Index of its first code point.
        end: Index of the code point after its last.
        score: Probability that label, beginning and end are right; None from a parser without a calibration. It tells
            no two slots apart.
        value: What the text stands for, from a parser with names (`Parser.with_values`); None for other slots.
    """

    label: str
    text: str
    start: int
    end: int
    score: float | None = field(default=None, compare=False)
    value: Value | None = None

    def __repr__(self) -> str:
        """Show the fields in order, without their names."""
        return f"Slot({self.label!r}, {self.text!r}, {self.start}, {self.end})"

    def to_dict(self) -> dict[str, Any]:
        """Return plain types, ready for JSON."""
        said: dict[str, Any] = {"label": self.label, "text": self.text, "start": self.start, "end": self.end}
        if self.score is not None:
            said["score"] = self.score
        if self.value is not None:
            said["value"] = self.value.to_dict()
        return said


@dataclass(frozen=True, slots=True)
class Alternative:
    """One of the intents that a text may have.

    Attributes:
        intent: Name of the intent.
        score: Probability of the intent, whatever its slots; those of all intents together are 1.
    """

    intent: str
    score: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain types, ready for JSON."""
        return {"intent": self.intent, "score": self.score}


@dataclass(frozen=True, slots=True)
class Parse:
    """The meaning of a text: its intent and its slots.

    Attributes:
        intent: Name of the intent.
        score: Probability that the text is in scope and that intent and slots are all right, where `calibrated`;
            else the softmax probability of the intent, which is no such thing.
        slots: The slots, from left to right.
        text: The text as code points.
        truncated: Whether the text was longer than the package can read, and its end was left out.
        words: Number of words that the model read.
        calibrated: Whether the package has a calibration (`pqrnn calibrate`), so that scores are probabilities.
        in_scope: Probability that the text is one of the kind that the parser is for; None where that is not known.
        outcome: ``rejected`` where the text did not reach the threshold of `Parser.load`: intent and slots are a guess.
        alternatives: The most probable intents, that of the parse first, where they were asked for.
        offset: Where ``text`` begins in the sentence that `Parser.parse_all` was given, in code points.
    """

    intent: str
    score: float
    slots: tuple[Slot, ...]
    text: str
    truncated: bool
    words: int
    calibrated: bool = False
    in_scope: float | None = None
    outcome: Outcome = "parsed"
    alternatives: tuple[Alternative, ...] = ()
    offset: int = 0

    def __repr__(self) -> str:
        """Show what a person wants to see first; the text and the word count are left out."""
        cut = ", truncated=True" if self.truncated else ""
        rejected = ", outcome='rejected'" if self.outcome == "rejected" else ""
        return f"Parse(intent={self.intent!r}, score={self.score:.2f}, slots={list(self.slots)!r}{rejected}{cut})"

    def to_dict(self) -> dict[str, Any]:
        """Return plain types, ready for JSON."""
        said = {
            "text": self.text,
            "intent": self.intent,
            "score": self.score,
            "calibrated": self.calibrated,
            "outcome": self.outcome,
            "slots": [slot.to_dict() for slot in self.slots],
            "words": self.words,
            "truncated": self.truncated,
        }
        if self.in_scope is not None:
            said["in_scope"] = self.in_scope
        if self.offset:
            said["offset"] = self.offset
        if self.alternatives:
            said["alternatives"] = [alternative.to_dict() for alternative in self.alternatives]
        return said


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return probabilities over the last axis, safe for large logits."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: NDArray[np.float32] = shifted / shifted.sum(axis=-1, keepdims=True)
    return result


def encode_text(text: str | bytes) -> tuple[str, bytes]:
    """Return a text as code points and as the bytes that the model reads.

    A lone surrogate in a string, which UTF-8 cannot hold, is read as U+FFFD, so that positions stay those of the
    given string.

    Args:
        text: A string, or UTF-8 that may be invalid.

    Raises:
        TypeError: For any other type.
    """
    if isinstance(text, str):
        try:
            return text, text.encode()
        except UnicodeEncodeError:
            text = _SURROGATES.sub("\ufffd", text)
            return text, text.encode()
    if isinstance(text, bytes | bytearray | memoryview):
        raw = bytes(text)
        return raw.decode("utf-8", "replace"), raw
    raise TypeError(f"expected str or bytes as text, got {type(text).__name__}")


def code_point_span(raw: bytes, start: int, end: int) -> tuple[int, int]:
    """Turn a range of bytes into a range of code points of ``raw.decode("utf-8", "replace")``.

    A bound inside a character, or inside an invalid sequence, grows the range to the whole of it.

    Args:
        raw: The bytes, valid UTF-8 or not.
        start: First byte.
        end: Byte after the last one; an empty range gives an empty range.
    """
    # A prefix that ends inside a sequence decodes to one U+FFFD for the begun part, so counting prefixes needs no
    # table of boundaries.
    if end <= start:
        position = len(raw[:start].decode("utf-8", "replace"))
        return position, position
    return len(raw[: start + 1].decode("utf-8", "replace")) - 1, len(raw[:end].decode("utf-8", "replace"))


def find_tail(raw: bytes, start: int, end: int, points: int) -> int:
    """Return the byte at which the last ``points`` code points of ``raw[start:end]`` begin.

    It is ``start`` where the range has no more of them. The range begins and ends between two characters, as words do.
    """
    kept = len(raw[start:end].decode("utf-8", "replace")) - points
    if kept <= 0 or points <= 0:
        return start
    # Going back, the first prefix with so many characters ends between two: one that ends inside a character counts the
    # begun part.
    return next(bound for bound in range(end, start, -1) if len(raw[start:bound].decode("utf-8", "replace")) == kept)


def place_run(run: WordSpan, raw: bytes, spans: Sequence[Sequence[int]]) -> tuple[int, int]:
    """Return the span in bytes of a labelled run of words, where `spans` are those of all words."""
    start, end = spans[run.start][0], spans[run.end - 1][1]
    return (find_tail(raw, start, spans[run.start][1], run.tail) if run.tail else start), end


def cut_bytes(raw: bytes, limit: int) -> bytes:
    """Return the longest prefix of at most ``limit`` bytes that ends between two characters."""
    if len(raw) <= limit:
        return raw
    for end in range(limit, max(0, limit - 4), -1):
        # Between two characters, the one that holds the next byte has as many before it as the prefix holds.
        if code_point_span(raw, end, end + 1)[0] == len(raw[:end].decode("utf-8", "replace")):
            return raw[:end]
    return b""


def cut_text(raw: bytes, limit: int) -> bytes:
    """Return a prefix of at most ``limit`` bytes that ends between two characters.

    Where a space is near, it does not end inside a word.
    """
    head = cut_bytes(raw, limit)
    if head == raw or raw[len(head)] <= 0x20:
        return head
    space = head.rfind(b" ", max(0, len(head) - _LONGEST_TAIL))
    return head[:space] if space > 0 else head


class Decoder:
    """Turns the logits of one text into a ``Parse``."""

    __slots__ = ("_frames", "calibration", "intents", "scheme")

    def __init__(
        self,
        intents: Sequence[str],
        tags: Sequence[str],
        frames: Sequence[Sequence[int]] = (),
        counts: Sequence[Sequence[Sequence[int]]] = (),
        weights: FrameWeights | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        """Prepare the names.

        Args:
            intents: Names of the intents, in the order of the logits.
            tags: Names of the tags, in the order of the logits.
            frames: For each intent, indices of its slots in the sorted list of all slots' labels. Empty if every slot
                goes with every intent.
            counts: For each intent, how often it came with which slots (`runtime_py.decode.frame_search.Frames`).
                Empty if parses are not weighed by that.
            weights: How much frames and counts weigh; by default as for packages before schema 1.5.
            calibration: What turns logits into probabilities; without one a score is the softmax of the intent.
        """
        self.calibration = calibration
        self.intents = tuple(intents)
        self.scheme = TagScheme(tags)
        self._frames = Frames(self.scheme, frames, counts, weights)

    def parse(
        self,
        text: str,
        raw: bytes,
        intent: NDArray[np.float32],
        tags: NDArray[np.float32],
        spans: NDArray[np.int32],
        truncated: bool = False,
        alternatives: int = 0,
    ) -> Parse:
        """Decide on one text.

        Args:
            text: The text as code points; positions in the result refer to it.
            raw: The same text as bytes; ``spans`` refers to it.
            intent: Logits, float32 [intents].
            tags: Logits, float32 [words, tags].
            spans: Start and end byte of each word, int32 [words, 2].
            truncated: Whether the end of the text was left out.
            alternatives: How many of the most probable intents to name.
        """
        best, chosen = self.choose_tags(intent, tags)
        runs = self.scheme.spans(chosen)
        slots = self._slots(text, raw, runs, spans.tolist()) if runs else ()
        score, in_scope, calibration = 1.0 / float(np.exp(intent - intent[best]).sum()), None, self.calibration
        if calibration is not None:
            logarithms = log_probabilities(intent, tags, best, chosen)
            score, in_scope = judge(calibration, intent, logarithms)
            slots = tuple(
                replace(slot, score=judge_slot(calibration.slots, logarithms.tags, run.start, run.end))
                for slot, run in zip(slots, runs, strict=True)
            )
        named: tuple[Alternative, ...] = ()
        if alternatives:
            temperature = calibration.temperature if calibration is not None else 1.0
            ranked = rank_intents(intent, best, alternatives, temperature)
            named = tuple(Alternative(self.intents[index], share) for index, share in ranked)
        return Parse(
            self.intents[best],
            score,
            slots,
            text,
            truncated,
            len(tags),
            calibrated=calibration is not None,
            in_scope=in_scope,
            alternatives=named,
        )

    def decide(self, intent: NDArray[np.float32], tags: NDArray[np.float32]) -> tuple[int, list[WordSpan]]:
        """Return the index of the intent, and the slots as runs of words.

        Args:
            intent: Logits, float32 [intents].
            tags: Logits, float32 [words, tags].
        """
        best, chosen = self.choose_tags(intent, tags)
        return best, self.scheme.spans(chosen)

    def choose_tags(self, intent: NDArray[np.float32], tags: NDArray[np.float32]) -> tuple[int, list[int]]:
        """Return the index of the intent, and that of each word's tag.

        They are the best parse that is well-formed (`runtime_py.decode.frame_search`).

        Args:
            intent: Logits, float32 [intents].
            tags: Logits, float32 [words, tags].
        """
        return self._frames.decide(intent, tags)

    def _slots(self, text: str, raw: bytes, runs: list[WordSpan], spans: list[list[int]]) -> tuple[Slot, ...]:
        slots = []
        plain = len(text) == len(raw)
        for run in runs:
            start, end = place_run(run, raw, spans)
            if not plain:
                start, end = code_point_span(raw, start, end)
            slots.append(Slot(run.label, text[start:end], start, end))
        return tuple(slots)
