"""Words of texts: where the projection, run on batches of similar size, finds them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pqrnn.features.projection import Projection
from pqrnn.features.utf8 import pack_texts

_BATCH_BYTES = 1 << 13  # keeps a batch's temporaries in the cache


_GRANULE = 16


def segment_texts(projection: Projection, texts: Sequence[bytes]) -> list[list[tuple[int, int]]]:
    """Return the byte start and end of every word of every text, as the compiled program finds them."""
    spans: list[list[tuple[int, int]]] = [[] for _ in texts]
    for size, rows in group_texts(texts):
        batch = [texts[row] for row in rows]
        found, counts = projection.segment(pack_texts(batch, size), size)
        for row, words, count in zip(rows, found.tolist(), counts.tolist(), strict=True):
            spans[row] = [(start, end) for start, end in words[:count]]
    return spans


def are_words(projection: Projection, candidates: Sequence[bytes]) -> list[bool]:
    """Return for each text whether it is one word, from its first byte to its last."""
    found = segment_texts(projection, candidates)
    return [spans == [(0, len(word))] for word, spans in zip(candidates, found, strict=True)]


def group_texts(texts: Sequence[bytes]) -> Iterator[tuple[int, list[int]]]:
    """Group texts by padded size: (size, rows of `texts`), at most about 8 kB a batch."""
    groups: dict[int, list[int]] = {}
    for row, text in enumerate(texts):
        groups.setdefault(max(-(-len(text) // _GRANULE), 1) * _GRANULE, []).append(row)
    for size, rows in sorted(groups.items()):
        step = max(_BATCH_BYTES // size, 1)
        for first in range(0, len(rows), step):
            yield size, rows[first : first + step]
