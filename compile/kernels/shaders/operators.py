"""The shaders as PyTorch operators: a model calls them, and each computes in PyTorch what the shader computes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from compile.kernels.operators import define_operator
from compile.kernels.shaders.packing import unpack_words
from pqrnn.model.int8 import multiply
from pqrnn.model.recurrence import recur_by_loop


def _sums(left: Tensor, weights: Tensor, offsets: Tensor, columns: int, bits: int) -> Tensor:
    plain = unpack_words(weights, bits, left.shape[1], columns)
    return multiply(left, plain.float()) + offsets[:columns]


def _sums_shape(left: Tensor, weights: Tensor, offsets: Tensor, columns: int, bits: int) -> Tensor:
    return left.new_empty((left.shape[0], columns), dtype=torch.int32)


@define_operator(
    "shader_product(Tensor left, Tensor weights, Tensor offsets, int columns, int bits) -> Tensor", _sums_shape
)
def shader_product(left: Tensor, weights: Tensor, offsets: Tensor, columns: int, bits: int) -> Tensor:
    """Return `left weights + offsets`, int32[M, N].

    Args:
        left: Whole numbers of int8, float32[M, K].
        weights: Packed weights (`compile.kernels.shaders.packing.pack_words`).
        offsets: int32, as many as the packed weights have columns.
        columns: Number of columns of the product, N.
        bits: Number of bits of a weight.
    """
    return _sums(left, weights, offsets, columns, bits)


def _scaled_shape(left: Tensor, *rest: Any) -> Tensor:
    columns, _ = rest[-2:]
    return left.new_empty((left.shape[0], columns))


@define_operator(
    "shader_scaled(Tensor left, Tensor weights, Tensor offsets, Tensor affine, int columns, int bits) -> Tensor",
    _scaled_shape,
)
def shader_scaled(left: Tensor, weights: Tensor, offsets: Tensor, affine: Tensor, columns: int, bits: int) -> Tensor:
    """Return `shader_product` times scales plus biases, float32[M, N]; these are the two rows of `affine`, float32."""
    scale, bias = affine[:, :columns]
    return _sums(left, weights, offsets, columns, bits).float() * scale + bias


def _matmul_shape(left: Tensor, right: Tensor) -> Tensor:
    return left.new_empty((left.shape[0], right.shape[1]))


@define_operator("shader_matmul(Tensor left, Tensor right) -> Tensor", _matmul_shape)
def shader_matmul(left: Tensor, right: Tensor) -> Tensor:
    """Return `left right`, float32[M, N] of float32[M, K] and float32[K, N]; N is a multiple of 4."""
    return left @ right


def _recurrence_shape(sums: Tensor, affine: Tensor, mask: Tensor, *rest: int) -> Tensor:
    _, state, _ = rest
    return mask.new_empty((sums.shape[0], 2 * state))


@define_operator(
    "shader_recurrence(Tensor sums, Tensor affine, Tensor mask, int words, int state, int taps) -> Tensor",
    _recurrence_shape,
)
def shader_recurrence(sums: Tensor, affine: Tensor, mask: Tensor, words: int, state: int, taps: int) -> Tensor:
    """Return the outputs of a QRNN layer (`pqrnn.model.qrnn.QrnnLayer`), float32[B * T, 2 * state].

    Args:
        sums: Sums of the layer's product, int32[B * T, 2 * taps * 3 * state], ordered as there.
        affine: Scales and biases of the gates, float32[2, 2 * 3 * state]. The taps of a gate have one scale, and are
            added before it.
        mask: One where a word is, float32[B * T].
        words: Number of rows of each text, T.
        state: Number of channels of each direction.
        taps: Number of words that a gate sees.
    """
    parts = sums.reshape(-1, words, 2, taps, 3 * state)
    present = mask.reshape(-1, words, 1)
    outs = []
    for direction in (0, 1):
        total = parts[:, :, direction, 0]
        for reach in range(1, min(taps, words)):
            tap = parts[:, :, direction, reach]
            none = torch.zeros_like(tap[:, :reach])
            total = total + torch.cat([none, tap[:, :-reach]] if direction == 0 else [tap[:, reach:], none], 1)
        scale, bias = affine.reshape(2, 2, -1)[:, direction]
        candidate, forget, output = (total.float() * scale + bias).chunk(3, -1)
        keep = torch.sigmoid(forget)
        update = (1.0 - keep) * torch.tanh(candidate) * present
        outs.append(torch.sigmoid(output) * recur_by_loop(keep, update, reverse=direction == 1))
    return (torch.cat(outs, -1) * present).reshape(-1, 2 * state)
