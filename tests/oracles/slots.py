"""Slots from tags, read word by word: what the alignment and the decoder are compared with."""

from __future__ import annotations

from collections.abc import Sequence

from pqrnn.data.examples import SlotSpan
from pqrnn.data.offsets import number_code_points


def read_slots(text: str, tags: Sequence[str], words: Sequence[tuple[int, int]]) -> tuple[SlotSpan, ...]:
    """Return the slots that ``tags`` write, in code points.

    An ``I-x`` with nothing of its label before it begins a slot, and ``B2-x`` one of the last two code points of its
    word. Tags past the last word are ignored.
    """
    points = number_code_points(text)
    slots: list[SlotSpan] = []
    label = ""
    for tag, (start, end) in zip(tags, words, strict=False):
        if tag == "O":
            label = ""
        elif tag[0] == "I" and tag[2:] == label:
            slots[-1] = SlotSpan(label, slots[-1].start, points[end])
        else:
            mark, _, label = tag.partition("-")
            slots.append(
                SlotSpan(
                    label, max(points[start], points[end] - int(mark[1:])) if mark[1:] else points[start], points[end]
                )
            )
    return tuple(slots)
