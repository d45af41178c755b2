"""The network in NumPy and double precision, from the equations: one text, one word and one gate at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

from oracles.transformer import Shape, transform

Array = npt.NDArray[np.float64]
_EPSILON = 1e-5  # of batch norm


class Config(Protocol):
    """What of `pqrnn.recipes.settings.ModelConfig` is read here."""

    @property
    def network(self) -> str: ...
    @property
    def transformer(self) -> Shape: ...
    @property
    def layers(self) -> int: ...
    @property
    def kernel(self) -> int: ...
    @property
    def refinements(self) -> int: ...
    @property
    def pool_peaks(self) -> bool: ...


def encode(
    weights: Mapping[str, Array],
    features: Array,
    config: Config,
    kept: tuple[int, ...] | None = None,
    skipped: tuple[int, ...] = (),
) -> tuple[Array, Array]:
    """Intent logits [I] and tag logits [words, L] of one text.

    Args:
        weights: a state dict in double precision; norms are applied where it has them.
        features: of the text's words, [words, F].
        config: of the network.
        kept: percent of the text's words after each layer of a transformer; None for all.
        skipped: layers of a transformer that are left out.
    """
    seen = [
        np.concatenate([word, _context(features, position, config.context)]) for position, word in enumerate(features)
    ]
    values = [np.maximum(_norm(weights, "bottleneck_norm", _linear(weights, "bottleneck", word)), 0.0) for word in seen]
    if config.network == "transformer":
        values = transform(weights, values, config.layers, config.transformer, kept, skipped)
    else:
        for layer in range(config.layers):
            values = _layer(weights, f"layers.{layer}", values, config.kernel)
    pooled = np.zeros(weights["pool.weight"].shape[1])
    peaks = np.zeros(len(pooled))
    if values:
        scores = np.array([_linear(weights, "pool", value) for value in values])
        pooled = (_softmax(scores[:, 0])[:, None] * np.array(values)).sum(0)
        peaks = np.array(values).max(0)
    common = weights["tags_from_pool.weight"] @ pooled
    unary = [_linear(weights, "tags", value) + common for value in values]
    tags = _refine(weights, unary, config.refinements)
    seen = np.concatenate([pooled, *([peaks] if config.pool_peaks else [])])
    return _linear(weights, "intent", seen), np.array(tags).reshape(len(values), len(common))


def _refine(weights: Mapping[str, Array], unary: list[Array], rounds: int) -> list[Array]:
    """Mean-field rounds of a chain (arXiv:1502.03240).

    What the words on its sides say, given their last probabilities, is added to each word's logits.
    """
    tags = unary
    for _ in range(rounds):
        from_left, from_right = np.split(weights["neighbours.weight"], 2)
        likely = [_softmax(word) for word in tags]
        tags = []
        for position, own in enumerate(unary):
            left = from_left @ likely[position - 1] if position > 0 else 0.0
            right = from_right @ likely[position + 1] if position + 1 < len(unary) else 0.0
            tags.append(own + left + right)
    return tags


def _context(features: Array, position: int, width: int) -> Array:
    """Features of this word with the next one, with the one before, and with both; zero where there is none."""

    def word(offset: int, column: int) -> float:
        return features[position + offset, column] if 0 <= position + offset < len(features) else 0.0

    found = np.zeros((3, width))
    for column in range(width):
        found[0, column] = word(0, column) * word(1, width + column)
        found[1, column] = word(-1, column) * word(0, width + column)
        found[2, column] = word(-1, column) * word(0, width + column) * word(1, width // 2 + column)
    return found.reshape(-1)


def _layer(weights: Mapping[str, Array], name: str, values: list[Array], kernel: int) -> list[Array]:
    """fo-pooling (arXiv:1611.01576) in both directions.

    c = f c + (1 - f) z and h = o c, gates from this word and those before it.
    """
    products = np.split(weights[f"{name}.product.weight"], 2 * kernel)  # by direction, then by distance
    biases = np.split(weights[f"{name}.bias"], 2)
    outputs: list[list[Array]] = []
    for direction in (0, 1):
        sequence = values if direction == 0 else values[::-1]
        taps = products[direction * kernel : (direction + 1) * kernel]
        state = np.zeros(len(biases[0]) // 3)
        hidden = []
        for position in range(len(sequence)):
            gates = sum(
                (taps[back] @ sequence[position - back] for back in range(min(kernel, position + 1))),
                np.zeros(len(biases[0])),
            )
            gates = _norm(weights, f"{name}.norm", gates, direction) + biases[direction]
            candidate, forget, output = np.split(gates, 3)
            forget = _sigmoid(forget)
            state = forget * state + (1.0 - forget) * np.tanh(candidate)
            hidden.append(_sigmoid(output) * state)
        outputs.append(hidden if direction == 0 else hidden[::-1])
    return [np.concatenate(both) for both in zip(*outputs, strict=True)]


def _linear(weights: Mapping[str, Array], name: str, value: Array) -> Array:
    return weights[f"{name}.weight"] @ value + weights[f"{name}.bias"]


def _norm(weights: Mapping[str, Array], name: str, value: Array, half: int | None = None) -> Array:
    """Batch norm with running statistics; `half` says which half of its channels."""
    if f"{name}.weight" not in weights:
        return value
    parts = (weights[f"{name}.{key}"] for key in ("mean", "variance", "weight", "bias"))
    mean, variance, weight, bias = parts if half is None else (np.split(part, 2)[half] for part in parts)
    return (value - mean) / np.sqrt(variance + _EPSILON) * weight + bias


def _softmax(value: Array) -> Array:
    odds = np.exp(value - value.max())
    shares: Array = odds / odds.sum()
    return shares


def _sigmoid(value: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-value))
