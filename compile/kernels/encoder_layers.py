"""Encoders of BERT's family in 8 bits whose dense products are kernels."""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
from torch import Tensor, nn

from compile.kernels.families import InstructionFamily
from compile.kernels.modules import KernelLinear
from pqrnn.distillation.short_encoder import EncoderLayer
from pqrnn.model.int8 import IntegerLinear
from pqrnn.questions.model import SpanModel


def with_encoder_kernels(model: SpanModel, family: InstructionFamily) -> SpanModel:
    """Return a span model in 8 bits that calls kernels for its dense products; `model` is left as it is."""
    changed = copy.deepcopy(model)
    layers = changed.encoder.encoder.layer
    for number, layer in enumerate(layers):
        layers[number] = KernelEncoderLayer(layer, family)
    return changed


class KernelEncoderLayer(nn.Module):
    """A layer of the library whose products are kernels: one for queries, keys and values, and one for each other."""

    def __init__(self, layer: Any, family: InstructionFamily) -> None:
        """Pack the weights of `layer`, whose modules are replaced."""
        super().__init__()
        attention = layer.attention.self
        self.related = KernelLinear(join_linears(attention.query, attention.key, attention.value), family)
        for name, module in list(layer.named_modules()):
            if isinstance(module, IntegerLinear):
                layer.set_submodule(name, KernelLinear(module, family))
        self.layer = layer

    def forward_some(self, *arguments: Any) -> Any:
        """Encode subwords of which only some go on, as `pqrnn.model.transformer.TransformerLayer.forward_some`."""
        return _Joined(self.layer, self.related).forward_some(*arguments)


class _Joined(EncoderLayer):
    def __init__(self, layer: Any, related: nn.Module) -> None:
        super().__init__(layer)
        self._related = related

    def relate(self, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return cast(tuple[Tensor, Tensor, Tensor], self._related(value).chunk(3, -1))


def join_linears(*linears: IntegerLinear) -> IntegerLinear:
    """Return one layer with the outputs of several that read the same inputs, one behind the other.

    Raises:
        ValueError: They round their inputs in different ways.
    """
    first = linears[0]
    for other in linears[1:]:
        same = other.kind is first.kind and torch.equal(other.amax, first.amax)
        if not same or (first.centre is not None and not torch.equal(cast(Tensor, other.centre), first.centre)):
            raise ValueError("linear layers that round their inputs in different ways cannot be one")
    joined = IntegerLinear(first.weight.shape[0], sum(each.weight.shape[1] for each in linears), first.kind)
    joined.weight.copy_(torch.cat([each.weight for each in linears], 1))
    joined.scale.copy_(torch.cat([each.scale for each in linears]))
    joined.amax.copy_(first.amax)
    if joined.centre is not None and first.centre is not None:
        joined.centre.copy_(first.centre)
    if joined.bias is not None:
        joined.bias.copy_(torch.cat([cast(Tensor, each.bias) for each in linears]))
    joined.derive()
    return joined
