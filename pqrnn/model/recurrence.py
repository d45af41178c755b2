"""The QRNN's recurrence `c_t = f_t * c_(t-1) + u_t` (Bradbury et al.

2016, arXiv:1611.01576, fo-pooling) in two equal forms.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def recur_by_loop(forget: Tensor, update: Tensor, *, reverse: bool = False) -> Tensor:
    """One step a word: the reference, and the faster form in training.

    Args:
        forget: The share of the state that is kept, float32[B, T, C].
        update: What is added to the state, `(1 - forget) * z`, float32[B, T, C].
        reverse: Whether it runs from the last word to the first.

    Returns:
        The states, float32[B, T, C], from a zero state.
    """
    states: Tensor = _Loop.apply(forget, update, reverse)
    return states


def recur_by_scan(forget: Tensor, update: Tensor, *, reverse: bool = False) -> Tensor:
    """Compute the recurrence in ceil(log2 T) steps of doubling (Hillis and Steele 1986).

    This is the form without a loop, for export. Arguments and result are those of `recur_by_loop`.
    """
    words, reach = update.shape[1], 1

    def shift(value: Tensor) -> Tensor:
        if reverse:
            return functional.pad(value[:, reach:], (0, 0, 0, reach))
        return functional.pad(value[:, :-reach], (0, 0, reach, 0))

    while reach < words:
        update = update + forget * shift(update)
        if 2 * reach < words:
            forget = forget * shift(forget)
        reach *= 2
    return update


class _Loop(torch.autograd.Function):
    """The loop with its gradient written out, `g_t = dL/dc_t + f_(t+1) g_(t+1)`.

    Automatic differentiation would keep and fill a tensor for every step.
    """

    @staticmethod
    def forward(context: Any, forget: Tensor, update: Tensor, reverse: bool) -> Tensor:
        states = update.clone()
        order = _order(update.shape[1], reverse)
        for before, now in itertools.pairwise(order):
            states[:, now].addcmul_(forget[:, now], states[:, before])
        context.save_for_backward(forget, states)
        context.reverse = reverse
        return states

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        forget, states = context.saved_tensors
        update_gradient = gradients[0].clone()
        forget_gradient = torch.zeros_like(forget)
        order = _order(forget.shape[1], context.reverse)
        for before, now in zip(order[-2::-1], order[:0:-1], strict=False):
            torch.mul(update_gradient[:, now], states[:, before], out=forget_gradient[:, now])
            update_gradient[:, before].addcmul_(forget[:, now], update_gradient[:, now])
        return forget_gradient, update_gradient, None


def _order(words: int, reverse: bool) -> list[int]:
    return list(range(words - 1, -1, -1)) if reverse else list(range(words))
