"""The shape of a parser."""

from __future__ import annotations

import msgspec
from torch import nn

from pqrnn.features.projection import ProjectionConfig
from pqrnn.model.int8 import ActivationRange
from pqrnn.model.qat import QuantizedLinear


class ModelConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that shapes the network.

    Attributes:
        projection: of bytes to ternary features.
        bottleneck: width of the dense layer over the features.
        context: ternary features of each pair and each triple of neighbouring words (`add_context`); 0 for none, at
            most half of the word features.
        state: QRNN state per direction; a layer's output is twice as wide.
        layers: QRNN layers.
        kernel: words that a gate sees: this one and `kernel - 1` before it (after it, backwards).
        pool_peaks: whether the intent also sees each channel's largest state over the words.
        refinements: rounds in which tags are made to agree with their neighbours; 0 for none.
        norm: "batch" (masked, folded away at export) or "none".
        dropout: of the channels of layer inputs, in training.
        word_dropout: share of words whose features are zeroed in training.
        zoneout: share of states kept unchanged in training (layer l uses `zoneout ** l`, as pQRNN's open code).
        precision: "float32", or "int8": all matrices and what they are multiplied with have 8 bits
            (`pqrnn.model.int8`); without a norm.
    """

    projection: ProjectionConfig = ProjectionConfig()
    bottleneck: int = 256
    context: int = 0
    state: int = 192
    layers: int = 2
    kernel: int = 2
    pool_peaks: bool = True
    refinements: int = 2
    norm: str = "batch"
    dropout: float = 0.3
    word_dropout: float = 0.05
    zoneout: float = 0.1
    precision: str = "float32"

    @property
    def features(self) -> int:
        """Inputs of the bottleneck per word."""
        return self.projection.features + 3 * self.context

    def make_linear(
        self, inputs: int, outputs: int, kind: ActivationRange, *, bias: bool = True, taps: int = 1
    ) -> nn.Linear:
        """Return an untrained linear layer whose inputs lie in a range, `taps` of its outputs in one scale."""
        if self.precision == "float32":
            return nn.Linear(inputs, outputs, bias)
        return QuantizedLinear(inputs, outputs, kind, bias=bias, taps=taps, headroom=1.0 / (1.0 - self.dropout))
