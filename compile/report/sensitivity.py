"""How much each layer loses by rounding its inputs to 8 bits: signal to noise, as quantization debuggers show it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from msgspec import Struct
from torch import Tensor, nn

from pqrnn.checkpoint import load_checkpoint
from pqrnn.evaluation.prediction import compute_logits
from pqrnn.model.int8 import ActivationRange, IntegerLinear


class LayerNoise(Struct, frozen=True):
    """Rounding of one layer's inputs.

    Attributes:
        layer: Name of the layer.
        signal_to_noise: Ratio of the power of its inputs to that of their rounding errors, in decibels; 6 more for
            each bit.
        saturated: Share of the inputs at the end of the range of 8 bits.
        values: Number of inputs.
    """

    layer: str
    signal_to_noise: float
    saturated: float
    values: int


class _Sums:
    def __init__(self) -> None:
        self.signal = self.noise = 0.0
        self.saturated = self.values = 0

    def add(self, layer: IntegerLinear, value: Tensor) -> None:
        value = value.detach().float()
        integers = layer.quantize(value)
        rounded = (integers.float() - float(layer.kind.zero)) * layer.step
        self.signal += float(value.double().square().sum())
        self.noise += float((value - rounded).double().square().sum())
        info = torch.iinfo(integers.dtype) if not integers.dtype.is_floating_point else None
        ends = (info.min, info.max) if info is not None else (-128, 127)
        self.saturated += int(((integers <= ends[0]) | (integers >= ends[1])).sum())
        self.values += value.numel()


def measure_noise(run: Path, texts: Sequence[bytes]) -> list[LayerNoise]:
    """Measure the roundings of a trained parser in 8 bits over texts; empty for a parser in float32.

    Args:
        run: Folder of the trained parser.
        texts: Texts to run; those of the training set that the parser carries, if there are none.

    Raises:
        CheckpointError: There is no such parser.
    """
    checkpoint = load_checkpoint(run)
    model = checkpoint.model.folded()
    layers = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, IntegerLinear) and module.kind is not ActivationRange.INTEGERS
    }
    sums = {name: _Sums() for name in layers}

    def hook_of(name: str) -> object:
        def hook(layer: nn.Module, inputs: tuple[Tensor]) -> None:
            assert isinstance(layer, IntegerLinear)
            sums[name].add(layer, inputs[0])

        return hook

    hooks = [layer.register_forward_pre_hook(hook_of(name)) for name, layer in layers.items()]  # type: ignore[arg-type]
    try:
        if layers:
            compute_logits(model, list(texts) or [text.encode() for text in checkpoint.facts.golden_texts])
    finally:
        for hook in hooks:
            hook.remove()
    return [
        LayerNoise(
            name,
            round(10 * math.log10(found.signal / found.noise), 3) if found.signal and found.noise else 0.0,
            found.saturated / max(found.values, 1),
            found.values,
        )
        for name, found in sums.items()
    ]
