"""The labels of a parser that learns further commands: those it has keep their numbers, new ones follow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from pqrnn.data.examples import Example
from pqrnn.dataset.labels import list_labels
from runtime_py.decode.labels import Labels
from runtime_py.decode.tags import TagScheme

_TIMES = 100  # a parser without slots has no counts: its intents came so often with none, where slots are added


class Additions(NamedTuple):
    """What new rows add to a parser.

    Attributes:
        labels: All labels, the old ones first.
        intents: New intents.
        slots: New slots.
        widened: Intents that it had and the slots that they were never seen with before.
        known: Intents that it had and how many of the new rows have them.
    """

    labels: Labels
    intents: tuple[str, ...]
    slots: tuple[str, ...]
    widened: dict[str, tuple[str, ...]]
    known: dict[str, int]

    def describe(self) -> list[str]:
        """Return lines that tell a person what changes."""
        lines = [
            f"new intents: {', '.join(self.intents) or 'none'}; new slots: {', '.join(self.slots) or 'none'}",
        ]
        if self.known:
            told = ", ".join(f"{intent} ({count} rows)" for intent, count in self.known.items())
            lines.append(f"intents that the parser has already, and that learn from more rows: {told}")
        lines += [
            f"{intent} comes with slots that it was never seen with: {', '.join(slots)}"
            for intent, slots in self.widened.items()
        ]
        return lines


def extend_labels(before: Labels, rows: Sequence[Example]) -> Additions:
    """Return the labels of a parser that learns these rows, too.

    Frames and counts of the old training are kept; those of the rows are added. The weights of the frames, which were
    chosen on development data of the old training, stay.

    Args:
        before: Labels of the parser.
        rows: New rows, segmented where they are already.
    """
    fresh = list_labels(rows)
    intents = _append(before.intents, fresh.intents)
    tags = _append(before.tags, fresh.tags)
    old_slots, new_slots, slots = (TagScheme(each).slots for each in (before.tags, fresh.tags, tags))
    frames, counts = _name(before, old_slots), _name(fresh, new_slots)
    rows_of = Counter(row.intent for row in rows)
    if not fresh.frame_counts:  # no new row has a slot
        counts.counts.update({intent: Counter({(): times}) for intent, times in rows_of.items()})
    index = {slot: number for number, slot in enumerate(slots)}
    seen: dict[str, set[str]] = {}
    widened: dict[str, tuple[str, ...]] = {}
    for intent in intents:
        old, new = frames.slots.get(intent, frozenset()), counts.slots.get(intent, frozenset())
        seen[intent] = {*old, *new}
        if before.frames and intent in before.intents and new - old:
            widened[intent] = tuple(sorted(new - old))
    labels = msgspec.structs.replace(
        before,
        intents=intents,
        tags=tags,
        frames=tuple(tuple(sorted(index[slot] for slot in seen[intent])) for intent in intents)
        if before.frames
        else (),
        frame_counts=_add_counts(before, intents, frames.counts, counts.counts, index),
    )
    return Additions(
        labels,
        intents[len(before.intents) :],
        tuple(slot for slot in slots if slot not in old_slots),
        widened,
        {intent: rows_of[intent] for intent in before.intents if intent in rows_of},
    )


class _Named(NamedTuple):
    """Frames with the names of slots: what each intent was seen with, and how often with which slots."""

    slots: dict[str, frozenset[str]]
    counts: dict[str, Counter[tuple[str, ...]]]


def _name(labels: Labels, slots: Sequence[str]) -> _Named:
    counts: dict[str, Counter[tuple[str, ...]]] = {}
    for intent, frames in zip(labels.intents, labels.frame_counts, strict=False):
        counts[intent] = Counter({tuple(slots[slot] for slot in frame[1:]): frame[0] for frame in frames})
    seen = {
        intent: frozenset(slots[slot] for slot in frame)
        for intent, frame in zip(labels.intents, labels.frames, strict=False)
    }
    return _Named(seen, counts)


def _add_counts(
    before: Labels,
    intents: Sequence[str],
    old: dict[str, Counter[tuple[str, ...]]],
    new: dict[str, Counter[tuple[str, ...]]],
    index: dict[str, int],
) -> tuple[tuple[tuple[int, ...], ...], ...]:
    if not before.frame_counts:
        if len(before.tags) > 1 or not index or not before.frames:
            return ()  # a parser of before there were counts: parses are not weighed by them
        old = {intent: Counter({(): _TIMES}) for intent in before.intents}
    return tuple(
        tuple(
            (times, *slots)
            for slots, times in sorted(
                (tuple(sorted(index[slot] for slot in frame)), times)
                for frame, times in (old.get(intent, Counter()) + new.get(intent, Counter())).items()
            )
        )
        for intent in intents
    )


def _append(old: Sequence[str], new: Iterable[str]) -> tuple[str, ...]:
    known = set(old)
    return (*old, *(name for name in new if name not in known))
