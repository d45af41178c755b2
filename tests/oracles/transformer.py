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


def transform(weights: Mapping[str, Array], values: list[Array], layers: int, shape: Shape) -> list[Array]:
    """The states of the words of one text, from the rectified outputs of the bottleneck."""
    states = [_linear(weights, "entry", value) for value in values]
    for layer in range(layers):
        name = f"layers.{layer}"
        mixed = _attend(weights, name, [_norm(weights, f"{name}.attention_norm", state) for state in states], shape)
        states = [state + _linear(weights, f"{name}.mix", part) for state, part in zip(states, mixed, strict=True)]
        inner = [_linear(weights, f"{name}.grow", _norm(weights, f"{name}.ffn_norm", state)) for state in states]
        inner = [np.array([0.5 * x * (1.0 + math.erf(x / math.sqrt(2.0))) for x in part]) for part in inner]
        states = [state + _linear(weights, f"{name}.shrink", part) for state, part in zip(states, inner, strict=True)]
    return [_norm(weights, "states_norm", state) for state in states]


def _attend(weights: Mapping[str, Array], name: str, inputs: list[Array], shape: Shape) -> list[Array]:
    products = [np.split(_linear(weights, f"{name}.product", value), 3) for value in inputs]
    size = shape.width // shape.heads
    outputs = []
    for here, (query, _, _) in enumerate(products):
        parts = []
        for head in range(shape.heads):
            span = slice(head * size, (head + 1) * size)
            logits = []
            for there, (_, key, _) in enumerate(products):
                distance = min(max(there - here, -shape.reach), shape.reach) + shape.reach
                bias = weights[f"{name}.distances"][distance, head]
                logits.append(float(query[span] @ key[span]) / math.sqrt(size) + bias)
            odds = np.exp(np.array(logits) - max(logits))
            parts.append(
                sum(share * value[span] for share, (_, _, value) in zip(odds / odds.sum(), products, strict=True))
            )
        outputs.append(np.concatenate(parts))
    return outputs


def _linear(weights: Mapping[str, Array], name: str, value: Array) -> Array:
    return weights[f"{name}.weight"] @ value + weights[f"{name}.bias"]


def _norm(weights: Mapping[str, Array], name: str, value: Array) -> Array:
    centred = value - value.mean()
    return centred / np.sqrt((centred**2).mean() + _EPSILON) * weights[f"{name}.weight"] + weights[f"{name}.bias"]
