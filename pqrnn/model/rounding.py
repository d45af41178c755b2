"""Rounding weights to 4 bits so that a layer's outputs change least, not its weights.

What counts is how the inputs of a layer lie, their second moments over training texts: an error in a weight whose input
is mostly zero costs nothing, and errors of inputs that go together can cancel. The scale of each output is the one with
the least expected error among several shares of the largest weight. Then weights are rounded one input after another,
and those not yet rounded make up for the error so far, as GPTQ does (Frantar et al. 2022, arXiv:2210.17323).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pqrnn.model.qat import QuantizedLinear, hold_scale, weight_levels

_SHARES = [(20 - step) / 20 for step in range(14)]  # of the largest weight: 1 to 0.35
_DAMPING = 0.01  # of the mean second moment, so that rare inputs do not carry the errors of all others
_BLOCK = 64
_WIDEST = 8192  # inputs; the moments of more would take gigabytes


@contextmanager
def watch_moments(model: nn.Module, layers: Mapping[str, QuantizedLinear]) -> Iterator[dict[str, Tensor]]:
    """Sum the second moments of the inputs of layers while a model runs.

    Args:
        model: A parser in float32, without norms.
        layers: The layers by name, as they will be; those with very many inputs are left out.

    Yields:
        Moments by name, float32[D, taps * K, taps * K], where D is 2 for the two directions of layers with taps, else
        1: of the inputs of all taps of a gate beside each other.
    """
    moments: dict[str, Tensor] = {}

    def watch(name: str, taps: int) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def add(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            rows = _gather_taps(inputs[0], taps)
            found = rows.transpose(1, 2) @ rows
            moments[name] = moments[name] + found if name in moments else found

        return add

    handles = [
        model.get_submodule(name).register_forward_pre_hook(watch(name, layer.taps))
        for name, layer in layers.items()
        if layer.in_features * layer.taps <= _WIDEST
    ]
    try:
        yield moments
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def round_layer(layer: QuantizedLinear, moments: Tensor, *, pass_on: bool = True) -> None:
    """Choose the scales of a layer of few bits, and round its weights to multiples of them.

    Args:
        layer: The layer, its weights those of float32.
        moments: Second moments of its inputs, as `watch_moments` gives them.
        pass_on: Whether weights make up for the errors of others; else each is rounded to the nearest.
    """
    levels = weight_levels(layer.bits)
    scales, rounded = [], []
    for rows, moment in zip(_split_gates(layer.weight, layer.taps), moments, strict=True):
        scale = choose_scale(rows, moment.diagonal(), levels)
        scales.append(scale)
        whole = compensate(rows, scale, moment, levels) if pass_on else _nearest(rows, scale, levels)
        rounded.append(whole * scale[:, None])
    layer.take_scale(torch.cat(scales))
    layer.weight.copy_(_join_gates(torch.stack(rounded), layer.taps))


def choose_scale(rows: Tensor, power: Tensor, levels: int) -> Tensor:
    """Return for each output the scale with the least expected error, float32[N].

    Args:
        rows: Weights, float32[N, K].
        power: Mean or sum of the squares of each input, float32[K].
        levels: Largest whole number of a weight.
    """
    amax = rows.abs().amax(1)
    best = torch.full_like(amax, torch.inf)
    chosen = torch.ones_like(amax)
    for share in _SHARES:
        scale = hold_scale(amax * (share / levels))
        error = (rows - _nearest(rows, scale, levels) * scale[:, None]).square() @ power
        chosen, best = torch.where(error < best, scale, chosen), torch.minimum(error, best)
    return chosen


def compensate(rows: Tensor, scale: Tensor, moments: Tensor, levels: int) -> Tensor:
    """Return whole numbers for weights, float32[N, K], each rounded after those before have passed on their errors.

    Args:
        rows: Weights, float32[N, K].
        scale: Scale of each output, float32[N].
        moments: Second moments of the inputs, float32[K, K].
        levels: Largest whole number of a weight.
    """
    width = rows.shape[1]
    power = moments.diagonal().double()
    order = power.argsort(descending=True, stable=True)  # the errors of the inputs that matter most are passed on
    damped = moments.double() + torch.eye(width, dtype=torch.float64) * (_DAMPING * float(power.mean()) or 1.0)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped[order][:, order]))
    factor = torch.linalg.cholesky(inverse, upper=True).to(rows.dtype)
    left, rounded = rows[:, order].clone(), torch.empty_like(rows)
    for first in range(0, width, _BLOCK):
        last = min(first + _BLOCK, width)
        errors = torch.empty((len(rows), last - first), dtype=rows.dtype)
        for column in range(first, last):
            whole = _nearest(left[:, column : column + 1], scale, levels)[:, 0]
            error = (left[:, column] - whole * scale) / factor[column, column]
            left[:, column + 1 : last] -= error[:, None] * factor[column, column + 1 : last]
            errors[:, column - first] = error
            rounded[:, order[column]] = whole
        left[:, last:] -= errors @ factor[first:last, last:]
    return rounded


def _nearest(rows: Tensor, scale: Tensor, levels: int) -> Tensor:
    return torch.floor(rows / scale[:, None] + 0.5).clamp(-levels, levels)


def _gather_taps(value: Tensor, taps: int) -> Tensor:
    """Return the inputs of all taps of a gate, [D, rows, taps * K], of words [B, T, K] or rows [B, K]."""
    if taps == 1:
        return value.reshape(1, -1, value.shape[-1])
    inside = (value != 0).any(-1)  # what padding sees is never used
    both = []
    for ahead in (False, True):
        seen = [value]
        for reach in range(1, taps):
            moved = torch.zeros_like(value)
            if ahead:
                moved[:, :-reach] = value[:, reach:]
            else:
                moved[:, reach:] = value[:, :-reach]
            seen.append(moved)
        both.append(torch.cat(seen, -1)[inside])
    return torch.stack(both)


def _split_gates(weight: Tensor, taps: int) -> Tensor:
    """Return the weights of all taps of a gate beside each other, [D, gates, taps * K]."""
    if taps == 1:
        return weight[None]
    return weight.unflatten(0, (2, taps, -1)).transpose(1, 2).flatten(2)


def _join_gates(rows: Tensor, taps: int) -> Tensor:
    """Undo `_split_gates`."""
    return rows[0] if taps == 1 else rows.unflatten(2, (taps, -1)).transpose(1, 2).flatten(0, 2)
