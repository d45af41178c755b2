"""The kernels as PyTorch operators: what a model calls where a kernel is to be, with the same result written in PyTorch.

The importer leaves an operator that it does not know as it is, and `compile.kernels.linking` puts the kernel in its place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from compile.kernels.families import find_family
from compile.kernels.packing import unpack_weights
from pqrnn.integer import multiply
from pqrnn.recurrence import recur_by_loop

NAMESPACE = "pqrnn"
_LIBRARY = torch.library.Library(NAMESPACE, "DEF")


def _define(schema: str, shape: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Define an operator: its schema, and a function that makes tensors of its results' shapes."""
    name = schema.split("(")[0]

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        _LIBRARY.define(schema)
        _LIBRARY.impl(name, function, "CompositeExplicitAutograd")
        torch.library.register_fake(f"{NAMESPACE}::{name}", shape, lib=_LIBRARY)
        return function

    return register


def _scaled_shape(left: Tensor, weights: Tensor, offsets: Tensor, scale: Tensor, bias: Tensor, columns: int, family: str) -> Tensor:
    return left.new_empty((left.shape[0], columns), dtype=torch.float32)


@_define("scaled_product(Tensor left, Tensor weights, Tensor offsets, Tensor scale, Tensor bias, int columns, str family) -> Tensor", _scaled_shape)
def scaled_product(left: Tensor, weights: Tensor, offsets: Tensor, scale: Tensor, bias: Tensor, columns: int, family: str) -> Tensor:
    """Return `(left weights + what the weights' offsets say) * scale + bias`.

    Args:
        left: int8[M, K].
        weights: int8[blocks, steps, lanes * depth], packed.
        offsets: int32[blocks * lanes], what sums start from in the kernel (`compile.kernels.packing.offset_sums`, and zero points).
        scale: float32[blocks * lanes].
        bias: float32[blocks * lanes].
        columns: N; the blocks may have more.
        family: of instructions, by name.

    Returns:
        float32[M, N].
    """
    return _sums(left, weights, offsets, columns, family).float() * scale[:columns] + bias[:columns]


def _product_shape(left: Tensor, weights: Tensor, offsets: Tensor, columns: int, family: str) -> Tensor:
    return left.new_empty((left.shape[0], columns), dtype=torch.int32)


@_define("integer_product(Tensor left, Tensor weights, Tensor offsets, int columns, str family) -> Tensor", _product_shape)
def integer_product(left: Tensor, weights: Tensor, offsets: Tensor, columns: int, family: str) -> Tensor:
    """Return the sums of `scaled_product` as they are, int32[M, N]."""
    return _sums(left, weights, offsets, columns, family)


def _sums(left: Tensor, weights: Tensor, offsets: Tensor, columns: int, family: str) -> Tensor:
    kind = find_family(family)
    plain = unpack_weights(weights, left.shape[1], columns, kind)
    shifted = offsets[:columns]
    if kind.unsigned:  # the kernel adds 128 to the left side; here nothing does
        shifted = shifted + 128 * plain.sum(0, dtype=torch.int32)
    return multiply(left, plain) + shifted


def _layer_shape(
    left: Tensor, weights: Tensor, offsets: Tensor, scale: Tensor, bias: Tensor, mask: Tensor, state: int, taps: int, family: str
) -> tuple[Tensor, Tensor]:
    shape = (left.shape[0], 2 * state)
    return left.new_empty(shape), left.new_empty(shape, dtype=torch.float32)


@_define(
    "layer(Tensor left, Tensor weights, Tensor offsets, Tensor scale, Tensor bias, Tensor mask, int state, int taps, str family) -> (Tensor, Tensor)",
    _layer_shape,
)
def layer(
    left: Tensor, weights: Tensor, offsets: Tensor, scale: Tensor, bias: Tensor, mask: Tensor, state: int, taps: int, family: str
) -> tuple[Tensor, Tensor]:
    """Return the outputs of a QRNN layer (`pqrnn.model.QrnnLayer`) for one text.

    Args:
        left: int8[T, K].
        weights: packed; its columns are by direction, block of channels, tap, gate and channel.
        offsets: int32, in the same order.
        scale: float32, in the same order but without taps.
        bias: float32, like `scale`.
        mask: float32[T], one where a word is.
        state: channels a direction.
        taps: words that a gate sees.
        family: of instructions, by name.

    Returns:
        int8[T, 2 * state] of step 1/127, and float32 of that shape.
    """
    lanes = find_family(family).lanes
    blocks = -(-state // lanes)
    sums = _sums(left, weights, offsets, weights.shape[0] * lanes, family).reshape(-1, 2, blocks, taps, 3, lanes)
    outs = []
    for direction in (0, 1):
        total = sums[:, direction, :, 0]
        for reach in range(1, min(taps, left.shape[0])):
            tap = sums[:, direction, :, reach]
            none = torch.zeros_like(tap[:reach])
            total = total + torch.cat([none, tap[:-reach]] if direction == 0 else [tap[reach:], none])
        gates = total.float() * scale.reshape(2, blocks, 3, lanes)[direction] + bias.reshape(2, blocks, 3, lanes)[direction]
        candidate, forget, output = (gate.reshape(1, -1, blocks * lanes)[..., :state] for gate in gates.unbind(2))
        keep = torch.sigmoid(forget)
        update = (1.0 - keep) * torch.tanh(candidate) * mask[None, :, None]
        outs.append((torch.sigmoid(output) * recur_by_loop(keep, update, reverse=direction == 1))[0])
    real = torch.cat(outs, -1) * mask[:, None]
    return ((real * 127.0 + 128.5).to(torch.int32) - 128).to(torch.int8), real
