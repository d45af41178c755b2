"""Both forms of the recurrence against double precision, within the bound that rounding allows, and their gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles.effort import examples
from torch import Tensor

from pqrnn.model.recurrence import recur_by_loop, recur_by_scan

Recurrence = Callable[..., Tensor]
FORMS = pytest.mark.parametrize("recur", [recur_by_loop, recur_by_scan])


def recur_exactly(forget: Tensor, update: Tensor) -> np.ndarray:
    """Compute `c_t = f_t * c_(t-1) + u_t` in double precision."""
    states = np.zeros(update.shape)
    for step in range(update.shape[1]):
        before = states[:, step - 1] if step else 0.0
        states[:, step] = forget[:, step].double().numpy() * before + update[:, step].double().numpy()
    return states


def draw_gates(shape: tuple[int, int, int], seed: int, sharp: bool) -> tuple[Tensor, Tensor]:
    """Forget gates and updates; `sharp` saturates gates to 0 and 1, as trained ones often are."""
    generator = torch.Generator().manual_seed(seed)
    forget = torch.sigmoid(torch.randn(shape, generator=generator) * (40.0 if sharp else 2.0))
    return forget, torch.randn(shape, generator=generator) * 3.0


@FORMS
@examples(100)
@given(
    st.tuples(st.integers(1, 3), st.integers(1, 70), st.integers(1, 5)),
    st.integers(0, 2**32),
    st.booleans(),
    st.booleans(),
)
def test_equals_double_precision_within_rounding(
    recur: Recurrence, shape: tuple[int, int, int], seed: int, sharp: bool, reverse: bool
) -> None:
    r"""Every term of a state is rounded at most 2T + 2 times in either form.

    So the error is below that many half units in the sum of sizes.
    """
    forget, update = draw_gates(shape, seed, sharp)
    found = recur(forget, update, reverse=reverse).double().numpy()
    if reverse:
        found, forget, update = found[:, ::-1], forget.flip(1), update.flip(1)
    roundings = (2 * shape[1] + 2) * torch.finfo(torch.float32).eps / 2
    bound = (
        roundings / (1 - roundings) * recur_exactly(forget, update.abs()) + shape[1] * torch.finfo(torch.float32).tiny
    )
    assert (np.abs(found - recur_exactly(forget, update)) <= bound).all()


@FORMS
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("words", [1, 2, 3, 4, 7, 8, 9])
def test_gradients_are_those_of_finite_differences(recur: Recurrence, words: int, reverse: bool) -> None:
    forget, update = (value.double().requires_grad_() for value in draw_gates((2, words, 3), words, sharp=False))
    assert torch.autograd.gradcheck(lambda f, u: recur(f, u, reverse=reverse), (forget, update))


@examples(50)
@given(st.integers(2, 40), st.integers(0, 2**32), st.booleans())
def test_both_forms_have_the_same_gradients(words: int, seed: int, reverse: bool) -> None:
    """In double precision, for the loss that weighs every state differently."""
    gradients = []
    for recur in (recur_by_loop, recur_by_scan):
        forget, update = (value.double().requires_grad_() for value in draw_gates((2, words, 3), seed, sharp=False))
        weight = torch.linspace(-1.0, 1.0, 2 * words * 3, dtype=torch.float64).reshape(2, words, 3)
        (recur(forget, update, reverse=reverse) * weight).sum().backward()
        gradients.append((forget.grad, update.grad))
    for by_loop, by_scan in zip(*gradients, strict=True):
        torch.testing.assert_close(by_loop, by_scan, rtol=1e-12, atol=1e-12)


@FORMS
def test_inputs_stay_as_they_are(recur: Recurrence) -> None:
    forget, update = draw_gates((2, 9, 3), 0, sharp=False)
    kept = forget.clone(), update.clone()
    recur(forget, update)
    assert torch.equal(forget, kept[0])
    assert torch.equal(update, kept[1])
