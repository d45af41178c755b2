"""Spelling noise that leaves words whole, so that tags stay right."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from pqrnn.dataset.encoded import EncodedUtterance
from pqrnn.features.projection import Projection
from pqrnn.features.segmentation import are_words
from pqrnn.model.network import WordTable


class Misspeller:
    """Misspells words of rows. What a word may become is drawn once."""

    def __init__(self, words: Iterable[bytes], projection: Projection, table: WordTable, rng: random.Random) -> None:
        """Add misspellings of `words` to the table; `projection` says what is a word."""
        variants = make_variants(sorted(set(words)), partial(are_words, projection), rng)
        table.index(
            [variant for each in variants.values() for variant in each]
        )  # all at once: a table that grows is copied
        self._variants = {
            row: table.index(variants[word]) for word, row in zip(variants, table.index(variants), strict=True)
        }

    def __call__(self, row: EncodedUtterance, share: float, rng: random.Random) -> EncodedUtterance:
        """Return the row with each word misspelled with probability `share`, if it can be."""
        variants = self._variants
        return row._replace(
            words=[
                rng.choice(variants[word]) if word in variants and rng.random() < share else word for word in row.words
            ]
        )


def misspell(word: str, rng: random.Random) -> str:
    """Return the word with one character dropped, doubled, or swapped with its neighbour.

    Words of one or two characters stay as they are. This follows the distortion in pQRNN's open code.
    """
    if len(word) < 3:
        return word
    position = rng.randrange(len(word) - 1)
    kind = rng.randrange(3)
    if kind == 0:
        return word[:position] + word[position + 1 :]
    if kind == 1:
        return word[:position] + word[position] + word[position:]
    return word[:position] + word[position + 1] + word[position] + word[position + 2 :]


def make_variants(
    words: Sequence[bytes], are_words: Callable[[list[bytes]], list[bool]], rng: random.Random, each: int = 4
) -> dict[bytes, list[bytes]]:
    """Return up to `each` misspellings of every word that are single words themselves.

    `are_words` judges many candidates at once.
    """
    made = {word: sorted({misspell(word.decode(), rng).encode() for _ in range(each)} - {word}) for word in words}
    flat = [variant for variants in made.values() for variant in variants]
    good = {variant for variant, ok in zip(flat, are_words(flat), strict=True) if ok}
    kept = {word: [variant for variant in variants if variant in good] for word, variants in made.items()}
    return {word: variants for word, variants in kept.items() if variants}
