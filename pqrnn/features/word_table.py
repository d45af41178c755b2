"""Segmenting texts and projecting words in bulk, once.

Training looks features up instead of computing them at every step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from pqrnn.features.projection import Projection
from pqrnn.features.segmentation import group_texts
from pqrnn.features.utf8 import pack_texts

_GUARD = b" 0"  # another word, for marks are words only where something follows


class WordFeatures:
    """Features of distinct words: a table that grows as words are met.

    A word's features depend on nothing but its own bytes, so the row of a word projected alone is the row that it has
    in any text (tested).
    """

    def __init__(self, projection: Projection) -> None:
        """`projection`: the model's own."""
        self._projection = projection
        self._rows: dict[bytes, int] = {}
        self._table = torch.zeros((0, projection.config.features), dtype=torch.int8)

    def __len__(self) -> int:
        """Distinct words so far."""
        return len(self._rows)

    @property
    def table(self) -> Tensor:
        """int8[len(self), F]."""
        return self._table

    def project(self, words: Tensor, dense: Callable[[Tensor], Tensor]) -> Tensor:
        """Return `dense` of the words' features, float32[B, W, d] for rows int64[B, W].

        It is computed once for each distinct word.
        """
        distinct, inverse = words.unique(return_inverse=True)
        return dense(self._table[distinct].float())[inverse]

    def index(self, words: Iterable[bytes]) -> list[int]:
        """Return the row of each word, projecting those not met before.

        Raises:
            ValueError: something in `words` is not exactly one word.
        """
        wanted = list(words)
        fresh = list(dict.fromkeys(word for word in wanted if word not in self._rows))
        if fresh:
            rows = torch.empty((len(fresh), self._table.shape[1]), dtype=torch.int8)
            guarded = [word + _GUARD for word in fresh]
            for size, indices in group_texts(guarded):
                found = self._projection(pack_texts([guarded[index] for index in indices], size), 1)
                odd = [
                    fresh[index] for index, count in zip(indices, found.word_count.tolist(), strict=True) if count != 2
                ]
                if odd:
                    raise ValueError(f"not a single word: {odd[0]!r}")
                rows[indices] = found.features[:, 0].to(torch.int8)
            for word in fresh:
                self._rows[word] = len(self._rows)
            self._table = torch.cat([self._table, rows])
        return [self._rows[word] for word in wanted]
