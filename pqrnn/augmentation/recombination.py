"""New utterances from the pieces of those of one intent.

Two are joined where both have the same slot, or one loses one of its slots.

The pieces are real, what they make together need not be: whether the labels still hold is known only of templates that
the data have (`Recombination.is_known`).
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pqrnn.augmentation.slot_swap import TagSet
from pqrnn.dataset.encoded import EncodedUtterance


class _Joint(NamedTuple):
    """A place where a row can be cut: at the beginning or the end of a slot's value."""

    label: str
    at_end: bool


class _Half(NamedTuple):
    """Words of a row from a joint to the end."""

    row: EncodedUtterance
    place: int


class Recombination:
    """Recombines the rows of a corpus."""

    def __init__(self, rows: Sequence[EncodedUtterance], tags: Sequence[str]) -> None:
        """Index where rows can be cut, and which templates there are. `tags`: the tag list of the model."""
        self._tags = TagSet(tags)
        self._halves: dict[tuple[int, _Joint], dict[str, list[_Half]]] = defaultdict(lambda: defaultdict(list))
        self._intents: dict[tuple[str | int, ...], set[int]] = defaultdict(set)
        for row in rows:
            if row.tags is not None:
                self._intents[self._template(row)].add(row.intent)
                for joint, place in self._joints(row):
                    self._halves[row.intent, joint][row.language].append(_Half(row, place))

    def cross(self, row: EncodedUtterance, rng: random.Random, foreign: float = 0.0) -> EncodedUtterance:
        """Return an utterance that goes on as another one of the same intent does.

        The first is kept up to the beginning or end of one of its slot values; the other follows from the same slot on.
        It is of the same language, or with probability `foreign` of another one, where there is such an utterance. An
        utterance without slots stays.
        """
        joints = list(self._joints(row))
        if row.tags is None or not joints:
            return row
        joint, place = rng.choice(joints)
        halves = self._halves.get((row.intent, joint), {})
        others = [language for language in halves if language != row.language]
        language = rng.choice(others) if rng.random() < foreign and others else row.language
        if language not in halves:
            return row
        other, start = rng.choice(halves[language])
        assert other.tags is not None
        return EncodedUtterance(
            row.words[:place] + other.words[start:],
            row.tags[:place] + other.tags[start:],
            row.intent,
            language=row.language,
        )

    def drop(self, row: EncodedUtterance, rng: random.Random) -> EncodedUtterance:
        """Return the utterance without one of its slot values, which is drawn.

        An utterance that has none, or nothing else, stays.
        """
        slots = [] if row.tags is None else [run for run in self._tags.cut(row.tags) if run.label]
        if row.tags is None or not slots:
            return row
        _, start, end = rng.choice(slots)
        if end - start == len(row.words):
            return row
        return EncodedUtterance(
            row.words[:start] + row.words[end:], row.tags[:start] + row.tags[end:], row.intent, language=row.language
        )

    def is_known(self, row: EncodedUtterance) -> bool:
        """Say whether the data have the template of an utterance, and only ever with its intent.

        A template is the words outside slots and the slots between them.
        """
        return row.tags is not None and self._intents.get(self._template(row)) == {row.intent}

    def _template(self, row: EncodedUtterance) -> tuple[str | int, ...]:
        assert row.tags is not None
        return tuple(label or row.words[start] for label, start, _ in self._tags.cut(row.tags))

    def _joints(self, row: EncodedUtterance) -> Iterator[tuple[_Joint, int]]:
        for label, start, end in self._tags.cut(row.tags) if row.tags is not None else ():
            if label:
                yield _Joint(label, False), start
                yield _Joint(label, True), end
