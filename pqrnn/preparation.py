"""From a parser that was trained in float32 to one in 8 bits that says nearly the same: where quantisation-aware training starts."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import torch
from torch import Tensor

from pqrnn.features import WordFeatures
from pqrnn.model import ModelConfig, ParserModel
from pqrnn.quantisation import QuantisedLinear

_BATCH = 4096


def quantised_config(config: ModelConfig) -> ModelConfig:
    """Return the shape of the parser in 8 bits that is made of one in float32."""
    return msgspec.structs.replace(config, precision="int8", norm="none")


def prepare_quantised(model: ParserModel, words: Iterable[bytes]) -> ParserModel:
    """Return a parser in 8 bits, for training, with the weights of one in float32.

    Only one range has to be measured: that of the bottleneck, which depends on nothing but the word. All others are bounds of the functions themselves.

    Args:
        model: in float32.
        words: of the training texts; the largest output of the bottleneck over them is the end of its range.
    """
    folded = model.folded()
    config = folded.config
    quantised = ParserModel(quantised_config(config), folded.intent.out_features, folded.tags.out_features)
    weights = folded.state_dict()
    if quantised.intent_from_inputs is not None:
        apart = quantised.intent_from_inputs.in_features
        weights["intent_from_inputs.weight"] = weights["intent.weight"][:, -apart:]
        weights["intent.weight"] = weights["intent.weight"][:, :-apart]
    largest = measure_bottleneck(folded, words)
    for name, module in quantised.named_modules():
        if isinstance(module, QuantisedLinear) and module.largest is not None:
            weights[f"{name}.largest"] = largest
    quantised.load_state_dict(weights)
    return quantised


@torch.inference_mode()
def measure_bottleneck(folded: ParserModel, words: Iterable[bytes]) -> Tensor:
    """Return the largest output of the bottleneck over words, float32[]; 1 where none is positive."""
    table = WordFeatures(folded.projection)
    table.index(dict.fromkeys(words))
    largest = max((float(folded.bottleneck(part.float()).amax()) for part in table.table.split(_BATCH)), default=0.0)
    return torch.tensor(largest if largest > 0.0 else 1.0)
