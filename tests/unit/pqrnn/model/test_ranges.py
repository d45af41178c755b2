"""Measured ranges: what they are, and integer layers in them against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pqrnn.model.int8 import IntegerLinear
from pqrnn.model.int8_embedding import IntegerEmbedding
from pqrnn.model.qat import shorten
from pqrnn.model.ranges import InputRange, quantize_linear, watch_ranges

WIDTH, OUTPUTS = 48, 20


def draw(rows: int, seed: int = 0) -> Tensor:
    """Inputs whose channels differ as those behind a norm do: in size by two magnitudes, and in where they lie."""
    generator = torch.Generator().manual_seed(seed)
    sizes, middles = torch.logspace(-1.0, 1.0, WIDTH), torch.linspace(-2.0, 3.0, WIDTH)
    return torch.randn((rows, WIDTH), generator=generator) * sizes + middles


def measure(linear: nn.Module, *batches: Tensor) -> InputRange:
    with watch_ranges(nn.Sequential(linear), ["0"]) as ranges:
        for batch in batches:
            nn.Sequential(linear)[0](batch)
    return ranges["0"]


@pytest.fixture
def linear() -> nn.Linear:
    torch.manual_seed(1)
    return nn.Linear(WIDTH, OUTPUTS)


def test_ranges_are_those_of_all_batches_channel_by_channel(linear: nn.Linear) -> None:
    one, other = draw(30).reshape(5, 6, WIDTH), draw(7, seed=1)
    found = measure(linear, one, other)
    seen = np.concatenate([one.reshape(-1, WIDTH).numpy(), other.numpy()])
    np.testing.assert_array_equal(found.low, seen.min(0))
    np.testing.assert_array_equal(found.high, seen.max(0))
    np.testing.assert_allclose(found.total / found.rows, seen.astype(np.float64).mean(0), rtol=1e-6, atol=1e-6)


def test_layers_that_were_not_run_have_no_range(linear: nn.Linear) -> None:
    other = nn.Linear(WIDTH, 1)
    with watch_ranges(nn.Sequential(linear, other), ["0", "1"]) as ranges:
        linear(draw(2))
    assert list(ranges) == ["0"]
    assert not linear._forward_pre_hooks and not other._forward_pre_hooks


def test_integers_and_outputs_are_those_of_numpy(linear: nn.Linear) -> None:
    layer = quantize_linear(linear, measure(linear, draw(400)))
    value = draw(50, seed=2) * 1.3  # some lie outside
    amax, centre = (each.double().numpy() for each in (layer.amax, layer.centre))  # type: ignore[union-attr]
    steps = np.clip((value.double().numpy() - centre) / amax * 127, -127, 127)
    integers = np.floor(steps + 0.5)
    found = layer.quantize(value).numpy()
    near = np.abs(steps + 0.5 - np.round(steps + 0.5)) < 1e-4  # where float32 may round the other way
    assert near.mean() < 0.01 and np.array_equal(found[~near], integers[~near])
    assert (np.abs(found) == 127).sum() > 20
    sums = found.astype(np.int64) @ layer.weight.numpy().astype(np.int64)
    wanted = sums * layer.scale.double().numpy() / 127 + layer.bias.double().numpy()  # type: ignore[union-attr]
    np.testing.assert_allclose(layer(value).numpy(), wanted, rtol=2e-6, atol=2e-6)
    np.testing.assert_allclose(
        layer.dequantize(layer.quantize(value)).numpy(), centre + found * amax / 127, rtol=1e-5, atol=1e-5
    )


def test_channels_of_very_different_ranges_lose_little(linear: nn.Linear) -> None:
    inputs = draw(2000)
    found = measure(linear, inputs)
    wanted = linear(inputs).detach()

    def lose(measured: InputRange) -> float:
        return float((quantize_linear(linear, measured)(inputs) - wanted).square().mean().sqrt() / wanted.std())

    of_all = found._replace(low=found.low.amin().expand(WIDTH), high=found.high.amax().expand(WIDTH))
    assert lose(found) < 0.012
    assert lose(found) < 0.5 * lose(of_all)


def test_roundings_of_weights_do_not_shift_outputs(linear: nn.Linear) -> None:
    """Inputs that are nearly always the same, far from the middle of their range, as those behind GELU."""
    inputs = draw(2000).abs() * 0.01
    inputs[0] = 3.0
    layer = quantize_linear(linear, measure(linear, inputs))
    shift = (layer(inputs) - linear(inputs)).mean(0).abs().amax()
    plain = quantize_linear(linear, measure(linear, inputs)._replace(total=torch.zeros(WIDTH)))
    assert layer.weight.equal(plain.weight)
    spread = float(linear(inputs).detach().std(0).mean())
    assert shift < 0.1 * spread


def test_ranges_are_stored_without_loss_in_float16_and_hold_what_was_measured(linear: nn.Linear) -> None:
    inputs = draw(300) * 77.0
    inputs[:, 0] = 5.12345  # always the same
    layer = quantize_linear(linear, measure(linear, inputs))
    assert layer.centre is not None
    for each in (layer.amax, layer.centre, layer.scale):
        assert torch.equal(each, shorten(each))
    assert (layer.amax > 0.0).all()
    assert ((inputs - layer.centre).abs() <= layer.amax).all()


def test_a_layer_is_stored_and_loaded_as_it_is(linear: nn.Linear) -> None:
    layer = quantize_linear(linear, measure(linear, draw(100)))
    again = IntegerLinear(WIDTH, OUTPUTS, layer.kind)
    again.load_state_dict(layer.state_dict())
    assert torch.equal(again(draw(9, seed=3)), layer(draw(9, seed=3)))
    assert set(layer.state_dict()) == {"weight", "scale", "bias", "amax", "centre"}


def test_embeddings_are_rounded_to_the_nearest_of_255_steps_of_each_subword() -> None:
    weight = draw(40)
    weight[3] = 0.0
    made = IntegerEmbedding.rounded(weight)
    assert made.weight.dtype == torch.int8
    steps = weight.abs().amax(1, keepdim=True).double() / 127
    wanted = np.round(weight.double().numpy() / np.where(steps == 0.0, 1.0, steps))
    assert np.array_equal(made.weight.numpy(), wanted)
    indices = torch.tensor([[3, 0], [39, 7]])
    found = made(indices)
    assert found.shape == (2, 2, WIDTH) and found.dtype == torch.float32
    assert (found - weight[indices]).abs().le(0.5001 * steps[indices]).all()
