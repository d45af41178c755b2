"""BERT's layers in NumPy and double precision, one subword and one head at a time, with subwords that are dropped."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
_EPSILON = 1e-12


def encode(
    weights: Mapping[str, Array],
    tokens: list[int],
    layers: int,
    heads: int,
    kept: tuple[int, ...],
    skipped: tuple[int, ...],
    types: Sequence[int] = (),
) -> list[Array]:
    """The states of the subwords of one text; those that were dropped keep the last that they had."""
    states = []
    for position, token in enumerate(tokens):
        kind = types[position] if types else 0
        total = weights["embeddings.word_embeddings.weight"][token]
        total = total + weights["embeddings.position_embeddings.weight"][position]
        states.append(
            _norm(weights, "embeddings.LayerNorm", total + weights["embeddings.token_type_embeddings.weight"][kind])
        )
    left = list(range(len(tokens)))
    for layer in range(layers):
        if layer in skipped:
            continue
        name = f"encoder.layer.{layer}"
        queries, keys, values = (
            {place: _linear(weights, f"{name}.attention.self.{part}", states[place]) for place in left}
            for part in ("query", "key", "value")
        )
        size, received, mixed = len(states[0]) // heads, dict.fromkeys(left, 0.0), {}
        for here in left:
            mixed[here] = np.zeros(len(states[0]))
            for head in range(heads):
                part = slice(head * size, (head + 1) * size)
                odds = np.exp([queries[here][part] @ keys[there][part] / math.sqrt(size) for there in left])
                for there, share in zip(left, odds / odds.sum(), strict=True):
                    mixed[here][part] += share * values[there][part]
                    received[there] += share
        room = max(2, math.ceil(kept[layer] * len(tokens) / 100 - 1e-9))
        left = sorted(left, key=lambda place: (place != 0, -received[place], place))[:room]
        for place in left:
            attended = _linear(weights, f"{name}.attention.output.dense", mixed[place]) + states[place]
            attended = _norm(weights, f"{name}.attention.output.LayerNorm", attended)
            inner = _linear(weights, f"{name}.intermediate.dense", attended)
            inner = np.array([0.5 * x * (1.0 + math.erf(x / math.sqrt(2.0))) for x in inner])
            states[place] = _norm(
                weights, f"{name}.output.LayerNorm", _linear(weights, f"{name}.output.dense", inner) + attended
            )
    return states


def _linear(weights: Mapping[str, Array], name: str, value: Array) -> Array:
    return weights[f"{name}.weight"] @ value + weights[f"{name}.bias"]


def _norm(weights: Mapping[str, Array], name: str, value: Array) -> Array:
    centred = value - value.mean()
    return centred / np.sqrt((centred**2).mean() + _EPSILON) * weights[f"{name}.weight"] + weights[f"{name}.bias"]
