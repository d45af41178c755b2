"""Masked batch norm against PyTorch's on the same values without padding."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles.effort import examples
from torch import Tensor, nn

from pqrnn.model.batch_norm import MaskedBatchNorm, fold_into_linear

SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 6))


def draw(shape: tuple[int, int, int], seed: int) -> tuple[Tensor, Tensor, MaskedBatchNorm, nn.BatchNorm1d]:
    """Values, a mask with at least two words, and both norms with the same weights, in double precision."""
    generator = torch.Generator().manual_seed(seed)
    batch, words, width = shape
    value = torch.randn(batch, words + 1, width, generator=generator, dtype=torch.float64) * 3 + 1
    lengths = torch.randint(0, words + 2, (batch,), generator=generator)
    lengths[0] = words + 1
    mask = (torch.arange(words + 1) < lengths[:, None]).double()[..., None]
    ours, theirs = MaskedBatchNorm(width).double(), nn.BatchNorm1d(width).double()
    with torch.no_grad():
        for parameter in (ours.weight, ours.bias):
            parameter.copy_(torch.randn(width, generator=generator, dtype=torch.float64))
        theirs.weight.copy_(ours.weight)
        theirs.bias.copy_(ours.bias)
    return value, mask, ours, theirs


@examples(60)
@given(SHAPES, st.integers(0, 2**32))
def test_training_equals_batch_norm_without_the_padding(shape: tuple[int, int, int], seed: int) -> None:
    """Results, gradients and running mean. PyTorch's running variance is the unbiased one, n / (n - 1) of ours."""
    value, mask, ours, theirs = draw(shape, seed)
    inside = mask[..., 0] > 0
    count = int(inside.sum())
    ours_in, theirs_in = value.clone().requires_grad_(), value.clone().requires_grad_()
    weight = torch.randn(count, shape[2], generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    for _ in range(3):
        found, wanted = ours(ours_in, mask)[inside], theirs(theirs_in[inside])
    torch.testing.assert_close(found, wanted)
    (found * weight).sum().backward()
    (wanted * weight).sum().backward()
    for mine, other in (
        (ours_in.grad, theirs_in.grad),
        (ours.weight.grad, theirs.weight.grad),
        (ours.bias.grad, theirs.bias.grad),
    ):
        torch.testing.assert_close(mine, other)
    assert theirs.running_mean is not None and theirs.running_var is not None
    torch.testing.assert_close(ours.mean, theirs.running_mean)
    kept = (1 - ours.momentum) ** 3  # of the initial variance, 1
    torch.testing.assert_close(ours.variance, kept + (theirs.running_var - kept) * (count - 1) / count)


@examples(30)
@given(SHAPES, st.integers(0, 2**32))
def test_evaluation_equals_batch_norm_with_the_same_statistics(shape: tuple[int, int, int], seed: int) -> None:
    value, mask, ours, theirs = draw(shape, seed)
    ours(value, mask)
    theirs.running_mean, theirs.running_var = ours.mean, ours.variance
    found, wanted = ours.eval()(value, mask), theirs.eval()(value.flatten(0, 1)).reshape(value.shape)
    torch.testing.assert_close(found, wanted)
    scale, shift = ours.affine()
    assert torch.equal(found, value * scale + shift)


@examples(30)
@given(SHAPES, st.integers(0, 2**32))
def test_padding_has_no_part_in_training(shape: tuple[int, int, int], seed: int) -> None:
    """Neither in results, nor in statistics, nor in gradients, however large it is."""
    value, mask, ours, _ = draw(shape, seed)
    inside = mask > 0
    other = torch.where(inside, value, torch.full_like(value, 1e6)).requires_grad_()
    first = torch.where(inside, ours(value, mask), 0.0)
    statistics = ours.mean.clone(), ours.variance.clone()
    ours.mean.zero_()
    ours.variance.fill_(1.0)
    second = torch.where(inside, ours(other, mask), 0.0)
    assert torch.equal(first, second)
    assert torch.equal(ours.mean, statistics[0])
    assert torch.equal(ours.variance, statistics[1])
    second.square().sum().backward()
    assert other.grad is not None
    assert not other.grad[~inside.expand_as(value)].any()


def test_a_batch_without_words_gives_numbers() -> None:
    norm = MaskedBatchNorm(3)
    found = norm(torch.randn(2, 4, 3), torch.zeros(2, 4, 1))
    assert found.isfinite().all() and norm.mean.isfinite().all() and norm.variance.isfinite().all()


@pytest.mark.parametrize("bias", [True, False])
def test_folding_is_the_product_of_both(bias: bool) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(5, 7, bias=bias)
    value, scale, shift = torch.randn(11, 5), torch.randn(7), torch.randn(7)
    kept = linear.weight.clone()
    torch.testing.assert_close(fold_into_linear(linear, scale, shift)(value), linear(value) * scale + shift)
    assert torch.equal(linear.weight, kept)
