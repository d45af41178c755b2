"""The heads as operators of PyTorch: shapes for the export, values for the reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from compile.kernels.families import InstructionFamily, find_family
from compile.kernels.head import NAMES, Sizes
from compile.kernels.operators import define_operator, real_product, round_signed, scaled_product


def _head_shape(short: Tensor, states: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    return _real_head_shape(states, *rest)


@define_operator(
    "head(Tensor short, Tensor states, Tensor mask, Tensor counts, Tensor pool, Tensor intent, Tensor tags, Tensor pooled, Tensor neighbours, "
    "Tensor offsets, Tensor scale, Tensor bias, int words, int intents, int labels, int rounds, str family) -> (Tensor, Tensor)",
    _head_shape,
)
def head(
    short: Tensor,
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
    """Return what follows the last layer of a parser (`pqrnn.model.parser.ParserOutputsrModel.encode`).

    Args:
        short: int8[B * T, width] of step 1/127, the last layer's outputs.
        states: float32[B * T, width], the same.
        mask: float32[B * T], one where a word is.
        counts: int32[B], words of every text. The kernel computes no more rows of tags than these; here all are.
        pool: packed weights of the pooling's scores.
        intent: packed weights of the intent; its depth says whether there are peaks.
        tags: packed weights of the tags.
        pooled: packed weights of the tags from what is pooled.
        neighbours: packed weights of the refinement: depth and each side filled up (`compile.kernels.head.Sizes`).
        offsets: int32, of the five products one behind the other.
        scale: float32, likewise.
        bias: float32, likewise.
        words: T.
        intents: labels.
        labels: of the tags.
        rounds: of refinement.
        family: of instructions, by name.

    Returns:
        float32[B, intents] and float32[B * T, labels], logits.
    """
    kind = find_family(family)
    sizes = read_sizes(states.shape, intent.shape, kind, (words, intents, labels, rounds))
    products, places = sizes.products(kind.lanes), _places(sizes, kind)
    packed = dict(zip(NAMES, (pool, intent, tags, pooled, neighbours), strict=True))

    def multiply_scaled(name: str, left: Tensor) -> Tensor:
        part = places[name]
        filled = functional.pad(left, (0, products[name][0] - left.shape[1]))
        return scaled_product(filled, packed[name], offsets[part], scale[part], bias[part], products[name][1], family)

    return _answer(
        sizes,
        short,
        states,
        mask,
        multiply_scaled,
        round_signed,
        lambda share: ((share * 255.0 + 0.5).to(torch.int32) - 128).to(torch.int8),
    )


def _real_head_shape(states: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    words, intents, tags = rest[-5:-2]
    return states.new_empty((states.shape[0] // words, intents)), states.new_empty((states.shape[0], tags))


@define_operator(
    "real_head(Tensor states, Tensor mask, Tensor counts, Tensor pool, Tensor intent, Tensor tags, Tensor pooled, Tensor neighbours, Tensor bias, "
    "int words, int intents, int labels, int rounds, str family) -> (Tensor, Tensor)",
    _real_head_shape,
)
def real_head(
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
    """Return what `head` does, in float32 only; `bias` is that of the five products one behind the other."""
    kind = find_family(family)
    sizes = read_sizes(states.shape, intent.shape, kind, (words, intents, labels, rounds))
    products, places = sizes.products(kind.lanes, True), _places(sizes, kind)
    packed = dict(zip(NAMES, (pool, intent, tags, pooled, neighbours), strict=True))

    def multiply_real(name: str, left: Tensor) -> Tensor:
        return real_product(left, packed[name], bias[places[name]], products[name][1], family)

    return _answer(sizes, states, states, mask, multiply_real, lambda value: value, lambda share: share)


def read_sizes(
    states: Sequence[int], intent: Sequence[int], family: InstructionFamily, numbers: Sequence[int]
) -> Sizes:
    """Return the sizes of a head from the shapes of its inputs and of the intent's packed weights;

    `numbers`: words, intents, labels, rounds.
    """
    (rows, width), (words, intents, labels, rounds) = states, numbers
    return Sizes(rows // words, words, width, intents, labels, intent[1] * family.depth >= 2 * width, rounds)


def _places(sizes: Sizes, family: InstructionFamily) -> dict[str, slice]:
    """Return by product where its offsets are."""
    places, place = {}, 0
    for name, (_, columns) in sizes.products(family.lanes, family.real).items():
        places[name] = slice(place, place + -(-columns // family.lanes) * family.lanes)
        place = places[name].stop
    return places


def _answer(
    sizes: Sizes,
    inputs: Tensor,
    states: Tensor,
    mask: Tensor,
    multiply_named: Callable[[str, Tensor], Tensor],
    round_state: Callable[[Tensor], Tensor],
    round_share: Callable[[Tensor], Tensor],
) -> tuple[Tensor, Tensor]:
    """Return the logits of a head, given its products by name and what rounds their inputs."""
    words, width, labels = sizes.words, sizes.width, sizes.tags
    present = mask.reshape(-1, words, 1)
    value = states.reshape(-1, words, width)
    scores = multiply_named("pool", inputs).reshape(-1, words, 1) + (present - 1.0) * 1e6
    mean = round_state((torch.softmax(scores, 1) * value).sum(1))
    seen = mean
    if sizes.peaks:
        seen = torch.cat([mean, round_state((value + (present - 1.0) * 2.0).amax(1) * present[:, 0])], -1)
    unary = multiply_named("tags", inputs).reshape(-1, words, labels) + multiply_named("pooled", mean)[:, None]
    found = unary
    for _ in range(sizes.rounds):
        shares = round_share(torch.softmax(found, -1) * present).reshape(-1, labels)
        both = multiply_named("neighbours", shares)
        sides = both.reshape(-1, words, 2, both.shape[1] // 2)[..., :labels]
        found = unary + functional.pad(sides[:, :-1, 0], (0, 0, 1, 0)) + functional.pad(sides[:, 1:, 1], (0, 0, 0, 1))
    return multiply_named("intent", seen), found.reshape(-1, labels)
