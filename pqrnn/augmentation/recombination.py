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
    """A position at which an utterance can be cut: at the beginning or the end of a slot's value."""

    label: str
    at_end: bool


class _Half(NamedTuple):
    """Words of an utterance from a joint to the end."""

    utterance: EncodedUtterance
    position: int


class Recombination:
    """Recombines the utterances of a data set."""

    def __init__(self, utterances: Sequence[EncodedUtterance], tags: Sequence[str]) -> None:
        """Index where utterances can be cut, and which templates there are. `tags`: the tag list of the model."""
        self._tags = TagSet(tags)
        self._halves: dict[tuple[int, _Joint], dict[str, list[_Half]]] = defaultdict(lambda: defaultdict(list))
        self._intents: dict[tuple[str | int, ...], set[int]] = defaultdict(set)
        for utterance in utterances:
            if utterance.tags is not None:
                self._intents[self._template(utterance)].add(utterance.intent)
                for joint, position in self._joints(utterance):
                    self._halves[utterance.intent, joint][utterance.language].append(_Half(utterance, position))

    def cross(self, utterance: EncodedUtterance, rng: random.Random, foreign: float = 0.0) -> EncodedUtterance:
        """Return an utterance that goes on as another one of the same intent does.

        The first is kept up to the beginning or end of one of its slot values; the other follows from the same slot on.
        It is of the same language, or with probability `foreign` of another one, where there is such an utterance. An
        utterance without slots stays.
        """
        joints = list(self._joints(utterance))
        if utterance.tags is None or not joints:
            return utterance
        joint, position = rng.choice(joints)
        halves = self._halves.get((utterance.intent, joint), {})
        others = [language for language in halves if language != utterance.language]
        language = rng.choice(others) if rng.random() < foreign and others else utterance.language
        if language not in halves:
            return utterance
        other, start = rng.choice(halves[language])
        assert other.tags is not None
        return EncodedUtterance(
            utterance.words[:position] + other.words[start:],
            utterance.tags[:position] + other.tags[start:],
            utterance.intent,
            language=utterance.language,
        )

    def drop(self, utterance: EncodedUtterance, rng: random.Random) -> EncodedUtterance:
        """Return the utterance without one of its slot values, which is drawn.

        An utterance that has none, or nothing else, stays.
        """
        slots = [] if utterance.tags is None else [run for run in self._tags.cut(utterance.tags) if run.label]
        if utterance.tags is None or not slots:
            return utterance
        _, start, end = rng.choice(slots)
        if end - start == len(utterance.words):
            return utterance
        return EncodedUtterance(
            utterance.words[:start] + utterance.words[end:],
            utterance.tags[:start] + utterance.tags[end:],
            utterance.intent,
            language=utterance.language,
        )

    def is_known(self, utterance: EncodedUtterance) -> bool:
        """Say whether the data have the template of an utterance, and only ever with its intent.

        A template is the words outside slots and the slots between them.
        """
        return utterance.tags is not None and self._intents.get(self._template(utterance)) == {utterance.intent}

    def _template(self, utterance: EncodedUtterance) -> tuple[str | int, ...]:
        assert utterance.tags is not None
        return tuple(label or utterance.words[start] for label, start, _ in self._tags.cut(utterance.tags))

    def _joints(self, utterance: EncodedUtterance) -> Iterator[tuple[_Joint, int]]:
        for label, start, end in self._tags.cut(utterance.tags) if utterance.tags is not None else ():
            if label:
                yield _Joint(label, False), start
                yield _Joint(label, True), end
