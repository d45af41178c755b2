"""Label-preserving changes of training rows, on words: slot values swapped between utterances, and spelling noise."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple


class Row(NamedTuple):
    """One utterance as numbers: rows of the word table, tags (`None` where they cannot be represented), the intent (-1 where unknown), and the number of
    the lesson that says what a teacher thinks of it (-1 where none does).
    """  # noqa: D205

    words: list[int]
    tags: list[int] | None
    intent: int
    lesson: int = -1


class SlotSwap:
    """Replaces slot values by values that the same slot has in other training utterances."""

    def __init__(self, rows: Sequence[Row], tags: Sequence[str]) -> None:
        """Collect the values of every slot. `tags`: the tag list of the model."""
        self._labels = ["" if tag == "O" else tag[2:] for tag in tags]
        self._begins = [tag.startswith("B-") for tag in tags]
        self._begin = {tag[2:]: i for i, tag in enumerate(tags) if tag.startswith("B-")}
        self._inside = {tag[2:]: i for i, tag in enumerate(tags) if tag.startswith("I-")}
        self._values: dict[str, list[list[int]]] = defaultdict(list)
        for row in rows:
            if row.tags is not None:
                for label, start, end in self._runs(row.tags):
                    if label:
                        self._values[label].append(row.words[start:end])

    def __call__(self, row: Row, share: float, rng: random.Random) -> Row:
        """Return the row with each slot value replaced with probability `share`."""
        if row.tags is None:
            return row
        words: list[int] = []
        tags: list[int] = []
        for label, start, end in self._runs(row.tags):
            if label and rng.random() < share:
                value = rng.choice(self._values[label])
                words += value
                tags += [self._begin[label]] + [self._inside[label]] * (len(value) - 1)
            else:
                words += row.words[start:end]
                tags += row.tags[start:end]
        return Row(words, tags, row.intent)

    def _runs(self, tags: Sequence[int]) -> Iterator[tuple[str, int, int]]:
        """Yield (label, start, end) over the whole row; words outside slots come one by one with an empty label."""
        start = 0
        for place in range(1, len(tags) + 1):
            label = self._labels[tags[start]]
            if place == len(tags) or not label or self._labels[tags[place]] != label or self._begins[tags[place]]:
                yield label, start, place
                start = place


def misspell(word: str, rng: random.Random) -> str:
    """Return the word with one character dropped, doubled, or swapped with its neighbour (after pQRNN's open distortion; words of 1 or 2 stay)."""
    if len(word) < 3:
        return word
    place = rng.randrange(len(word) - 1)
    kind = rng.randrange(3)
    if kind == 0:
        return word[:place] + word[place + 1 :]
    if kind == 1:
        return word[:place] + word[place] + word[place:]
    return word[:place] + word[place + 1] + word[place] + word[place + 2 :]


def make_variants(words: Sequence[bytes], are_words: Callable[[list[bytes]], list[bool]], rng: random.Random, each: int = 4) -> dict[bytes, list[bytes]]:
    """Return up to `each` misspellings of every word that are single words themselves (`are_words` judges many at once)."""
    made = {word: sorted({misspell(word.decode(), rng).encode() for _ in range(each)} - {word}) for word in words}
    flat = [variant for variants in made.values() for variant in variants]
    good = {variant for variant, ok in zip(flat, are_words(flat), strict=True) if ok}
    kept = {word: [variant for variant in variants if variant in good] for word, variants in made.items()}
    return {word: variants for word, variants in kept.items() if variants}
