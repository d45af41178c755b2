"""The kernels of encoders as PyTorch operators: shapes for the export, values for the reference.

All are told how many words each text has, and kernels leave most of the rows behind these as they are: whatever reads
them has to be told, too. Here all rows are computed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from compile.kernels.operators import define_operator, scaled_product


def _product_shape(dtype: torch.dtype) -> Callable[..., Tensor]:
    """Return what gives the shape of a product whose last two arguments are the columns and the family."""
    return lambda left, *rest: left.new_empty((left.shape[0], rest[-2]), dtype=dtype)


@define_operator(
    "counted_product(Tensor left, Tensor weights, Tensor offsets, Tensor scale, Tensor bias, Tensor counts, "
    "int columns, str family) -> Tensor",
    _product_shape(torch.float32),
)
def counted_product(
    left: Tensor,
    weights: Tensor,
    offsets: Tensor,
    scale: Tensor,
    bias: Tensor,
    counts: Tensor,
    columns: int,
    family: str,
) -> Tensor:
    """Return what `compile.kernels.operators.scaled_product` does; `counts` are the words of each text, int32[B]."""
    return scaled_product(left, weights, offsets, scale, bias, columns, family)


def _attention_shape(
    related: Tensor, hidden: Tensor, centre: Tensor, rate: Tensor, counts: Tensor, heads: int, family: str
) -> Tensor:
    return related.new_empty((related.shape[0], centre.shape[0]), dtype=torch.int8)


@define_operator(
    "attention(Tensor related, Tensor hidden, Tensor centre, Tensor rate, Tensor counts, int heads, str family) "
    "-> Tensor",
    _attention_shape,
)
def attention(
    related: Tensor, hidden: Tensor, centre: Tensor, rate: Tensor, counts: Tensor, heads: int, family: str
) -> Tensor:
    """Return what words get of the values of all words of their text.

    Args:
        related: Queries, keys and values side by side, float32[B * W, 3 * width]; heads lie one after the other within
            each.
        hidden: What is added to the score of every word, far below zero for padding, float32[B, padded]: the columns
            past the words of a text are padding.
        centre: Middle of the range of each channel of the result, float32[width].
        rate: Steps that one is divided into there, float32[width].
        counts: Words of each text, int32[B].
        heads: Number of heads.
        family: Name of the instruction family.

    Returns:
        int8[B * W, width] of `pqrnn.model.int8.ActivationRange.MEASURED`.
    """
    return watched_attention(related, hidden, centre, rate, counts, heads, family)[0]


def _watched_shape(
    related: Tensor, hidden: Tensor, centre: Tensor, rate: Tensor, counts: Tensor, heads: int, family: str
) -> tuple[Tensor, Tensor]:
    mixed = _attention_shape(related, hidden, centre, rate, counts, heads, family)
    return mixed, hidden.new_empty((hidden.shape[0] * heads, hidden.shape[1]))


@define_operator(
    "watched_attention(Tensor related, Tensor hidden, Tensor centre, Tensor rate, Tensor counts, int heads, "
    "str family) -> (Tensor, Tensor)",
    _watched_shape,
)
def watched_attention(
    related: Tensor, hidden: Tensor, centre: Tensor, rate: Tensor, counts: Tensor, heads: int, family: str
) -> tuple[Tensor, Tensor]:
    """Return what `attention` does, and the probabilities that each word receives from all words of its text.

    These are float32[B * heads, padded], a row for each head of each text.
    """
    texts, padded = hidden.shape
    words = related.shape[0] // texts
    queries, keys, values = (part.reshape(texts, words, heads, -1).transpose(1, 2) for part in related.chunk(3, -1))
    scores = torch.matmul(queries, keys.transpose(2, 3)) * (queries.shape[-1] ** -0.5)
    weights = torch.softmax(scores + hidden[:, None, None, :words], -1)
    mixed = torch.matmul(weights, values).transpose(1, 2).reshape(related.shape[0], -1)
    present = (torch.arange(words, dtype=torch.int32) < counts[:, None]).to(weights.dtype)[:, None, :, None]
    received = functional.pad((weights * present).sum(2), (0, padded - words)).reshape(texts * heads, padded)
    return round_measured(mixed, centre, rate), received


@define_operator(
    "gelu_product(Tensor left, Tensor weights, Tensor offsets, Tensor scale, Tensor bias, Tensor centre, Tensor rate, "
    "Tensor counts, int columns, str family) -> Tensor",
    _product_shape(torch.int8),
)
def gelu_product(
    left: Tensor,
    weights: Tensor,
    offsets: Tensor,
    scale: Tensor,
    bias: Tensor,
    centre: Tensor,
    rate: Tensor,
    counts: Tensor,
    columns: int,
    family: str,
) -> Tensor:
    """Return GELU of a scaled product, int8[M, N] of `pqrnn.model.int8.ActivationRange.MEASURED`.

    Args:
        left: int8[M, K].
        weights: Packed weights, as in `compile.kernels.operators.scaled_product`.
        offsets: int32[blocks * lanes], likewise.
        scale: float32[blocks * lanes], likewise.
        bias: float32[blocks * lanes], likewise.
        centre: Middle of the range of each column of the result, float32[N].
        rate: Steps that one is divided into there, float32[N].
        counts: Words of each text, int32[B].
        columns: Number of columns of the product, N.
        family: Name of the instruction family.
    """
    value = functional.gelu(scaled_product(left, weights, offsets, scale, bias, columns, family))
    return round_measured(value, centre, rate)


def _norm_shape(one: Tensor, *rest: Any) -> Tensor:
    return torch.empty_like(one)


@define_operator(
    "norm(Tensor one, Tensor other, Tensor gain, Tensor bias, Tensor least, Tensor counts, str family) -> Tensor",
    _norm_shape,
)
def norm(one: Tensor, other: Tensor, gain: Tensor, bias: Tensor, least: Tensor, counts: Tensor, family: str) -> Tensor:
    """Return the layer norm of the sum of two states, float32[B * W, width], zero behind the words of each text.

    Args:
        one: States, float32[B * W, width].
        other: States, float32[B * W, width].
        gain: float32[width].
        bias: float32[width].
        least: What is added to the variance, float32[1].
        counts: Words of each text, int32[B].
        family: Name of the instruction family.
    """
    value = one + other
    middle = value.mean(1, keepdim=True)
    variance = (value - middle).square().mean(1, keepdim=True)
    normed = (value - middle) / torch.sqrt(variance + least) * gain + bias
    words = torch.arange(len(one) // len(counts), dtype=torch.int32)
    return torch.where((words < counts[:, None]).reshape(-1, 1), normed, torch.zeros_like(normed))


def _rounded_shape(one: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    return torch.empty_like(one), torch.empty_like(one, dtype=torch.int8)


@define_operator(
    "rounded_norm(Tensor one, Tensor other, Tensor gain, Tensor bias, Tensor least, Tensor centre, Tensor rate, "
    "Tensor counts, str family) -> (Tensor, Tensor)",
    _rounded_shape,
)
def rounded_norm(
    one: Tensor,
    other: Tensor,
    gain: Tensor,
    bias: Tensor,
    least: Tensor,
    centre: Tensor,
    rate: Tensor,
    counts: Tensor,
    family: str,
) -> tuple[Tensor, Tensor]:
    """Return what `norm` does, and the same as int8 of `pqrnn.model.int8.ActivationRange.MEASURED`.

    `centre` is the middle of the range of each channel, float32[width], and `rate` the steps that one is divided into
    there.
    """
    normed = norm(one, other, gain, bias, least, counts, family)
    return normed, round_measured(normed, centre, rate)


def round_measured(value: Tensor, centre: Tensor, rate: Tensor) -> Tensor:
    """Return the int8 that stand for numbers of measured ranges, as `pqrnn.model.int8.IntegerLinear.quantize`."""
    return ((((value - centre) * rate).clamp(-127.0, 127.0) + 128.5).to(torch.int32) - 128).to(torch.int8)
