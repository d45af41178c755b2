"""How much work a parser with transformer layers is: the multiplications of its matrix products.

A multiply-accumulate (MAC) is one product that is added to a sum. What is not a matrix product (norms, softmax, the
projection's hashes) is left out, as is usual.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pqrnn.model.length_config import LengthConfig, count_rows
from pqrnn.recipes.settings import ModelConfig


def count_macs(config: ModelConfig, intents: int, tags: int, words: int, lengths: LengthConfig | None = None) -> int:
    """Return the MACs of one text of so many words.

    Args:
        config: Shape of the parser, whose network is a transformer.
        intents: Number of intents.
        tags: Number of tags.
        words: Number of words; for a compiled entry its rows.
        lengths: How many words each layer passes on; None for all.
    """
    width = config.states
    total = words * (config.features * config.bottleneck + config.bottleneck * width)
    total += count_layer_macs(width, config.transformer.ffn, config.layers, words, lengths)
    pooled = 2 * width if config.pool_peaks else width
    total += 2 * words * width  # the scores of the pooling, and the sum that they weigh
    total += pooled * intents + width * tags + words * width * tags
    return total + (config.refinements * words * 2 * tags**2 if words > 1 else 0)


def count_layer_macs(width: int, ffn: int, layers: int, words: int, lengths: LengthConfig | None = None) -> int:
    """Return the MACs of transformer layers.

    In a layer that gets W words and passes on K, queries, keys and values are W rows of 3 d^2 products, scores W^2 d,
    what K words get of the values K W d, its mixing K d^2, and the feed-forward part K rows of 2 d f.

    Args:
        width: Width d of the states.
        ffn: Inner width f of the feed-forward parts.
        layers: Number of layers.
        words: Number of words.
        lengths: How many words each layer passes on; None for all.
    """
    before, total = words, 0
    after = (words,) * layers if lengths is None else count_rows(lengths, words)
    for layer, kept in enumerate(after):
        if lengths is not None and layer in lengths.skipped:
            continue
        total += before * 3 * width**2 + before**2 * width
        total += kept * before * width + kept * (width**2 + 2 * width * ffn)
        before = kept
    return total


def mean_macs(
    count: Callable[[int, LengthConfig | None], int], texts: Iterable[tuple[int, int]], lengths: LengthConfig | None
) -> float:
    """Return the mean MACs of a text.

    Args:
        count: Returns those of a text of so many words, such as `Network.count_macs`.
        texts: Numbers of words, each with how many texts have it, at least one text.
        lengths: How many words each layer passes on; None for all.
    """
    pairs = list(texts)
    total = sum(times * count(words, lengths) for words, times in pairs)
    return total / sum(times for _, times in pairs)
