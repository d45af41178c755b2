"""Training of a transformer's parts: what is drawn, what the loss is, and that runs go on to the same weights."""

from __future__ import annotations

import math
import random
from functools import partial
from pathlib import Path

import msgspec
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from makers.rooms import make_rooms
from makers.trained import pretend_trained
from oracles.effort import examples

import pqrnn
from pqrnn.errors import TrainingError
from pqrnn.features.utf8 import pack_texts
from pqrnn.model.length_config import LengthConfig, check_lengths
from pqrnn.model.losses import Totals
from pqrnn.model.network import Encoding
from pqrnn.model.parser import ParserModel
from pqrnn.model.retired_options import drop_absent
from pqrnn.recipes.settings import AdaptiveConfig, ModelConfig, ProjectionConfig, TrainingConfig, TransformerConfig
from pqrnn.training import trainer as training
from pqrnn.training.sandwich import Sandwich, sample_lengths, smallest_lengths
from pqrnn.training.scores import SMALLEST, choosing_score
from pqrnn.training.trainer import train

SMALL = ModelConfig(
    network="transformer",
    projection=ProjectionConfig(word_features=64, ngram_features=64),
    bottleneck=32,
    transformer=TransformerConfig(width=32, heads=4, ffn=64),
)
ADAPTIVE = AdaptiveConfig(enabled=True, length_drop=0.5, layer_drop=0.3)
CONFIG = TrainingConfig(epochs=3, batch=8, learning_rate=5e-3, patience=0, restyle=0.0, adaptive=ADAPTIVE)


def make_network() -> ParserModel:
    torch.manual_seed(0)
    return ParserModel(SMALL, 3, 4)


def test_the_smallest_part_by_hand() -> None:
    assert smallest_lengths(3, AdaptiveConfig()) == LengthConfig((80, 64, 52))
    assert smallest_lengths(3, ADAPTIVE) == LengthConfig((50, 25, 13))
    assert smallest_lengths(2, AdaptiveConfig(length_drop=0.0)) == LengthConfig((100, 100))
    assert smallest_lengths(2, AdaptiveConfig(length_drop=1.0)) == LengthConfig((1, 1))


@examples(200)
@given(st.integers(0, 10**6), st.integers(1, 6), st.floats(0, 1), st.floats(0, 1))
def test_whatever_is_drawn_is_a_part_within_its_bounds(seed: int, layers: int, length: float, layer: float) -> None:
    config = AdaptiveConfig(length_drop=length, layer_drop=layer)
    drawn = sample_lengths(layers, config, random.Random(seed))
    check_lengths(drawn, layers)
    before = 100
    for share in drawn.kept:
        assert share >= before * (1 - length) - 1e-6 or share == 1
        before = share


def test_layers_are_left_out_as_often_as_asked_and_lengths_are_uniform() -> None:
    rng, config = random.Random(0), AdaptiveConfig(length_drop=0.5, layer_drop=0.25)
    drawn = [sample_lengths(4, config, rng) for _ in range(4000)]
    skipped = sum(len(part.skipped) for part in drawn) / (4 * len(drawn))
    assert abs(skipped - 0.25) < 0.015
    first = [part.kept[0] for part in drawn if 0 not in part.skipped]
    assert min(first) == 50 and max(first) == 100
    assert abs(sum(first) / len(first) - 75) < 1.0


def test_a_step_draws_the_smallest_and_the_same_parts_whenever_it_is_done_again() -> None:
    sandwich = Sandwich(make_network(), CONFIG)
    assert sandwich.draw(5) == sandwich.draw(5) != sandwich.draw(6)
    assert sandwich.draw(5)[0] == sandwich.smallest == LengthConfig((50, 25))
    assert len(sandwich.draw(5)) == 3
    nothing = msgspec.structs.replace(CONFIG, adaptive=AdaptiveConfig(enabled=True, length_drop=0, layer_drop=0))
    assert Sandwich(make_network(), nothing).draw(0) == []


def _encoding(intent: list[float], tags: list[float]) -> Encoding:
    return Encoding(
        torch.tensor([intent], requires_grad=True), torch.tensor([[tags]], requires_grad=True), torch.zeros(1)
    )


def test_the_loss_by_hand_and_the_whole_learns_nothing_from_its_parts() -> None:
    whole, part = _encoding([0.0, math.log(3.0)], [0.0, 0.0]), _encoding([0.0, 0.0], [math.log(3.0), 0.0])
    config = msgspec.structs.replace(CONFIG, intent_weight=2.0, adaptive=msgspec.structs.replace(ADAPTIVE, sandwich=0))
    loss = Sandwich(make_network(), config).blend(
        torch.tensor(5.0), whole, lambda lengths: part, 0, torch.ones(1, 1, 1), Totals(1, 1)
    )
    intent = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)
    tags = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    assert loss.item() == pytest.approx((5.0 + 2 * intent + tags) / 2, abs=1e-6)
    loss.backward()
    assert whole.intent.grad is None and whole.tags.grad is None
    assert part.intent.grad is not None and part.tags.grad is not None


def test_the_smallest_part_counts_when_an_epoch_is_chosen() -> None:
    assert choosing_score({"exact_match": {"value": 0.8}, SMALLEST: {"value": 0.4}}) == pytest.approx(0.6)


def test_parts_learn_and_a_killed_run_goes_on_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_rooms()[::2], make_rooms()[1::2]
    train(tmp_path / "whole", *data, SMALL, CONFIG)
    monkeypatch.setattr(training, "_SAVE_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", *data, SMALL, CONFIG, stop_after=5)
    train(tmp_path / "cut", *data, SMALL, CONFIG)
    plain = msgspec.structs.replace(CONFIG, adaptive=AdaptiveConfig())
    train(tmp_path / "plain", *data, SMALL, plain)
    whole, cut, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "cut", "plain"))
    assert whole == cut != other
    log = [msgspec.json.decode(line) for line in (tmp_path / "whole" / "log.jsonl").read_bytes().splitlines()]
    assert all(SMALLEST in record["dev"] for record in log)
    with pytest.raises(TrainingError, match="--adaptive"):
        train(tmp_path / "whole", *data, SMALL, plain)


def test_parts_come_to_answer_as_the_whole_network_does() -> None:
    model = pretend_trained(make_network()).train()
    model.config = msgspec.structs.replace(SMALL, dropout=0.0, word_dropout=0.0)
    for layer in model.layers:
        layer.dropout = 0.0
    found = model.projection(pack_texts([b"turn the lights off in the kitchen please", b"wake me up at seven"], 48), 8)
    mask = (torch.arange(8) < found.word_count[:, None]).float()[..., None]
    sandwich, totals = Sandwich(model, CONFIG), Totals(2, 2)
    optimizer = torch.optim.AdamW(model.layers.parameters(), lr=2e-3)
    losses = []
    for number in range(100):
        value = model.embed(found.features)
        encode = partial(_encode, model, value, mask)
        loss = sandwich.blend(torch.zeros(()), encode(None), encode, number, mask, totals)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])


def _encode(model: ParserModel, value: torch.Tensor, mask: torch.Tensor, lengths: LengthConfig | None) -> Encoding:
    return model.encode(value, mask, lengths=lengths)


def test_a_qrnn_has_no_parts_and_says_so(tmp_path: Path) -> None:
    recipe = pqrnn.change(pqrnn.TrainRecipe(), {"training.adaptive.enabled": True})
    with pytest.raises(TrainingError, match="--network transformer"):
        pqrnn.train("home:en", tmp_path, recipe=recipe)


def test_runs_of_before_keep_their_fingerprints() -> None:
    settings = msgspec.to_builtins(TrainingConfig())
    assert "adaptive" not in drop_absent(settings)
    assert "adaptive" in drop_absent(msgspec.to_builtins(CONFIG))
