"""The kernels as PyTorch operators: a model calls them, and each computes in PyTorch what the kernel computes.

The importer leaves an operator that it does not know as it is, and `compile.kernels.linking` replaces it by the kernel.

Operators whose names end in `_f32` compute in float32 throughout: there is a bias, and nothing is scaled or rounded to
int8.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from compile.kernels.families import find_family
from compile.kernels.packing import family_of, unpack_weights
from pqrnn.features.projection import Projection
from pqrnn.model.int8 import multiply
from pqrnn.model.recurrence import recur_by_loop
from pqrnn.recipes.settings import ProjectionConfig

NAMESPACE, F32_SUFFIX = "pqrnn", "_f32"
_LIBRARY = torch.library.Library(NAMESPACE, "DEF")


def define_operator(schema: str, shape: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Define an operator by its schema and a function that makes tensors of its results' shapes."""
    name = schema.split("(")[0]

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        _LIBRARY.define(schema)
        _LIBRARY.impl(name, function, "CompositeExplicitAutograd")
        torch.library.register_fake(f"{NAMESPACE}::{name}", shape, lib=_LIBRARY)
        return function

    return register


def _scaled_shape(
    left: Tensor, weights: Tensor, offsets: Tensor, scale: Tensor, bias: Tensor, columns: int, family: str
) -> Tensor:
    return left.new_empty((left.shape[0], columns), dtype=torch.float32)


@define_operator(
    "scaled_product(Tensor left, Tensor weights, Tensor offsets, Tensor scale, Tensor bias, int columns, str family) "
    "-> Tensor",
    _scaled_shape,
)
def scaled_product(
    left: Tensor, weights: Tensor, offsets: Tensor, scale: Tensor, bias: Tensor, columns: int, family: str
) -> Tensor:
    """Return `(left weights + offsets) * scale + bias`.

    Args:
        left: int8[M, K].
        weights: int8[blocks, steps, lanes * depth], packed; uint8 of half as many steps for weights of 4 bits, as
            which they are multiplied (`compile.kernels.packing.unpack_weights`).
        offsets: int32[blocks * lanes], the values that sums start from in the kernel
            (`compile.kernels.packing.offset_sums`, and zero points).
        scale: float32[blocks * lanes], the factors of the sums.
        bias: float32[blocks * lanes], added to the scaled sums.
        columns: Number of columns of the product, N; the blocks may have more.
        family: Name of the instruction family.

    Returns:
        float32[M, N].
    """
    return _sums(left, weights, offsets, columns, family).float() * scale[:columns] + bias[:columns]


def _product_shape(left: Tensor, weights: Tensor, offsets: Tensor, columns: int, family: str) -> Tensor:
    return left.new_empty((left.shape[0], columns), dtype=torch.int32)


@define_operator(
    "integer_product(Tensor left, Tensor weights, Tensor offsets, int columns, str family) -> Tensor", _product_shape
)
def integer_product(left: Tensor, weights: Tensor, offsets: Tensor, columns: int, family: str) -> Tensor:
    """Return the sums of `scaled_product` before scaling, int32[M, N]."""
    return _sums(left, weights, offsets, columns, family)


def _sums(left: Tensor, weights: Tensor, offsets: Tensor, columns: int, family: str) -> Tensor:
    kind = family_of(weights, family)
    plain = unpack_weights(weights, left.shape[1], columns, kind)
    shifted = offsets[:columns]
    if kind.shifted:  # the kernel adds 128 to the left side; here nothing does
        shifted = shifted + 128 * plain.sum(0, dtype=torch.int32)
    return multiply(left, plain) + shifted


def _shape_f32(left: Tensor, *rest: Any) -> Tensor:
    columns, _ = rest[-2:]
    return left.new_empty((left.shape[0], columns))


@define_operator("product_f32(Tensor left, Tensor weights, Tensor bias, int columns, str family) -> Tensor", _shape_f32)
def product_f32(left: Tensor, weights: Tensor, bias: Tensor, columns: int, family: str) -> Tensor:
    """Return `left weights + bias`, float32[M, N] of float32[M, K], packed weights, and float32[blocks * lanes]."""
    return left @ unpack_weights(weights, left.shape[1], columns, find_family(family)) + bias[:columns]


def _projection_shape(text: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    _, words, word_features, ngram_features, *_, float32, _ = rest[6:]
    rows = text.shape[0] * words
    features = text.new_empty((rows, word_features + ngram_features), dtype=torch.float32 if float32 else torch.int8)
    return features, text.new_empty(rows, dtype=torch.float32), text.new_empty((rows, 2)), text.new_empty(text.shape[0])


@define_operator(
    "projection(Tensor text, Tensor pages, Tensor ranges, Tensor blocks, Tensor entries, Tensor folds, Tensor seeds, "
    "int version, int words, int word_features, int ngram_features, int[] ngrams, int lanes, int float32, int rest) "
    "-> (Tensor, Tensor, Tensor, Tensor)",
    _projection_shape,
)
def projection(
    text: Tensor,
    pages: Tensor,
    ranges: Tensor,
    blocks: Tensor,
    entries: Tensor,
    folds: Tensor,
    seeds: Tensor,
    version: int,
    words: int,
    word_features: int,
    ngram_features: int,
    ngrams: Sequence[int],
    lanes: int,
    float32: int,
    rest: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the words of texts (`pqrnn.features.projection.Projection`).

    Args:
        text: int32[B, N / 4], the bytes of the texts.
        pages: int8[p], the first part of the table of code points (`compile.kernels.packing.PackedTable`).
        ranges: int16[n], the second part of the table.
        blocks: int16[m], the third part of the table.
        entries: int32[e], the fourth part of the table.
        folds: int32[3 * rows], what else code points are folded to (`pqrnn.features.unicode_table`).
        seeds: int32[features / 16], those of the word features and then those of the n-gram features.
        version: Version of the projection.
        words: Number of rows of each text, W.
        word_features: Number of features of the word's own hash (`pqrnn.recipes.settings.ProjectionConfig`).
        ngram_features: Number of features of n-grams and shape.
        ngrams: Lengths of n-grams.
        lanes: Number of 32-bit numbers in a vector register of the target.
        float32: Whether features are float32 instead of int8.
        rest: Whether all rows past a text's words are zeros. Otherwise the kernel clears only the first row of a
            text without words, and leaves the others as they are; here they are always zeros.

    Returns:
        Features int8 or float32[B * W, features], mask float32[B * W] with one where a word is, spans int32[B * W, 2],
        word count int32[B].
    """
    config = ProjectionConfig(
        word_features=word_features, ngram_features=ngram_features, ngrams=tuple(ngrams), version=version
    )
    result = Projection(config)(text, words)
    mask = (torch.arange(words, dtype=torch.int32) < result.word_count[:, None]).float()
    features = result.features.to(torch.float32 if float32 else torch.int8)
    return features.flatten(0, 1), mask.reshape(-1), result.spans.flatten(0, 1), result.word_count


def _rectified_shape(left: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    columns, _ = rest[-2:]
    shape = (left.shape[0], columns)
    return left.new_empty(shape), left.new_empty(shape, dtype=torch.float32)


@define_operator(
    "rectified(Tensor left, Tensor weights, Tensor offsets, Tensor scale, Tensor bias, Tensor mask, Tensor levels, "
    "Tensor counts, int columns, str family) -> (Tensor, Tensor)",
    _rectified_shape,
)
def rectified(
    left: Tensor,
    weights: Tensor,
    offsets: Tensor,
    scale: Tensor,
    bias: Tensor,
    mask: Tensor,
    levels: Tensor,
    counts: Tensor,
    columns: int,
    family: str,
) -> tuple[Tensor, Tensor]:
    """Return a scaled product with negative numbers set to zero, and zeros in rows without a word.

    Args:
        left: int8[M, K].
        weights: Packed weights, as in `scaled_product`.
        offsets: int32[blocks * lanes], as in `scaled_product`.
        scale: float32[blocks * lanes], as in `scaled_product`.
        bias: float32[blocks * lanes], as in `scaled_product`.
        mask: float32[M], one where a word is.
        levels: float32[1], the number of steps that one is divided into.
        counts: int32[B], words of every text. The kernel computes no more rows than these; here all are computed.
        columns: Number of columns of the product, N.
        family: Name of the instruction family.

    Returns:
        int8[M, N] of `ActivationRange.POSITIVE`, and float32 of the same shape before rounding.
    """
    outputs = torch.relu(scaled_product(left, weights, offsets, scale, bias, columns, family)) * mask[:, None]
    return (((outputs * levels).clamp(max=255.0) + 0.5).to(torch.int32) - 128).to(torch.int8), outputs


@define_operator(
    "rectified_f32(Tensor left, Tensor weights, Tensor bias, Tensor mask, Tensor counts, int columns, str family) "
    "-> Tensor",
    _shape_f32,
)
def rectified_f32(
    left: Tensor, weights: Tensor, bias: Tensor, mask: Tensor, counts: Tensor, columns: int, family: str
) -> Tensor:
    """Return what `rectified` does, in float32 only: float32[M, N]."""
    return torch.relu(product_f32(left, weights, bias, columns, family)) * mask[:, None]


def _layer_shape(left: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    state, _, _ = rest[-3:]
    shape = (left.shape[0], 2 * state)
    return left.new_empty(shape), left.new_empty(shape, dtype=torch.float32)


@define_operator(
    "layer(Tensor left, Tensor weights, Tensor offsets, Tensor scale, Tensor bias, Tensor mask, Tensor counts, "
    "int words, int state, int taps, str family) -> (Tensor, Tensor)",
    _layer_shape,
)
def layer(
    left: Tensor,
    weights: Tensor,
    offsets: Tensor,
    scale: Tensor,
    bias: Tensor,
    mask: Tensor,
    counts: Tensor,
    words: int,
    state: int,
    taps: int,
    family: str,
) -> tuple[Tensor, Tensor]:
    """Return the outputs of a QRNN layer (`pqrnn.model.qrnn.QrnnLayer`).

    Args:
        left: int8[B * T, K].
        weights: Packed weights; their columns are by direction, block of channels, tap, gate and channel.
        offsets: int32, in the same order.
        scale: float32, in the same order but without taps.
        bias: float32, as `scale`.
        mask: float32[B * T], one where a word is.
        counts: int32[B], words of every text. The kernel computes no more rows than these; here all are computed.
        words: Number of rows of each text, T.
        state: Number of channels of each direction.
        taps: Number of words that a gate sees.
        family: Name of the instruction family.

    Returns:
        int8[B * T, 2 * state] of step 1/127, and float32 of the same shape before rounding.
    """
    lanes = find_family(family).lanes
    sums = _sums(left, weights, offsets, weights.shape[0] * lanes, family)
    outputs = _recur(sums, scale, bias, mask, (words, state, taps, lanes))
    return round_signed(outputs), outputs


def _layer_shape_f32(left: Tensor, *rest: Any) -> Tensor:
    state, _, _ = rest[-3:]
    return left.new_empty((left.shape[0], 2 * state))


@define_operator(
    "layer_f32(Tensor left, Tensor weights, Tensor bias, Tensor mask, Tensor counts, int words, int state, int taps, "
    "str family) -> Tensor",
    _layer_shape_f32,
)
def layer_f32(
    left: Tensor,
    weights: Tensor,
    bias: Tensor,
    mask: Tensor,
    counts: Tensor,
    words: int,
    state: int,
    taps: int,
    family: str,
) -> Tensor:
    """Return what `layer` does, in float32 only: float32[B * T, 2 * state]."""
    kind = find_family(family)
    sums = left @ unpack_weights(weights, left.shape[1], weights.shape[0] * kind.lanes, kind)
    return _recur(sums, torch.ones_like(bias), bias, mask, (words, state, taps, kind.lanes))


def _recur(sums: Tensor, scale: Tensor, bias: Tensor, mask: Tensor, sizes: tuple[int, int, int, int]) -> Tensor:
    """Return the outputs of a layer, float32[B * T, 2 * state], from the sums of its product.

    `sizes` are words, state, taps and lanes.
    """
    words, state, taps, lanes = sizes
    blocks = -(-state // lanes)
    sums = sums.reshape(-1, words, 2, blocks, taps, 3, lanes)
    present = mask.reshape(-1, words, 1)
    outs = []
    for direction in (0, 1):
        total = sums[:, :, direction, :, 0]
        for reach in range(1, min(taps, words)):
            tap = sums[:, :, direction, :, reach]
            none = torch.zeros_like(tap[:, :reach])
            total = total + torch.cat([none, tap[:, :-reach]] if direction == 0 else [tap[:, reach:], none], 1)
        gates = (
            total.float() * scale.reshape(2, blocks, 3, lanes)[direction] + bias.reshape(2, blocks, 3, lanes)[direction]
        )
        candidate, forget, output = (gate.reshape(-1, words, blocks * lanes)[..., :state] for gate in gates.unbind(3))
        keep = torch.sigmoid(forget)
        update = (1.0 - keep) * torch.tanh(candidate) * present
        outs.append(torch.sigmoid(output) * recur_by_loop(keep, update, reverse=direction == 1))
    return (torch.cat(outs, -1) * present).reshape(-1, 2 * state)


def round_signed(value: Tensor) -> Tensor:
    """Return numbers from -1 to 1 as int8 of step 1/127."""
    return ((value * 127.0 + 128.5).to(torch.int32) - 128).to(torch.int8)
