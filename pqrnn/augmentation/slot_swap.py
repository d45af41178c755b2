"""A change of training utterances that leaves their labels right: slot values are swapped between utterances."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from pqrnn.dataset.encoded import EncodedUtterance
from runtime_py.decode.tags import TagScheme


class WordRun(NamedTuple):
    """Words `start` to `end` of an utterance: one slot value or, where `label` is empty, one word outside slots."""

    label: str
    start: int
    end: int


class TagSet:
    """A model's tag list, for cutting utterances into slot values and writing them anew."""

    def __init__(self, tags: Sequence[str]) -> None:
        """Index the tags "O", "B-x" and "I-x".

        A word of which only the end is a slot (B2-x) has no value that could stand elsewhere, so it counts as outside.
        """
        scheme = TagScheme(tags)
        self._labels = ["" if tail else label for label, tail in zip(scheme.labels, scheme.tails, strict=True)]
        self._begins = scheme.begins
        self._numbers = {tag: number for number, tag in enumerate(tags)}

    def cut(self, tags: Sequence[int]) -> list[WordRun]:
        """Return the slot values and the single words between them, in order: together the whole utterance."""
        runs, start = [], 0
        for index in range(1, len(tags) + 1):
            label = self._labels[tags[start]]
            if index == len(tags) or not label or self._labels[tags[index]] != label or self._begins[tags[index]]:
                runs.append(WordRun(label, start, index))
                start = index
        return runs

    def join(self, left: int, right: int) -> int | None:
        """Return the tag of one word that was two with these tags; None where they are of two slots."""
        first, second = self._labels[left], self._labels[right]
        if first and second and (first != second or self._begins[right]):
            return None
        return left if first or not second else self._numbers[f"B-{second}"]

    def is_inside(self, tag: int) -> bool:
        """Say whether a tag goes on with a slot that began before."""
        return bool(self._labels[tag]) and not self._begins[tag]

    def write(self, label: str, words: int) -> list[int]:
        """Return the tags of a slot value of so many words."""
        return [self._numbers[f"B-{label}"], *([self._numbers[f"I-{label}"]] * (words - 1))]


class SlotSwap:
    """Replaces slot values by values that the same slot has in other training utterances.

    They are of the same language, or on purpose of another one.
    """

    def __init__(self, utterances: Sequence[EncodedUtterance], tags: Sequence[str]) -> None:
        """Collect the values of every slot. `tags`: the tag list of the model."""
        self._tags = TagSet(tags)
        self._values: dict[str, dict[str, list[list[int]]]] = defaultdict(lambda: defaultdict(list))
        for utterance in utterances:
            if utterance.tags is not None:
                for label, start, end in self._tags.cut(utterance.tags):
                    if label:
                        self._values[label][utterance.language].append(utterance.words[start:end])

    def __call__(
        self, utterance: EncodedUtterance, share: float, rng: random.Random, foreign: float = 0.0
    ) -> EncodedUtterance:
        """Return the utterance with some of its slot values replaced.

        Each is replaced with probability `foreign` by one of another language, where the slot has any there, and else
        with probability `share` by one of its own language.
        """
        if utterance.tags is None:
            return utterance
        words: list[int] = []
        tags: list[int] = []
        for label, start, end in self._tags.cut(utterance.tags):
            value = self._draw(label, utterance.language, share, foreign, rng) if label else None
            words += utterance.words[start:end] if value is None else value
            tags += utterance.tags[start:end] if value is None else self._tags.write(label, len(value))
        return EncodedUtterance(words, tags, utterance.intent, language=utterance.language)

    def _draw(self, label: str, language: str, share: float, foreign: float, rng: random.Random) -> list[int] | None:
        values = self._values.get(label, {})
        others = [each for each in values if each != language]
        if rng.random() < foreign and others:
            return rng.choice(values[rng.choice(others)])
        return rng.choice(values[language]) if rng.random() < share and language in values else None
