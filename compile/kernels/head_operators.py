"""The head kernels as PyTorch operators: shapes for the export, values for the reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from compile.kernels.families import find_family
from compile.kernels.head_sizes import PRODUCTS, HeadSizes, read_sizes
from compile.kernels.operators import define_operator, product_f32, round_signed, scaled_product
from compile.kernels.packing import family_of


def _head_shape(states_i8: Tensor, states: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    return _head_shape_f32(states, *rest)


@define_operator(
    "head(Tensor states_i8, Tensor states, Tensor mask, Tensor counts, Tensor pool, Tensor intent, Tensor tags, "
    "Tensor pooled, Tensor neighbours, Tensor offsets, Tensor scale, Tensor bias, int words, int intents, int labels, "
    "int rounds, str family) -> (Tensor, Tensor)",
    _head_shape,
)
def head(
    states_i8: Tensor,
    states: Tensor,
    mask: Tensor,
    counts: Tensor,
    pool: Tensor,
    intent: Tensor,
    tags: Tensor,
    pooled: Tensor,
    neighbours: Tensor,
    offsets: Tensor,
    scale: Tensor,
    bias: Tensor,
    words: int,
    intents: int,
    labels: int,
    rounds: int,
    family: str,
) -> tuple[Tensor, Tensor]:
    """Return what follows the last layer of a parser (`pqrnn.model.parser.ParserModel.encode`).

    Args:
        states_i8: int8[B * T, width] of step 1/127, the outputs of the last layer.
        states: float32[B * T, width], the same outputs before rounding.
        mask: float32[B * T], one where a word is.
        counts: int32[B], words of every text. The kernel computes no more rows of tags than these; here all are.
        pool: Packed weights of the pooling's scores.
        intent: Packed weights of the intent; their depth says whether there are peaks.
        tags: Packed weights of the tags.
        pooled: Packed weights of the tags from the pooled states.
        neighbours: Packed weights of the refinement, with depth and both sides filled up
            (`compile.kernels.head_sizes.HeadSizes.products`).
        offsets: int32, those of the five products, one after the other.
        scale: float32, likewise.
        bias: float32, likewise.
        words: Rows of each text, T.
        intents: Number of intent labels.
        labels: Number of tag labels.
        rounds: Number of rounds of refinement.
        family: Name of the instruction family.

    Returns:
        float32[B, intents] and float32[B * T, labels], logits.
    """
    kind = find_family(family)
    sizes = read_sizes(states.shape, intent.shape, family_of(intent, family), (words, intents, labels, rounds))
    products, spans = sizes.products(kind.lanes), sizes.spans(kind.lanes)
    packed = dict(zip(PRODUCTS, (pool, intent, tags, pooled, neighbours), strict=True))

    def multiply_scaled(name: str, left: Tensor) -> Tensor:
        part = spans[name]
        filled = functional.pad(left, (0, products[name][0] - left.shape[1]))
        return scaled_product(filled, packed[name], offsets[part], scale[part], bias[part], products[name][1], family)

    return _answer(
        sizes,
        states_i8,
        states,
        mask,
        multiply_scaled,
        round_signed,
        lambda share: ((share * 255.0 + 0.5).to(torch.int32) - 128).to(torch.int8),
    )


def _head_shape_f32(states: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    words, intents, tags = rest[-5:-2]
    return states.new_empty((states.shape[0] // words, intents)), states.new_empty((states.shape[0], tags))


@define_operator(
    "head_f32(Tensor states, Tensor mask, Tensor counts, Tensor pool, Tensor intent, Tensor tags, Tensor pooled, "
    "Tensor neighbours, Tensor bias, int words, int intents, int labels, int rounds, str family) -> (Tensor, Tensor)",
    _head_shape_f32,
)
def head_f32(
    states: Tensor,
    mask: Tensor,
    counts: Tensor,
    pool: Tensor,
    intent: Tensor,
    tags: Tensor,
    pooled: Tensor,
    neighbours: Tensor,
    bias: Tensor,
    words: int,
    intents: int,
    labels: int,
    rounds: int,
    family: str,
) -> tuple[Tensor, Tensor]:
    """Return what `head` does, in float32 only; `bias` holds those of the five products, one after the other."""
    kind = find_family(family)
    sizes = read_sizes(states.shape, intent.shape, kind, (words, intents, labels, rounds))
    products, spans = sizes.products(kind.lanes, True), sizes.spans(kind.lanes, True)
    packed = dict(zip(PRODUCTS, (pool, intent, tags, pooled, neighbours), strict=True))

    def multiply_f32(name: str, left: Tensor) -> Tensor:
        return product_f32(left, packed[name], bias[spans[name]], products[name][1], family)

    return _answer(sizes, states, states, mask, multiply_f32, lambda value: value, lambda share: share)


def _answer(
    sizes: HeadSizes,
    inputs: Tensor,
    states: Tensor,
    mask: Tensor,
    multiply_named: Callable[[str, Tensor], Tensor],
    round_state: Callable[[Tensor], Tensor],
    round_share: Callable[[Tensor], Tensor],
) -> tuple[Tensor, Tensor]:
    """Return the logits of a head, given its products by name and the functions that round their inputs."""
    words, width, labels = sizes.words, sizes.width, sizes.tags
    present = mask.reshape(-1, words, 1)
    value = states.reshape(-1, words, width)
    scores = multiply_named("pool", inputs).reshape(-1, words, 1) + (present - 1.0) * 1e6
    mean = round_state((torch.softmax(scores, 1) * value).sum(1))
    seen = mean
    if sizes.peaks:
        seen = torch.cat([mean, round_state((value + (present - 1.0) * 2.0).amax(1) * present[:, 0])], -1)
    unary = multiply_named("tags", inputs).reshape(-1, words, labels) + multiply_named("pooled", mean)[:, None]
    logits = unary
    for _ in range(sizes.rounds):
        shares = round_share(torch.softmax(logits, -1) * present).reshape(-1, labels)
        both = multiply_named("neighbours", shares)
        sides = both.reshape(-1, words, 2, both.shape[1] // 2)[..., :labels]
        logits = unary + functional.pad(sides[:, :-1, 0], (0, 0, 1, 0)) + functional.pad(sides[:, 1:, 1], (0, 0, 0, 1))
    return multiply_named("intent", seen), logits.reshape(-1, labels)
