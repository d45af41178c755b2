"""The weights of a parser whose heads grow: those it has stay as they are, to the last bit in 8 bits."""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec
import torch
from torch import Tensor
from torch.nn import functional

from pqrnn.errors import ExtensionError
from pqrnn.model.int8 import IntegerLinear, expand_taps
from pqrnn.model.parser import ParserModel
from pqrnn.model.qat import SMALLEST_SCALE, hold_scale, weight_levels
from pqrnn.recipes.settings import ModelConfig
from runtime_py.decode.labels import Labels

_UNSAID = 20.0  # logits that a label without weights is below the least likely one
_SCALES = ".log_scale"
_HEADS = {"intent": "intents", "tags": "tags", "tags_from_pool": "tags"}


class GrownWeights(NamedTuple):
    """What a parser with further labels begins with.

    Attributes:
        config: Its shape; norms are worked into the weights.
        weights: Its weights, in float32, for training (`pqrnn.model.qat` in 8 bits).
        new: For each weight that has rows of new labels, one where these are and zero elsewhere.
    """

    config: ModelConfig
    weights: dict[str, Tensor]
    new: dict[str, Tensor]


def grow_weights(model: ParserModel, before: Labels, after: Labels) -> GrownWeights:
    """Return weights for more labels.

    Rows of the heads go by number, since old labels keep theirs. Rows of new ones begin with zeros and a bias under
    which they are said of nothing (`pqrnn.extending.first_guess` gives them better ones).

    Args:
        model: The parser, in float32 or 8 bits.
        before: Its labels.
        after: The labels that are wanted, which begin with those (`pqrnn.extending.labels.extend_labels`).

    Raises:
        ExtensionError: the parser is a transformer.
    """
    if not model.is_recurrent:
        raise ExtensionError(
            "this parser is a transformer, and only recurrent parsers can be extended: train it again with all data"
        )
    folded = model.folded()  # of a parser in 8 bits a copy
    config = msgspec.structs.replace(folded.config, norm="none")
    weights = dequantize(folded)
    grown = ParserModel(config, len(after.intents), len(after.tags))
    new: dict[str, Tensor] = {}
    shapes = {name: value.shape for name, value in grown.state_dict().items()}
    for head, labels in _HEADS.items():
        count = len(getattr(before, labels))
        for name in (f"{head}.weight", f"{head}.bias"):
            if name in weights:
                weights[name], new[name] = _append_rows(weights[name], shapes[name], count)
        if (name := f"{head}{_SCALES}") in weights:
            weights[name] = functional.pad(weights[name], (0, shapes[name][0] - count), value=math.log(SMALLEST_SCALE))
    if grown.neighbours is not None:
        old, wanted = len(before.tags), len(after.tags)
        shape = grown.neighbours.weight.shape
        matrix, mask = torch.zeros(shape), torch.zeros(shape)
        for side in range(2):
            matrix[side * wanted : side * wanted + old, :old] = weights["neighbours.weight"][
                side * old : (side + 1) * old
            ]
            mask[side * wanted + old : (side + 1) * wanted] = 1.0
        weights["neighbours.weight"], new["neighbours.weight"] = matrix, mask
        if (name := f"neighbours{_SCALES}") in weights:
            sides = weights[name].reshape(2, old)
            weights[name] = functional.pad(sides, (0, wanted - old), value=math.log(SMALLEST_SCALE)).reshape(-1)
    return GrownWeights(config, weights, {name: mask for name, mask in new.items() if bool(mask.any())})


def scale_new_rows(grown: GrownWeights) -> None:
    """Set the scales of new rows in place, once these have their first weights; in 8 bits there are none to set."""
    levels = weight_levels(grown.config.weight_bits)
    for name, scales in grown.weights.items():
        mask = grown.new.get(name.removesuffix(_SCALES) + ".weight") if name.endswith(_SCALES) else None
        if mask is not None:
            rows = mask.bool().any(1)
            largest = grown.weights[name.removesuffix(_SCALES) + ".weight"][rows].abs().amax(1)
            scales[rows] = hold_scale(largest / levels).log()


def dequantize(folded: ParserModel) -> dict[str, Tensor]:
    """Return the weights of a folded parser for training, by the names of one that learns.

    Those of one in integers are its whole numbers times their scales: rounded again they are the same whole numbers,
    since in 8 bits the largest of each output is 127, and in 4 bits the scales are weights, too.
    """
    weights: dict[str, Tensor] = {
        name: value.float() if value.is_floating_point() else value for name, value in folded.state_dict().items()
    }
    for name, layer in folded.named_modules():
        if isinstance(layer, IntegerLinear):
            scale = expand_taps(weights.pop(f"{name}.scale"), layer.taps)
            weights[f"{name}.weight"] = (weights[f"{name}.weight"].float() * scale).t().contiguous()
            if layer.bits < 8:
                weights[f"{name}{_SCALES}"] = layer.scale.log()
    return weights


def _append_rows(value: Tensor, shape: torch.Size, count: int) -> tuple[Tensor, Tensor]:
    """Return a head's weights or biases with rows appended, and where these are."""
    filled = torch.zeros(shape)
    if value.ndim == 1 and count:
        filled += value.min() - _UNSAID
    filled[:count] = value
    mask = torch.zeros(shape)
    mask[count:] = 1.0
    return filled, mask
