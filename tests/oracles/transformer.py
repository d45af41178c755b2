"""Transformer layers in NumPy and double precision, from the equations: one word and one head at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
_EPSILON = 1e-5


class Shape(Protocol):
    """What of `pqrnn.recipes.settings.TransformerConfig` is read here."""

    @property
    def width(self) -> int: ...
    @property
    def heads(self) -> int: ...
    @property
    def reach(self) -> int: ...


def transform(
    weights: Mapping[str, Array],
    values: list[Array],
    layers: int,
    shape: Shape,
    kept: tuple[int, ...] | None = None,
    skipped: tuple[int, ...] = (),
) -> list[Array]:
    """The states of the words of one text, from the rectified outputs of the bottleneck.

    With `kept`, in percent of the text's words after each layer, words that got least attention are dropped after the
    attention of a layer, and keep the state that they had before it; layers in `skipped` are left out.
    """
    states = [_linear(weights, "entry", value) for value in values]
    left = list(range(len(states)))
    for layer in range(layers):
        if layer in skipped:
            continue
        name = f"layers.{layer}"
        inputs = {word: _norm(weights, f"{name}.attention_norm", states[word]) for word in left}
        mixed, received = _attend(weights, name, inputs, shape)
        if kept is not None:
            room = max(2, math.ceil(kept[layer] * len(states) / 100 - 1e-9))
            left = sorted(left, key=lambda word: (-received[word], word))[:room]
        for word in left:
            state = states[word] + _linear(weights, f"{name}.mix", mixed[word])
            inner = _linear(weights, f"{name}.grow", _norm(weights, f"{name}.ffn_norm", state))
            inner = np.array([0.5 * x * (1.0 + math.erf(x / math.sqrt(2.0))) for x in inner])
            states[word] = state + _linear(weights, f"{name}.shrink", inner)
    return [_norm(weights, "states_norm", state) for state in states]


def _attend(
    weights: Mapping[str, Array], name: str, inputs: Mapping[int, Array], shape: Shape
) -> tuple[dict[int, Array], dict[int, float]]:
    """What each word gets, and the sum of the attention that it receives; words by their position in the text."""
    products = {word: np.split(_linear(weights, f"{name}.product", value), 3) for word, value in inputs.items()}
    size = shape.width // shape.heads
    outputs, received = {}, dict.fromkeys(inputs, 0.0)
    for here, (query, _, _) in products.items():
        parts = []
        for head in range(shape.heads):
            span = slice(head * size, (head + 1) * size)
            logits = []
            for there, (_, key, _) in products.items():
                distance = min(max(there - here, -shape.reach), shape.reach) + shape.reach
                bias = weights[f"{name}.distances"][distance, head]
                logits.append(float(query[span] @ key[span]) / math.sqrt(size) + bias)
            odds = np.exp(np.array(logits) - max(logits))
            shares = odds / odds.sum()
            parts.append(
                sum(share * value[span] for share, (_, _, value) in zip(shares, products.values(), strict=True))
            )
            for there, share in zip(products, shares, strict=True):
                received[there] += float(share)
        outputs[here] = np.concatenate(parts)
    return outputs, received


def _linear(weights: Mapping[str, Array], name: str, value: Array) -> Array:
    return weights[f"{name}.weight"] @ value + weights[f"{name}.bias"]


def _norm(weights: Mapping[str, Array], name: str, value: Array) -> Array:
    centred = value - value.mean()
    return centred / np.sqrt((centred**2).mean() + _EPSILON) * weights[f"{name}.weight"] + weights[f"{name}.bias"]
