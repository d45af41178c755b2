"""Training rows as numbers, and a change that leaves their labels right: slot values swapped between utterances."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from pqrnn.dataset.encoded import EncodedUtterance
from runtime_py.decode.tags import TagScheme


class WordRun(NamedTuple):
    """Words `start` to `end` of a row, which are one slot value; or, where `label` is empty, one word outside slots."""

    label: str
    start: int
    end: int


class TagSet:
    """A model's tag list, for cutting rows into slot values and writing them anew."""

    def __init__(self, tags: Sequence[str]) -> None:
        """Index the tags "O", "B-x" and "I-x".

        A word of which only the end is a slot (B2-x) has no value that could stand elsewhere, so it counts as outside.
        """
        scheme = TagScheme(tags)
        self._labels = ["" if tail else label for label, tail in zip(scheme.labels, scheme.tails, strict=True)]
        self._begins = scheme.begins
        self._numbers = {tag: number for number, tag in enumerate(tags)}

    def cut(self, tags: Sequence[int]) -> list[WordRun]:
        """Return the slot values and the single words between them, in order: together the whole row."""
        runs, start = [], 0
        for place in range(1, len(tags) + 1):
            label = self._labels[tags[start]]
            if place == len(tags) or not label or self._labels[tags[place]] != label or self._begins[tags[place]]:
                runs.append(WordRun(label, start, place))
                start = place
        return runs

    def write(self, label: str, words: int) -> list[int]:
        """Return the tags of a slot value of so many words."""
        return [self._numbers[f"B-{label}"], *([self._numbers[f"I-{label}"]] * (words - 1))]


class SlotSwap:
    """Replaces slot values by values that the same slot has in other training utterances.

    They are of the same language, or on purpose of another one.
    """

    def __init__(self, rows: Sequence[EncodedUtterance], tags: Sequence[str]) -> None:
        """Collect the values of every slot. `tags`: the tag list of the model."""
        self._tags = TagSet(tags)
        self._values: dict[str, dict[str, list[list[int]]]] = defaultdict(lambda: defaultdict(list))
        for row in rows:
            if row.tags is not None:
                for label, start, end in self._tags.cut(row.tags):
                    if label:
                        self._values[label][row.language].append(row.words[start:end])

    def __call__(
        self, row: EncodedUtterance, share: float, rng: random.Random, foreign: float = 0.0
    ) -> EncodedUtterance:
        """Return the utterance with some of its slot values replaced.

        Each is replaced with probability `foreign` by one of another language, where the slot has any there, and else
        with probability `share` by one of its own language.
        """
        if row.tags is None:
            return row
        words: list[int] = []
        tags: list[int] = []
        for label, start, end in self._tags.cut(row.tags):
            value = self._draw(label, row.language, share, foreign, rng) if label else None
            words += row.words[start:end] if value is None else value
            tags += row.tags[start:end] if value is None else self._tags.write(label, len(value))
        return EncodedUtterance(words, tags, row.intent, language=row.language)

    def _draw(self, label: str, language: str, share: float, foreign: float, rng: random.Random) -> list[int] | None:
        values = self._values.get(label, {})
        others = [each for each in values if each != language]
        if rng.random() < foreign and others:
            return rng.choice(values[rng.choice(others)])
        return rng.choice(values[language]) if rng.random() < share and language in values else None
