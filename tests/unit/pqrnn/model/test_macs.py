"""Counts of MACs against PyTorch's own counter of operations, and by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from pqrnn.model.length_config import LengthConfig
from pqrnn.model.macs import count_macs, mean_macs
from pqrnn.model.parser import ParserModel
from pqrnn.recipes.settings import ModelConfig, ProjectionConfig, TransformerConfig

INTENTS, TAGS = 5, 7


def make_config(**options: Any) -> ModelConfig:
    return ModelConfig(
        network="transformer",
        projection=ProjectionConfig(word_features=32, ngram_features=32),
        bottleneck=12,
        layers=3,
        transformer=TransformerConfig(width=16, heads=4, ffn=24, reach=3),
        **options,
    )


@pytest.mark.parametrize("words", [1, 4, 15])
@pytest.mark.parametrize(
    "lengths",
    [None, LengthConfig((100, 100, 100)), LengthConfig((50, 25, 13)), LengthConfig((60, 60, 30), (1,))],
    ids=str,
)
@pytest.mark.parametrize("options", [{}, {"pool_peaks": False, "refinements": 0}, {"context": 8}], ids=str)
def test_they_are_those_that_pytorch_counts(words: int, lengths: LengthConfig | None, options: dict[str, Any]) -> None:
    config = make_config(**options)
    model = ParserModel(config, INTENTS, TAGS).eval()
    features = torch.zeros(1, words, config.projection.features)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model.encode(model.embed(features), torch.ones(1, words, 1), lengths=lengths)
    assert 2 * count_macs(config, INTENTS, TAGS, words, lengths) == counter.get_total_flops()


def test_the_mean_is_over_texts_not_over_lengths() -> None:
    config = make_config()
    model = ParserModel(config, INTENTS, TAGS)
    short, long = (count_macs(config, INTENTS, TAGS, words) for words in (2, 9))
    assert mean_macs(model.count_macs, [(2, 3), (9, 1)], None) == (3 * short + long) / 4


def test_a_qrnn_has_none_to_compare() -> None:
    model = ParserModel(ModelConfig(), INTENTS, TAGS)
    with pytest.raises(ValueError, match="no parts"):
        model.count_macs(9)


def test_fewer_words_and_fewer_layers_are_less_work() -> None:
    config = make_config()
    chain = [None, LengthConfig((80, 64, 52)), LengthConfig((50, 25, 13)), LengthConfig((50, 25, 25), (2,))]
    counts = [count_macs(config, INTENTS, TAGS, 20, lengths) for lengths in chain]
    assert counts == sorted(counts, reverse=True)
    assert len(set(counts)) == len(counts)
