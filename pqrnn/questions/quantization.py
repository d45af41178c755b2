"""From a trained span model in float32 to one in 8 bits, without training.

The dense products of the encoder's layers become products of int8 (`pqrnn.model.int8`), and the embeddings of subwords
int8 with a scale for every subword. Norms, attention, GELU and the head stay float32.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import msgspec
import torch

from pqrnn.errors import QuantizationError
from pqrnn.model.int8_embedding import IntegerEmbedding
from pqrnn.model.ranges import quantize_linear, watch_ranges
from pqrnn.questions.batches import TrainingWindow, collate_spans
from pqrnn.questions.checkpoint import SpanFacts, is_span_model, save_span_model
from pqrnn.questions.model import SpanModel
from pqrnn.run_folder import FACTS, STATE, WEIGHTS

_WINDOWS = 512  # that say how the inputs of layers lie


@torch.inference_mode()
def quantize_spans(model: SpanModel, windows: Sequence[TrainingWindow]) -> SpanModel:
    """Return a span model in 8 bits that says nearly what one in float32 says.

    Args:
        model: The model in float32, in evaluation mode.
        windows: Training windows, at least one; the smallest and largest inputs of each layer over 512 of them, spread
            over all, are the ends of its ranges, channel by channel.

    Raises:
        QuantizationError: The model is in 8 bits already.
    """
    if model.config.precision != "float32":
        raise QuantizationError("this model is in 8 bits already: quantize the one that was trained in float32")
    linears = model.linears()
    with watch_ranges(model, linears) as ranges:
        for window in windows[:: max(1, len(windows) // _WINDOWS)][:_WINDOWS]:  # one at a time: padding has no range
            batch = collate_spans([window], model.layout.padding)
            model(batch.tokens, batch.heads, batch.counts)
    quantized = copy.deepcopy(model)
    quantized.config = msgspec.structs.replace(model.config, precision="int8")
    for name, linear in linears.items():
        quantized.set_submodule(name, quantize_linear(linear, ranges[name]))
    quantized.set_embeddings(IntegerEmbedding.rounded(model.encoder.get_input_embeddings().weight))
    return quantized.eval()


def check_free(folder: Path) -> None:
    """Refuse a folder that holds a model or a run.

    Raises:
        QuantizationError: It does.
    """
    if is_span_model(folder) or any((folder / name).exists() for name in (FACTS, STATE, WEIGHTS)):
        raise QuantizationError(f"{folder}: holds a model or a run; choose another --out")


def save_quantized(folder: Path, model: SpanModel, facts: SpanFacts) -> SpanFacts:
    """Write a quantized model, with the facts of the model in float32, and return its facts."""
    folder.mkdir(parents=True, exist_ok=True)
    changed = msgspec.structs.replace(facts, config=model.config)
    save_span_model(folder, model, changed)
    return changed
