"""Encoders of BERT's family in 8 bits whose dense products are kernels."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from compile.kernels import encoder_operators  # noqa: F401  it defines an operator of torch.ops.pqrnn
from compile.kernels.attention import fits_attention, pad_words
from compile.kernels.families import InstructionFamily
from compile.kernels.modules import KernelLinear
from pqrnn.distillation.short_encoder import EncoderLayer, keep_first
from pqrnn.model.int8 import IntegerLinear
from pqrnn.model.transformer import HIDDEN, SomeWords
from pqrnn.model.word_selection import Selection, gather_rows, mark_padding, select_words
from pqrnn.questions.model import SpanModel


def with_encoder_kernels(model: SpanModel, family: InstructionFamily) -> SpanModel:
    """Return a span model in 8 bits that calls kernels for its dense products; `model` is left as it is."""
    changed = copy.deepcopy(model)
    layers = changed.encoder.encoder.layer
    for number, layer in enumerate(layers):
        layers[number] = KernelEncoderLayer(layer, family)
    return changed


class KernelEncoderLayer(nn.Module):
    """A layer of the library of which everything is a kernel; where it is of another shape, its products are."""

    least: Tensor

    def __init__(self, layer: Any, family: InstructionFamily) -> None:
        """Pack the weights of `layer`, whose modules are replaced."""
        super().__init__()
        attention = layer.attention.self
        self.heads = int(attention.num_attention_heads)
        self.family, self.lanes = family.name, family.lanes
        self.fused = fits_layer(layer, family)
        self.related = KernelLinear(join_linears(attention.query, attention.key, attention.value), family)
        if self.fused:
            following = (layer.attention.output.dense, layer.intermediate.dense, layer.output.dense)
            self.ranges = nn.ModuleList(_Range(cast(IntegerLinear, linear)) for linear in following)
            self.register_buffer("least", torch.tensor([layer.attention.output.LayerNorm.eps]))
        for name, module in list(layer.named_modules()):
            if isinstance(module, IntegerLinear):
                layer.set_submodule(name, KernelLinear(module, family))
        self.layer = layer

    def forward_some(
        self, words: SomeWords, total: Tensor, share: int, rows: int
    ) -> tuple[SomeWords, tuple[Tensor, Selection] | None]:
        """Encode subwords of which only some go on, as `pqrnn.model.transformer.TransformerLayer.forward_some`."""
        if not self.fused:
            return _Joined(self.layer, self.related).forward_some(words, total, share, rows)
        value, mask, _ = words
        batch, count, width = value.shape
        counts = mask.sum((1, 2)).to(torch.int32)
        padding = pad_words(count, self.lanes) - count
        hidden = functional.pad((mask[..., 0] - 1.0) * HIDDEN, (0, padding), value=-HIDDEN)
        states = value.reshape(-1, width)
        related = self._multiply(self.related, cast(IntegerLinear, self.related.linear).quantize(states), counts)
        mixing = cast(_Range, self.ranges[0])
        given = (related, hidden, mixing.centre, mixing.rate, counts, self.heads, self.family)
        if not rows:
            mixed = torch.ops.pqrnn.attention(*given)
            return words._replace(value=self._feed(mixed, states, counts).reshape(value.shape)), None
        mixed, received = torch.ops.pqrnn.watched_attention(*given)
        summed = received.reshape(batch, self.heads, -1).sum(1)[:, :count]
        selection = select_words(keep_first(mark_padding(summed, mask)), total, share, rows)
        chosen, kept = (
            gather_rows(each.reshape(batch, count, width), selection.indices).reshape(-1, width)
            for each in (mixed, states)
        )
        counts = selection.mask.sum((1, 2)).to(torch.int32)
        passed = self._feed(chosen, kept, counts).reshape(batch, rows, width)
        return SomeWords(passed, selection.mask), (value, selection)

    def _feed(self, mixed: Tensor, states: Tensor, counts: Tensor) -> Tensor:
        """Return what the layer passes on, float32[B * W, width]; no kernel computes padding.

        Args:
            mixed: What subwords get by attention, int8[B * W, width].
            states: Their states before the layer, float32[B * W, width].
            counts: Subwords of each text, int32[B].
        """
        operators, _, growing, shrinking = torch.ops.pqrnn, *cast(Sequence[_Range], self.ranges)
        attended, rounded = operators.rounded_norm(
            self._multiply(self.layer.attention.output.dense, mixed, counts),
            states,
            *self._norm(self.layer.attention.output.LayerNorm),
            growing.centre,
            growing.rate,
            counts,
            self.family,
        )
        packed = self.layer.intermediate.dense.packed
        grown = operators.gelu_product(
            rounded,
            packed.weights,
            packed.offsets,
            packed.scale,
            packed.bias,
            shrinking.centre,
            shrinking.rate,
            counts,
            packed.columns,
            self.family,
        )
        shrunk = self._multiply(self.layer.output.dense, grown, counts)
        norm = self._norm(self.layer.output.LayerNorm)
        finished: Tensor = operators.norm(shrunk, attended, *norm, counts, self.family)
        return finished

    def _multiply(self, linear: KernelLinear, left: Tensor, counts: Tensor) -> Tensor:
        packed = linear.packed
        product: Tensor = torch.ops.pqrnn.counted_product(
            left, packed.weights, packed.offsets, packed.scale, packed.bias, counts, packed.columns, self.family
        )
        return product

    def _norm(self, norm: nn.LayerNorm) -> tuple[Tensor, Tensor, Tensor]:
        return norm.weight, norm.bias, self.least


class _Range(nn.Module):
    """The range of a layer's inputs, as kernels round by it.

    Attributes:
        centre: Middle of the range of every input, float32[K].
        rate: Steps that one is divided into there, float32[K].
    """

    centre: Tensor
    rate: Tensor

    def __init__(self, linear: IntegerLinear) -> None:
        super().__init__()
        self.register_buffer("centre", cast(Tensor, linear.centre).clone())
        self.register_buffer("rate", linear.kind.levels / linear.amax)


def fits_layer(layer: Any, family: InstructionFamily) -> bool:
    """Say whether all of a layer can be kernels: GELU, and widths of whole vectors."""
    from transformers.activations import GELUActivation  # only now: it takes seconds to load

    attention, activation = layer.attention.self, layer.intermediate.intermediate_act_fn
    width, ffn = layer.output.dense.weight.shape[1], layer.output.dense.weight.shape[0]
    return (
        isinstance(activation, GELUActivation | nn.GELU)
        and (not isinstance(activation, nn.GELU) or activation.approximate == "none")
        and fits_attention(family, width // int(attention.num_attention_heads))
        and ffn % family.lanes == 0
        and layer.attention.output.LayerNorm.eps == layer.output.LayerNorm.eps
    )


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
