"""Rounding to 4 bits: the outputs of a layer change less than with the scale of the largest weight."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pqrnn.model.int8 import ActivationRange
from pqrnn.model.qat import QuantizedLinear, shorten
from pqrnn.model.rounding import choose_scale, compensate, round_layer, watch_moments

_LEVELS = 7


def _draw(outputs: int = 12, inputs: int = 40) -> tuple[Tensor, Tensor]:
    """Weights with a few large ones, and inputs that go together and of which some are rare."""
    torch.manual_seed(0)
    weights = torch.randn(outputs, inputs) ** 3
    common = torch.randn(400, 5) @ torch.randn(5, inputs)
    return weights, (common + 0.3 * torch.randn(400, inputs)) * torch.rand(inputs) ** 2


def _error(rows: Tensor, rounded: Tensor, inputs: Tensor) -> float:
    return float((inputs @ (rows - rounded).t()).square().sum())


def _largest(rows: Tensor) -> Tensor:
    return shorten(rows.abs().amax(1) / _LEVELS)


def _nearest(rows: Tensor, scale: Tensor) -> Tensor:
    return (rows / scale[:, None]).round().clamp(-_LEVELS, _LEVELS)


def test_the_chosen_scale_errs_less_and_is_one_that_float16_holds() -> None:
    rows, inputs = _draw()
    power = inputs.square().sum(0)
    chosen = choose_scale(rows, power, _LEVELS)
    assert torch.equal(chosen, shorten(chosen))
    assert (chosen <= _largest(rows)).all()

    def expected(scale: Tensor) -> Tensor:
        return (rows - _nearest(rows, scale) * scale[:, None]).square() @ power

    assert (expected(chosen) <= expected(_largest(rows)) * (1 + 1e-6)).all()
    assert expected(chosen).sum() < 0.7 * expected(_largest(rows)).sum()


def test_errors_that_are_passed_on_cancel() -> None:
    rows, inputs = _draw()
    scale = choose_scale(rows, inputs.square().sum(0), _LEVELS)
    whole = compensate(rows, scale, inputs.t() @ inputs, _LEVELS)
    assert torch.equal(whole, whole.round())
    assert whole.abs().max() <= _LEVELS
    passed_on, alone = whole * scale[:, None], _nearest(rows, scale) * scale[:, None]
    assert _error(rows, passed_on, inputs) < 0.5 * _error(rows, alone, inputs)


def test_inputs_that_have_nothing_to_do_with_each_other_are_rounded_alone() -> None:
    rows, inputs = _draw()
    scale = choose_scale(rows, inputs.square().sum(0), _LEVELS)
    whole = compensate(rows, scale, torch.diag(inputs.square().sum(0)), _LEVELS)
    assert torch.equal(whole, torch.floor(rows / scale[:, None] + 0.5).clamp(-_LEVELS, _LEVELS))


def test_without_a_text_the_largest_weight_says_the_scale() -> None:
    torch.manual_seed(0)
    layer = QuantizedLinear(10, 6, ActivationRange.SIGNED, bits=4)
    wanted = layer.convert()
    round_layer(layer, torch.zeros(1, 10, 10))
    found = layer.convert()
    assert torch.equal(found.scale, wanted.scale)
    assert torch.equal(found.weight, wanted.weight)


@pytest.mark.parametrize("taps", [1, 2, 3])
@pytest.mark.parametrize("length", [1, 2, 9])
def test_moments_are_those_of_what_each_gate_sees(taps: int, length: int) -> None:
    """A layer of one word in, all taps out: the sum over its texts, padding left out."""
    torch.manual_seed(0)
    layer = QuantizedLinear(4, 2 * taps * 3, ActivationRange.SIGNED, taps=taps, bits=4)
    model = nn.ModuleDict({"product": nn.Linear(4, 2 * taps * 3)})
    lengths = [length, max(1, length - 3)]
    value = torch.zeros(2, length + 1, 4)
    for row, words in enumerate(lengths):
        value[row, :words] = torch.rand(words, 4) + 0.1
    with watch_moments(model, {"product": layer}) as moments:
        model["product"](value[:1])
        model["product"](value[1:])
    wanted = torch.zeros(2 if taps > 1 else 1, taps * 4, taps * 4)
    for row, words in enumerate(lengths):
        for index in range(words):
            for direction in range(len(wanted)):
                step = 1 if direction else -1
                seen = [index + step * reach for reach in range(taps)]
                around = torch.cat([value[row, each] if 0 <= each < words else torch.zeros(4) for each in seen])
                wanted[direction] += torch.outer(around, around)
    torch.testing.assert_close(moments["product"], wanted)
    assert not model["product"]._forward_pre_hooks


@pytest.mark.parametrize("taps", [1, 2, 3])
def test_a_rounded_layer_keeps_its_numbers_in_integers(taps: int) -> None:
    """Its weights are multiples of its scales already, each output's where it belongs."""
    torch.manual_seed(1)
    layer = QuantizedLinear(8, 2 * taps * 5, ActivationRange.SIGNED, taps=taps, bits=4)
    before = layer.weight.detach().clone()
    rows = torch.randn(300, 8 * taps)
    round_layer(layer, (rows.t() @ rows).expand(2 if taps > 1 else 1, -1, -1))
    whole = layer.convert()
    scale = whole.scale.reshape(2, 1, -1).expand(-1, taps, -1).reshape(-1) if taps > 1 else whole.scale
    torch.testing.assert_close(whole.weight.t() * scale[:, None], layer.weight.detach(), rtol=0, atol=0)
    assert whole.weight.abs().max() <= _LEVELS
    assert (layer.weight - before).abs().mean() < 0.5 * before.abs().mean()
