"""What parsers are given and answer: texts, intents and slots. Plain Python, since native parsers do without NumPy."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

from runtime_py.decode.record import Record

if TYPE_CHECKING:
    from runtime_py.values.names import Value
    from runtime_py.values.readings import Normalised

Outcome = Literal["parsed", "rejected"]

_SURROGATES = re.compile("[\ud800-\udfff]")


class Slot(Record, uncompared=("score",)):
    """One slot of a parse: ``text`` is ``Parse.text[start:end]``.

    Attributes:
        label: Name of the slot.
        text: The piece of the text that fills it.
        start: Index of its first code point.
        end: Index of the code point after its last.
        score: Probability that label, beginning and end are right; None from a parser without a calibration. It tells
            no two slots apart.
        value: What the text stands for, from a parser with names or normalised values (`Parser.with_values`); None for
            other slots.
    """

    __slots__ = ("end", "label", "score", "start", "text", "value")
    label: str
    text: str
    start: int
    end: int
    score: float | None
    value: Value | Normalised | None

    def __init__(
        self,
        label: str,
        text: str,
        start: int,
        end: int,
        score: float | None = None,
        value: Value | Normalised | None = None,
    ) -> None:
        """Set the fields."""
        set_label, set_text, set_start, set_end, set_score, set_value = Slot.setters
        set_label(self, label)
        set_text(self, text)
        set_start(self, start)
        set_end(self, end)
        set_score(self, score)
        set_value(self, value)

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


class Alternative(Record):
    """One of the intents that a text may have.

    Attributes:
        intent: Name of the intent.
        score: Probability of the intent, whatever its slots; those of all intents together are 1.
    """

    __slots__ = ("intent", "score")
    intent: str
    score: float

    def __init__(self, intent: str, score: float) -> None:
        """Set the fields."""
        set_intent, set_score = Alternative.setters
        set_intent(self, intent)
        set_score(self, score)

    def to_dict(self) -> dict[str, Any]:
        """Return plain types, ready for JSON."""
        return {"intent": self.intent, "score": self.score}


class Parse(Record):
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

    __slots__ = (
        "alternatives",
        "calibrated",
        "in_scope",
        "intent",
        "offset",
        "outcome",
        "score",
        "slots",
        "text",
        "truncated",
        "words",
    )
    intent: str
    score: float
    slots: tuple[Slot, ...]
    text: str
    truncated: bool
    words: int
    calibrated: bool
    in_scope: float | None
    outcome: Outcome
    alternatives: tuple[Alternative, ...]
    offset: int

    def __init__(
        self,
        intent: str,
        score: float,
        slots: tuple[Slot, ...],
        text: str,
        truncated: bool,
        words: int,
        calibrated: bool = False,
        in_scope: float | None = None,
        outcome: Outcome = "parsed",
        alternatives: tuple[Alternative, ...] = (),
        offset: int = 0,
    ) -> None:
        """Set the fields."""
        (
            set_intent,
            set_score,
            set_slots,
            set_text,
            set_truncated,
            set_words,
            set_calibrated,
            set_in_scope,
            set_outcome,
            set_alternatives,
            set_offset,
        ) = Parse.setters
        set_intent(self, intent)
        set_score(self, score)
        set_slots(self, slots)
        set_text(self, text)
        set_truncated(self, truncated)
        set_words(self, words)
        set_calibrated(self, calibrated)
        set_in_scope(self, in_scope)
        set_outcome(self, outcome)
        set_alternatives(self, alternatives)
        set_offset(self, offset)

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
