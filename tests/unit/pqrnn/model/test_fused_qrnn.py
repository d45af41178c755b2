"""The layer as training computes it against the layer as it is defined.

Training leaves padding out and has the gradient written out.
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles.effort import examples
from torch import Tensor

from pqrnn.model.fused_qrnn import pack_words, run_layer
from pqrnn.model.qrnn import QrnnLayer
from pqrnn.recipes.settings import ModelConfig

WIDTH, STATE = 5, 3


def make_layer(kernel: int, seed: int, zoneout: float = 0.0) -> QrnnLayer:
    """A layer in double precision whose norm and biases are not those it begins with."""
    torch.manual_seed(seed)
    layer = QrnnLayer(WIDTH, ModelConfig(state=STATE, kernel=kernel, zoneout=zoneout), 1).double().train()
    assert layer.norm is not None
    with torch.no_grad():
        for parameter in (layer.bias, layer.norm.weight, layer.norm.bias):
            parameter.normal_()
    return layer


def draw(lengths: list[int], width: int, seed: int) -> tuple[Tensor, Tensor]:
    """Words, zero where the mask of such lengths is."""
    mask = (torch.arange(width) < torch.tensor(lengths)[:, None]).double()[..., None]
    value = torch.randn(len(lengths), width, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return value * mask, mask


def learn(layer: QrnnLayer, value: Tensor, mask: Tensor, *, fused: bool) -> list[Tensor]:
    """Outputs, gradients and running statistics after one step of a loss that weighs every output differently."""
    assert layer.norm is not None
    layer.zero_grad()
    layer.norm.mean.zero_()
    layer.norm.variance.fill_(1.0)
    value = value.clone().requires_grad_()
    found = layer._forward_fused(value, mask) if fused else layer(value, mask, scan=True)
    (found * torch.linspace(-1.0, 2.0, found.numel(), dtype=found.dtype).reshape(found.shape)).sum().backward()
    assert value.grad is not None
    gradients = [parameter.grad for parameter in layer.parameters() if parameter.grad is not None]
    assert len(gradients) == 4
    # What stands in padding is multiplied by zero before the layer, so its gradient does not matter.
    return [found.detach(), value.grad * mask, *gradients, layer.norm.mean.clone(), layer.norm.variance.clone()]


@pytest.mark.slow
@examples(60)
@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(lambda lengths: sum(lengths) > 1),
    st.integers(0, 3),
    st.integers(1, 4),
    st.integers(0, 2**32),
)
def test_equals_the_layer_in_double_precision(lengths: list[int], padding: int, kernel: int, seed: int) -> None:
    layer = make_layer(kernel, seed % 1000)
    value, mask = draw(lengths, max(lengths) + padding, seed)
    wanted_of = make_layer(kernel, seed % 1000)
    wanted_of._can_fuse = lambda value, mask: False  # type: ignore[method-assign]
    for found, wanted in zip(
        learn(layer, value, mask, fused=True), learn(wanted_of, value, mask, fused=False), strict=True
    ):
        torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("kernel", [1, 2, 3])
@pytest.mark.parametrize("zoneout", [0.0, 0.4])
def test_gradients_are_those_of_finite_differences(kernel: int, zoneout: float) -> None:
    """With zoneout, too, as long as the same states are kept."""
    layer = make_layer(kernel, 0)
    value, mask = draw([3, 0, 5, 1, 5], 6, 0)
    packing = pack_words(mask)
    assert layer.norm is not None
    weight = layer.product.weight.detach().unflatten(0, (2, kernel, -1)).contiguous()
    inputs = [
        each.detach().requires_grad_()
        for each in (value.flatten(0, 1)[packing.positions], weight, layer.norm.weight, layer.bias)
    ]

    def run(*inputs: Tensor) -> Tensor:
        torch.manual_seed(1)
        return run_layer(*inputs, packing, epsilon=1e-5, zoneout=zoneout)[0]  # type: ignore[misc, arg-type]

    assert torch.autograd.gradcheck(run, inputs)


def test_in_training_the_layer_is_the_quick_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """And in evaluation, where its result has to be that of the compiled program, it is not."""
    layer = make_layer(2, 0)
    value, mask = draw([3, 2], 3, 0)
    calls = []
    monkeypatch.setattr(layer, "_forward_fused", lambda value, mask: calls.append(0))
    layer(value, mask, scan=False)
    assert calls == [0]
    layer.eval()(value, mask, scan=False)
    assert calls == [0]


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 1.0])
def test_zoneout_keeps_its_share_of_states(share: float) -> None:
    """States that are kept are those of the word before, for the first word zero.

    Five standard deviations of a share of many draws are allowed.
    """
    torch.manual_seed(0)
    rows, state = 4000, 8
    packing = pack_words(torch.ones(rows, 1, 1))
    weight = torch.randn(2, 1, 3 * state, WIDTH)
    out, _, _ = run_layer(
        torch.randn(rows, WIDTH),
        weight,
        torch.ones(6 * state),
        torch.zeros(6 * state),
        packing,
        epsilon=1e-5,
        zoneout=share,
    )
    kept = (out == 0.0).double().mean().item()
    assert abs(kept - share) <= 5 * (share * (1 - share) / out.numel()) ** 0.5 + 2**-16


def test_a_packing_lists_words_step_by_step() -> None:
    """By hand: texts of 1, 3 and 2 words in rows of 4."""
    packing = pack_words((torch.arange(4) < torch.tensor([1, 3, 2])[:, None]).float()[..., None])
    assert packing.positions.tolist() == [4, 8, 0, 5, 9, 6]
    assert packing.counts == [3, 2, 1]
    assert packing.find(1).tolist() == [3, 4, 6, 5, 6, 6]
    assert packing.find(-1).tolist() == [6, 6, 6, 0, 1, 3]
    assert packing.find(0).tolist() == list(range(6))
