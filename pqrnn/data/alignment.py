"""From slots (code points of a text) to tags (one for each word), and an account of what does not fit.

`runtime_py.decode.decoder` has the way back.

A slot may also be the end of a word, as clitics are (`recuérda|me`): its tag says how many code points it has.

Words come as byte offsets into ``text.encode()``, as the projection finds them. Slots are compared and aligned with the
white space at their edges left out: no word covers it, so no parser could ever answer with it.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from pqrnn.data.examples import Example, SlotSpan
from pqrnn.data.offsets import measure_bytes

OUTSIDE = "O"
Spans = Sequence[tuple[int, int]]
"""Byte start and end (exclusive) of each word, in order and without overlap."""

# ZERO WIDTH SPACE and the byte order mark separate words, though Python does not count them as white space.
_INVISIBLE_SPACES = frozenset("\u200b\ufeff")
_SHOWN = 5
_LONGEST_TAIL = 99  # code points: two digits of a tag
_LEAST_TAILS = 10  # rows that a tag for the ends of words needs; rarer ones are slips of annotators


class Reason(StrEnum):
    """Why the slots of a row cannot be written as one tag for each word."""

    EMPTY = "empty slot"
    OVERLAP = "overlapping slots"
    INSIDE_WORD = "slot boundary inside a word"
    NO_WORD = "slot edge outside of every word"


def normalise_slots(text: str, slots: Iterable[SlotSpan]) -> tuple[SlotSpan, ...]:
    """Return ``slots`` with the white space at their edges left out, in the order of their positions.

    Evaluation does this to both sides before it compares them. A slot of nothing but white space becomes empty and
    stays.
    """
    trimmed = []
    for slot in slots:
        start, end = slot.start, slot.end
        while start < end and _is_space(text[start]):
            start += 1
        while end > start and _is_space(text[end - 1]):
            end -= 1
        trimmed.append(slot if (start, end) == (slot.start, slot.end) else SlotSpan(slot.label, start, end))
    return tuple(sorted(trimmed, key=lambda each: (each.start, each.end, each.label)))


def write_tags(text: str, slots: Iterable[SlotSpan], words: Spans) -> tuple[str, ...] | Reason:
    """Return one tag for each word, or the reason why there are none.

    A tag is ``O``, ``B-label`` or ``I-label``, or ``B2-label`` for the last two code points of a word. Where there are
    tags, decoding them gives back exactly the normalised slots.
    """
    normalised = normalise_slots(text, slots)
    tags = [OUTSIDE] * len(words)
    if not normalised:
        return tuple(tags)
    offsets = measure_bytes(text)
    firsts = {start: index for index, (start, _) in enumerate(words)}
    lasts = {end: index for index, (_, end) in enumerate(words)}
    reached = 0
    for slot in normalised:
        if slot.start == slot.end:
            return Reason.EMPTY
        if slot.start < reached:
            return Reason.OVERLAP
        reached = slot.end
    for slot in normalised:
        start, end = offsets[slot.start], offsets[slot.end]
        first, last = firsts.get(start), lasts.get(end)
        if first is None and last is not None and words[last][0] < start and slot.end - slot.start <= _LONGEST_TAIL:
            tags[last] = f"B{slot.end - slot.start}-{slot.label}"
            continue
        if first is None or last is None:
            return Reason.INSIDE_WORD if _cuts_word(words, start, end) else Reason.NO_WORD
        tags[first : last + 1] = [f"B-{slot.label}", *[f"I-{slot.label}"] * (last - first)]
    return tuple(tags)


def list_tags(examples: Sequence[Example], words: Iterable[Spans] = ()) -> tuple[str, ...]:
    """Return the tag inventory.

    It has ``O`` first, then ``B-x`` and ``I-x`` for each label in sorted order, then those for the ends of words.

    Args:
        examples: The rows.
        words: The words of each row's text; without them there are no tags for the ends of words.
    """
    labels = sorted({slot.label for example in examples for slot in example.slots})
    plain = (OUTSIDE, *(f"{mark}-{label}" for label in labels for mark in "BI"))
    counts: Counter[str] = Counter()
    for example, spans in zip(examples, words, strict=False):
        tags = write_tags(example.text, example.slots, spans)
        counts.update(() if isinstance(tags, Reason) else set(tags).difference(plain))
    return (*plain, *sorted(tag for tag, count in counts.items() if count >= _LEAST_TAILS))


def list_intents(examples: Iterable[Example]) -> tuple[str, ...]:
    """Return the intents in sorted order."""
    return tuple(sorted({example.intent for example in examples}))


@dataclass(slots=True)
class AlignmentReport:
    """How many rows could be tagged, and which could not.

    Attributes:
        rows: All rows seen.
        counts: Rows that could not be tagged, for each reason.
        sources: The first few of them, as ``file:line``.
    """

    rows: int = 0
    counts: Counter[Reason] = field(default_factory=Counter)
    sources: dict[Reason, list[str]] = field(default_factory=dict)

    @property
    def unrepresentable(self) -> int:
        """Rows that could not be tagged, whatever the reason."""
        return self.counts.total()

    def add(self, example: Example, outcome: tuple[str, ...] | Reason) -> None:
        """Count one row."""
        self.rows += 1
        if isinstance(outcome, Reason):
            self.counts[outcome] += 1
            first = self.sources.setdefault(outcome, [])
            if len(first) < _SHOWN:
                first.append(example.source or repr(example.text))

    def describe(self) -> str:
        """Return the account in lines for people: what was counted, why, and where it stands."""
        if not self.unrepresentable:
            return f"all {self.rows} rows can be written as one tag a word"
        lines = [
            f"{self.unrepresentable} of {self.rows} rows cannot be written as one tag a word; "
            "they train the intent only, and count as wrong in the evaluation:"
        ]
        for reason, count in self.counts.most_common():
            more = ", ..." if count > len(self.sources[reason]) else ""
            lines.append(f"  {reason}: {count} ({', '.join(self.sources[reason])}{more})")
        return "\n".join(lines)


def align_examples(
    examples: Sequence[Example], words: Iterable[Spans], known: Container[str] | None = None
) -> tuple[list[tuple[str, ...] | None], AlignmentReport]:
    """Return the tags of each row, None where there are none, and the account of it.

    Args:
        examples: The rows.
        words: The words of each row's text.
        known: The tags that there are; all, if None. A row that needs another one for the end of a word has none.

    Raises:
        ValueError: There are not as many ``words`` as ``examples``.
    """
    report = AlignmentReport()
    tagged: list[tuple[str, ...] | None] = []
    for example, spans in zip(examples, words, strict=True):
        outcome = write_tags(example.text, example.slots, spans)
        if (
            known is not None
            and not isinstance(outcome, Reason)
            and any(tag[1:2].isdigit() and tag not in known for tag in outcome)
        ):
            outcome = Reason.INSIDE_WORD
        report.add(example, outcome)
        tagged.append(None if isinstance(outcome, Reason) else outcome)
    return tagged, report


def _is_space(char: str) -> bool:
    """Say whether a character separates words, as the projection has it."""
    return char.isspace() or char in _INVISIBLE_SPACES or unicodedata.category(char) == "Cc"


def _cuts_word(words: Spans, *edges: int) -> bool:
    """Say whether one of the byte offsets lies inside a word."""
    return any(start < edge < end for start, end in words for edge in edges)
