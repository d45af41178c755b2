"""The linear layers of a parser: in float32, or learning with the roundings of 8 or 4 bits."""

from __future__ import annotations

from torch import nn

from pqrnn.model.int8 import ActivationRange
from pqrnn.model.qat import QuantizedLinear
from pqrnn.recipes.settings import ModelConfig


def make_linear(
    config: ModelConfig, inputs: int, outputs: int, kind: ActivationRange, *, bias: bool = True, taps: int = 1
) -> nn.Linear:
    """Return an untrained linear layer of a parser.

    Args:
        config: The shape of the parser; its precision decides the kind of layer.
        inputs: Width of the input.
        outputs: Width of the output.
        kind: The range that the inputs lie in.
        bias: Whether the layer has a bias.
        taps: How many outputs share a scale in 8 bits.
    """
    if config.precision == "float32":
        return nn.Linear(inputs, outputs, bias)
    headroom = 1.0 / (1.0 - config.dropout)
    return QuantizedLinear(inputs, outputs, kind, bias=bias, taps=taps, headroom=headroom, bits=config.weight_bits)
