"""What a native parser answers: the fields of `runtime_py.decode.decoder.Parse`, without NumPy, which that needs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class NativeSlot:
    """One slot of a parse: ``text`` is ``NativeParse.text[start:end]``.

    Attributes:
        label: Name of the slot.
        text: The piece of the text that fills it.
        start: Index of its first code point.
        end: Index of the code point after its last.
    """

    label: str
    text: str
    start: int
    end: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain types, ready for JSON."""
        return {"label": self.label, "text": self.text, "start": self.start, "end": self.end}


@dataclass(frozen=True, slots=True)
class NativeParse:
    """The meaning of a text: its intent and its slots.

    Attributes:
        intent: Name of the intent.
        score: Softmax probability of the intent.
        slots: The slots, from left to right.
        text: The text as code points.
        truncated: Whether the text was longer than the parser can read, and its end was left out.
        words: Number of words that were read.
        calibrated: Whether the score is the calibrated one: never, in a native parser.
        outcome: ``parsed``: a native parser rejects nothing.
    """

    intent: str
    score: float
    slots: tuple[NativeSlot, ...]
    text: str
    truncated: bool
    words: int
    calibrated: bool = False
    outcome: str = "parsed"

    def to_dict(self) -> dict[str, Any]:
        """Return plain types, ready for JSON."""
        return {
            "text": self.text,
            "intent": self.intent,
            "score": self.score,
            "calibrated": self.calibrated,
            "outcome": self.outcome,
            "slots": [slot.to_dict() for slot in self.slots],
            "words": self.words,
            "truncated": self.truncated,
        }


def read_text(text: str | bytes) -> tuple[str, bytes]:
    """Return a text as code points and as bytes, as `runtime_py.decode.decoder.encode_text` does.

    Raises:
        TypeError: It is neither a string nor bytes.
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
