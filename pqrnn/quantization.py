"""From a parser that was trained in float32 to one in 8 bits that says nearly the same.

This is the end of quantization after training, or where training in 8 bits starts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor

from pqrnn.checkpoint import Checkpoint, read_revision, save_checkpoint
from pqrnn.data.examples import Example
from pqrnn.dataset.collate import pad_words
from pqrnn.dataset.segmented import segment_examples
from pqrnn.errors import QuantizationError
from pqrnn.evaluation.calibrating import refit_calibration
from pqrnn.evaluation.evaluate import evaluate_predictions
from pqrnn.evaluation.prediction import compute_logits
from pqrnn.features.word_table import WordFeatures
from pqrnn.model.int8 import ActivationRange
from pqrnn.model.parser import ParserModel
from pqrnn.model.qat import QuantizedLinear
from pqrnn.model.ranges import take_range, watch_ranges
from pqrnn.model.rounding import round_layer, watch_moments
from pqrnn.recipes.settings import ModelConfig
from pqrnn.run_folder import FACTS

_BATCH = 4096
_TEXTS = 4096  # that say how the inputs of layers lie
_TEXTS_AT_ONCE = 128


def int8_config(config: ModelConfig, bits: int = 8) -> ModelConfig:
    """Return the shape of the parser in 8 bits, its weights in so many, that is made of one in float32."""
    return msgspec.structs.replace(config, precision="int8", norm="none", weight_bits=bits)


def prepare_qat(model: ParserModel, training: Sequence[Example], bits: int = 8) -> ParserModel:
    """Return a parser in 8 bits, for training, with the weights of one in float32.

    Of a QRNN only one range has to be measured: that of the bottleneck, which depends on nothing but the word. All
    others are bounds of the functions themselves. Of a transformer those of all layers are measured, channel by channel
    (`pqrnn.model.ranges`). Weights of 4 bits are rounded so that what the layers say of the training utterances changes
    least (`pqrnn.model.rounding`).

    Args:
        model: The parser in float32.
        training: The utterances that it was trained on: the largest numbers over them are the ends of ranges.
        bits: Number of bits of a weight, 8 or 4; of a transformer 8.

    Raises:
        QuantizationError: the parser is in 8 or 4 bits already, or is a transformer, which has no form in 4.
    """
    if not model.is_recurrent and bits != 8:
        raise QuantizationError(
            f"this parser is a transformer, which has no form in {bits} bits: quantize it to 8 (--bits 8)"
        )
    if model.config.precision != "float32":
        raise QuantizationError(
            f"this parser is in {model.config.weight_bits} bits already: quantize the one that was trained in float32"
        )
    folded = model.folded()
    config = folded.config
    quantized = ParserModel(int8_config(config, bits), folded.intent.out_features, folded.tags.out_features)
    weights = folded.state_dict()
    layers = {name: module for name, module in quantized.named_modules() if isinstance(module, QuantizedLinear)}
    for name, layer in layers.items():
        for kept in ("amax", "centre", "mean", "log_scale"):
            if (value := getattr(layer, kept)) is not None:
                weights[f"{name}.{kept}"] = value.detach()
        if layer.kind is ActivationRange.POSITIVE:
            weights[f"{name}.amax"] = calibrate(folded, training)
    quantized.load_state_dict(weights)
    _take_ranges(layers, folded, training)
    if bits < 8:
        moments = measure_moments(folded, training, layers)
        for name, layer in layers.items():
            if name in moments:
                round_layer(layer, moments[name])
            else:
                layer.take_scale(layer.largest_scale())
    return quantized


@torch.inference_mode()
def measure_moments(
    folded: ParserModel, training: Sequence[Example], layers: Mapping[str, QuantizedLinear]
) -> dict[str, Tensor]:
    """Return the second moments of the inputs of layers over at most 4,096 of the training utterances, by name."""
    with watch_moments(folded, layers) as moments:
        _encode(folded, training)
    return moments


@torch.inference_mode()
def _take_ranges(layers: Mapping[str, QuantizedLinear], folded: ParserModel, training: Sequence[Example]) -> None:
    """Measure the ranges of the inputs of layers over at most 4,096 of the training utterances, and set them."""
    measured = {name: layer for name, layer in layers.items() if layer.kind is ActivationRange.MEASURED}
    if not measured:
        return
    with watch_ranges(folded, measured) as ranges:
        _encode(folded, training)
    for name, found in ranges.items():
        take_range(measured[name], found)


def _encode(folded: ParserModel, training: Sequence[Example]) -> None:
    """Run a parser on at most 4,096 of the training utterances."""
    words = [text for text in segment_examples(training, folded.config.projection.version).words if text]
    words = words[:: max(1, len(words) // _TEXTS)][:_TEXTS]
    table = folded.make_table()
    table.index(dict.fromkeys(chain.from_iterable(words)))
    for part in (words[first : first + _TEXTS_AT_ONCE] for first in range(0, len(words), _TEXTS_AT_ONCE)):
        folded.encode_words(table, *pad_words([table.index(text) for text in part]))


@torch.inference_mode()
def calibrate(folded: ParserModel, training: Sequence[Example]) -> Tensor:
    """Return the largest output of the bottleneck over the words of texts, float32[]; 1 where none is positive."""
    words = segment_examples(training, folded.config.projection.version).words
    table = WordFeatures(folded.projection)
    table.index(dict.fromkeys(chain.from_iterable(words)))
    if not folded.config.context:
        parts: Iterable[Tensor] = (folded.bottleneck(part.float()) for part in table.table.split(_BATCH) if len(part))
    else:
        indices = (torch.tensor(table.index(text)) for text in words if text)
        parts = (folded.embed(table.table[text][None].float()) for text in indices)
    amax = max((float(part.amax()) for part in parts), default=0.0)
    return torch.tensor(amax if amax > 0.0 else 1.0)


def quantize_checkpoint(
    checkpoint: Checkpoint,
    training: Sequence[Example],
    development: Sequence[Example],
    folder: Path,
    bits: int = 8,
) -> dict[str, Any]:
    """Quantize a trained parser as it is, and write it.

    Args:
        checkpoint: Checkpoint of a parser in float32.
        training: Utterances that it was trained on.
        development: Utterances that it is scored on.
        folder: Folder that the new checkpoint is written to.
        bits: Number of bits of a weight, 8 or 4.

    Returns:
        Its scores on the development set, as in a checkpoint.

    Raises:
        QuantizationError: the parser is in 8 bits already, or there is a trained parser in the folder.
    """
    if (folder / FACTS).is_file():
        raise QuantizationError(
            f"{folder}: holds a trained parser; choose another --out, or --restart to throw it away"
        )
    quantized = prepare_qat(checkpoint.model, training, bits)
    labels = checkpoint.facts.labels
    answers = compute_logits(quantized.folded(), [example.text for example in development])
    scores = evaluate_predictions(development, answers, labels.decoder()).scores
    facts = msgspec.structs.replace(
        checkpoint.facts,
        config=quantized.config,
        revision=read_revision(),
        training={**checkpoint.facts.training, "quantized": "after training", "trained_by": checkpoint.facts.revision},
        metrics={"dev": scores.as_dict()},
        calibration=refit_calibration(checkpoint.facts.calibration, labels, development, answers),
    )
    folder.mkdir(parents=True, exist_ok=True)
    save_checkpoint(folder, quantized, facts)
    return facts.metrics
