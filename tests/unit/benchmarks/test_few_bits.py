"""Every way of rounding is made of the same parser, and is measured by what it says and by its bytes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from makers.rooms import make_rooms
from makers.trained import pretend_trained
from safetensors.torch import save

from benchmarks.few_bits import LARGEST, PASSED_ON, WAYS, count_bytes, divergence, round_in_every_way, score
from pqrnn.dataset.labels import list_labels
from pqrnn.evaluation.prediction import compute_logits
from pqrnn.model.int8 import IntegerLinear
from pqrnn.model.parser import ParserModel
from pqrnn.quantization import prepare_qat
from pqrnn.recipes.settings import ModelConfig, ProjectionConfig


@pytest.fixture(scope="module")
def model() -> ParserModel:
    torch.manual_seed(0)
    labels = list_labels(make_rooms())
    config = ModelConfig(projection=ProjectionConfig(word_features=64, ngram_features=64), bottleneck=24, state=12)
    return pretend_trained(ParserModel(config, len(labels.intents), len(labels.tags)))


def test_ways_are_those_of_quantization_and_nearest_with_8_bits(model: ParserModel) -> None:
    examples = make_rooms()
    ways = round_in_every_way(model, examples)
    assert list(ways) == [f"{bits} bits, {way}" for bits, way in WAYS]
    texts = [example.text for example in examples]
    wanted = compute_logits(model.folded(), texts)
    apart, decoder = {}, list_labels(examples).decoder()
    for name, made in ways.items():
        rows = score("rooms", name, made, compute_logits(made.folded(), texts), wanted, examples, decoder)
        assert {row.peer for row in rows} == {name}
        apart[name] = {row.metric: row.value for row in rows}["divergence of tags"]
        bits = {layer.bits for layer in made.folded().modules() if isinstance(layer, IntegerLinear)}
        assert bits == {int(name[0])} | ({8} if name.endswith("in 8") else set())
    eight = apart.pop(f"8 bits, {LARGEST}")
    assert all(0 < 2 * eight < value for value in apart.values())
    sizes = [count_bytes(ways[f"4 bits, {way}"]) for way in (LARGEST, PASSED_ON, f"{PASSED_ON}, heads in 8")]
    assert sizes[0] == sizes[1] < sizes[2] < count_bytes(ways[f"8 bits, {LARGEST}"])
    product = prepare_qat(model, examples, 4).folded().state_dict()
    made = ways[f"4 bits, {PASSED_ON}"].folded().state_dict()
    assert all(torch.equal(made[name], value) for name, value in product.items())


def test_bytes_are_those_of_the_numbers_in_a_file(model: ParserModel) -> None:
    for bits in (8, 4):
        made = prepare_qat(model, make_rooms(), bits)
        stored = made.stored()
        assert count_bytes(made) == sum(value.nbytes for value in stored.values()) <= len(save(stored))


def test_divergence_is_in_nats_and_zero_from_itself() -> None:
    logits = np.array([[1.0, -2.0], [0.5, 0.5]])
    assert divergence(logits, logits) == 0.0
    assert divergence(np.zeros((0, 3)), np.zeros((0, 3))) == 0.0
    one = 1 / (1 + np.exp(-3))
    wanted = one * np.log(2 * one) + (1 - one) * np.log(2 * (1 - one))
    assert divergence(logits, np.zeros((2, 2))) == pytest.approx(wanted)
