"""How much work a parser with transformer layers is: the multiplications of its matrix products.

A multiply-accumulate (MAC) is one product that is added to a sum. What is not a matrix product (norms, softmax, the
projection's hashes) is left out, as is usual.
"""

from __future__ import annotations

from collections.abc import Iterable

from pqrnn.model.length_config import LengthConfig, count_rows
from pqrnn.recipes.settings import ModelConfig


def count_macs(config: ModelConfig, intents: int, tags: int, words: int, lengths: LengthConfig | None = None) -> int:
    """Return the MACs of one text of so many words.

    In a layer that gets W words and passes on K, queries, keys and values are W rows of 3 d^2 products, scores W^2 d,
    what K words get of the values K W d, its mixing K d^2, and the feed-forward part K rows of 2 d f.

    Args:
        config: Shape of the parser, whose network is a transformer.
        intents: Number of intents.
        tags: Number of tags.
        words: Number of words; for a compiled entry its rows.
        lengths: How many words each layer passes on; None for all.
    """
    shape = config.transformer
    width, before = shape.width, words
    total = words * (config.features * config.bottleneck + config.bottleneck * width)
    after = (words,) * config.layers if lengths is None else count_rows(lengths, words)
    for layer, kept in enumerate(after):
        if lengths is not None and layer in lengths.skipped:
            continue
        total += before * 3 * width**2 + before**2 * width
        total += kept * before * width + kept * (width**2 + 2 * width * shape.ffn)
        before = kept
    pooled = 2 * width if config.pool_peaks else width
    total += 2 * words * width  # the scores of the pooling, and the sum that they weigh
    total += pooled * intents + width * tags + words * width * tags
    return total + (config.refinements * words * 2 * tags**2 if words > 1 else 0)


def mean_macs(
    config: ModelConfig,
    intents: int,
    tags: int,
    texts: Iterable[tuple[int, int]],
    lengths: LengthConfig | None = None,
) -> float:
    """Return the mean MACs of a text.

    Args:
        config: As for `count_macs`.
        intents: As for `count_macs`.
        tags: As for `count_macs`.
        texts: Numbers of words, each with how many texts have it, at least one text.
        lengths: As for `count_macs`.
    """
    pairs = list(texts)
    total = sum(times * count_macs(config, intents, tags, words, lengths) for words, times in pairs)
    return total / sum(times for _, times in pairs)
