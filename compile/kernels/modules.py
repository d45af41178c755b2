"""A parser with kernels: modules that call `compile.kernels.operators` with packed weights.

Weights are packed once, whatever the number of entries.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from compile.kernels import head_operators, operators  # noqa: F401  they define the operators of torch.ops.pqrnn
from compile.kernels.families import InstructionFamily, Kernels
from compile.kernels.head_sizes import DEPTH_STEP, PRODUCTS, HeadSizes
from compile.kernels.layer import GATES
from compile.kernels.packing import PackedTable, offset_sums, pack_table, pack_weights
from pqrnn.features.projection import Projection, Words
from pqrnn.model.int8 import ActivationRange, IntegerLinear
from pqrnn.model.parser import ParserModel, ParserOutputs, add_context
from pqrnn.model.qrnn import QrnnLayer

Arrange = Callable[[Tensor], Tensor]


class PackedLinear(nn.Module):
    """The weights and constants of a linear layer, as a kernel reads them.

    Zero point and step of an `IntegerLinear` are part of `offsets` and `scale`; a layer of float32 has a bias only.

    Attributes:
        columns: Number of columns in the kernel's order, without those that fill up the last block.
        weights: Packed weights, int8 or float32; uint8 with two weights of 4 bits in each byte.
        offsets: int32[blocks * lanes], the values that sums start from.
        scale: float32[blocks * lanes], the factors of the sums.
        bias: float32[blocks * lanes], added to the scaled sums.
    """

    weights: Tensor
    offsets: Tensor
    scale: Tensor
    bias: Tensor

    def __init__(
        self,
        linear: IntegerLinear | nn.Linear,
        family: InstructionFamily,
        arrange: Arrange = lambda value: value,
        depth: int = 0,
    ) -> None:
        """Pack the weights.

        Args:
            linear: The linear layer.
            family: Instruction family to pack for.
            arrange: Puts the columns of a matrix into the kernel's order.
            depth: Number of rows to fill up to with zeros.
        """
        super().__init__()
        plain = linear.weight if isinstance(linear, IntegerLinear) else linear.weight.detach().T
        weight = functional.pad(arrange(plain), (0, 0, 0, max(depth - plain.shape[0], 0)))
        self.columns = weight.shape[1]
        width = -(-self.columns // family.lanes) * family.lanes
        form = family.in_bits(linear.bits if isinstance(linear, IntegerLinear) else 8)

        def lay(value: Tensor) -> Tensor:
            return functional.pad(arrange(value[None])[0], (0, width - self.columns))

        self.register_buffer("weights", pack_weights(weight, form))
        self.register_buffer(
            "bias", lay(linear.bias.detach() if linear.bias is not None else torch.zeros(plain.shape[1]))
        )
        if isinstance(linear, IntegerLinear):
            self.register_buffer("offsets", offset_sums(weight, form) + form.factor * lay(linear.offset))
            self.register_buffer("scale", lay(linear.factor) / form.factor)  # exact: a power of two


class KernelLinear(nn.Module):
    """A linear layer as one kernel, after the rounding to integers."""

    def __init__(self, linear: IntegerLinear | nn.Linear, family: InstructionFamily) -> None:
        """Pack the weights of `linear` for a family."""
        super().__init__()
        self.family = family.name
        self.linear, self.packed = linear, PackedLinear(linear, family)

    def forward(self, value: Tensor) -> Tensor:
        """Return the outputs of the linear layer."""
        packed = self.packed
        left = _quantize(self.linear, value).reshape(-1, value.shape[-1])
        if not isinstance(self.linear, IntegerLinear):
            product = torch.ops.pqrnn.product_f32(left, packed.weights, packed.bias, packed.columns, self.family)
            return cast(Tensor, product).reshape(*value.shape[:-1], -1)
        product = torch.ops.pqrnn.scaled_product(
            left, packed.weights, packed.offsets, packed.scale, packed.bias, packed.columns, self.family
        )
        return cast(Tensor, product).reshape(*value.shape[:-1], -1)


def _quantize(linear: nn.Module, value: Tensor) -> Tensor:
    """Return the inputs of a layer as it multiplies them: int8 for a layer of integers."""
    return linear.quantize(value) if isinstance(linear, IntegerLinear) else value


class KernelLayer(nn.Module):
    """A folded `QrnnLayer` as one kernel, after the rounding to integers."""

    scale: Tensor
    bias: Tensor

    def __init__(self, layer: QrnnLayer, family: InstructionFamily) -> None:
        """Pack the weights of `layer` for a family."""
        super().__init__()
        self.linear = cast(IntegerLinear | nn.Linear, layer.product)
        self.family, self.state, self.taps = family.name, layer.state, layer.kernel
        blocks = -(-layer.state // family.lanes)

        def arrange(value: Tensor, taps: int = layer.kernel) -> Tensor:
            """Order columns by direction, block of channels, tap, gate and channel."""
            parts = value.reshape(-1, 2, taps, GATES, layer.state)
            filled = functional.pad(parts, (0, blocks * family.lanes - layer.state)).reshape(
                -1, 2, taps, GATES, blocks, family.lanes
            )
            return filled.permute(0, 1, 4, 2, 3, 5).reshape(value.shape[0], -1)

        self.packed = PackedLinear(self.linear, family, arrange)
        self.register_buffer("bias", arrange(layer.bias.detach()[None], 1)[0])
        if isinstance(self.linear, IntegerLinear):
            # The taps of a gate have one scale, and are added before it.
            scale = self.linear.factor.reshape(2, layer.kernel, -1)[:, 0] / family.in_bits(self.linear.bits).factor
            self.register_buffer("scale", arrange(scale.reshape(1, -1), 1)[0])

    def advance(self, left: Tensor, mask: Tensor, counts: Tensor, words: int) -> tuple[Tensor, Tensor]:
        """Return the outputs of the layer, as the next layer's inputs and as float32.

        Args:
            left: int8[B * T, width], or float32 for a layer of float32.
            mask: float32[B * T], one where a word is.
            counts: int32[B], the number of rows of each text to compute.
            words: Number of rows of each text, T.

        Returns:
            int8[B * T, 2 * state] of step 1/127 and float32 of the same shape; for a layer of float32 the second twice.
        """
        packed = self.packed
        if not isinstance(self.linear, IntegerLinear):
            outputs = torch.ops.pqrnn.layer_f32(
                left, packed.weights, self.bias, mask, counts, words, self.state, self.taps, self.family
            )
            return outputs, outputs
        outputs = torch.ops.pqrnn.layer(
            left,
            packed.weights,
            packed.offsets,
            self.scale,
            self.bias,
            mask,
            counts,
            words,
            self.state,
            self.taps,
            self.family,
        )
        return cast(tuple[Tensor, Tensor], outputs)

    def forward(self, value: Tensor, mask: Tensor, *, scan: bool) -> Tensor:
        """Return what `QrnnLayer.forward` does; the recurrence has only one form here."""
        batch, words, width = value.shape
        # All rows, because the modules after this one read all of them.
        counts = torch.full((batch,), words, dtype=torch.int32)
        _, outputs = self.advance(
            _quantize(self.linear, value).reshape(-1, width), mask.expand(batch, words, 1).reshape(-1), counts, words
        )
        return outputs.reshape(batch, words, -1)


_TABLES = (*PackedTable._fields, "folds")


class KernelProjection(nn.Module):
    """A `Projection` as one kernel."""

    seeds: Tensor

    def __init__(self, projection: Projection, lanes: int) -> None:
        """Keep the tables of `projection`, for vectors of `lanes` 32-bit numbers."""
        super().__init__()
        self.config, self.lanes = projection.config, lanes
        reader = projection.reader
        parts = (*pack_table(reader.stage1, reader.stage2), reader.folds.reshape(-1))
        for name, part in zip(_TABLES, parts, strict=True):
            self.register_buffer(name, part)
        self.register_buffer("seeds", torch.cat([projection.word_seeds, projection.ngram_seeds]))

    def find(
        self, text: Tensor, words: int, *, float32: bool = False, rest: bool = False
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the words of texts and their features.

        Args:
            text: int32[B, N / 4], the bytes of the texts.
            words: Number of rows of each text, W.
            float32: Whether features are float32 instead of int8.
            rest: Whether the features of rows without a word are set to zero.

        Returns:
            Features int8 or float32[B * W, F], mask float32[B * W], spans int32[B * W, 2] and word count int32[B].
        """
        config = self.config
        shape = (
            config.version,
            words,
            config.word_features,
            config.ngram_features,
            list(config.ngrams),
            self.lanes,
            int(float32),
            int(rest),
        )
        table = [self.get_buffer(name) for name in _TABLES]
        outputs = torch.ops.pqrnn.projection(text, *table, self.seeds, *shape)
        return cast(tuple[Tensor, Tensor, Tensor, Tensor], outputs)

    def forward(self, text: Tensor, words: int) -> Words:
        """Return what `Projection.forward` does."""
        # float32 from the kernel on: the compiler's own product of int8, which it widens itself, is slow.
        features, _, spans, count = self.find(text, words, float32=True, rest=True)
        batch = text.shape[0]
        return Words(features.reshape(batch, words, -1), spans.reshape(batch, words, 2), count)


class KernelParser(nn.Module):
    """A folded `ParserModel` that consists of kernels.

    There is one kernel for the words, one for the bottleneck, one for each layer and one for the heads. A parser of
    integers passes int8 from each to the next.
    """

    offsets: Tensor
    scale: Tensor
    bias: Tensor
    levels: Tensor

    def __init__(self, model: ParserModel, family: InstructionFamily) -> None:
        """Pack the weights of `model` for a family; `fits_parser` says whether that is possible."""
        super().__init__()
        self.family, self.float32, self.config = family.name, family.float32, model.config
        self.projection = KernelProjection(model.projection, family.lanes)
        self.bottleneck = PackedLinear(_linear(model.bottleneck), family)
        self.layers = nn.ModuleList(KernelLayer(cast(QrnnLayer, layer), family) for layer in model.layers)
        after = cast(KernelLayer, self.layers[0]).linear
        if isinstance(after, IntegerLinear):
            self.register_buffer("levels", (after.kind.levels / after.amax).reshape(1))
        self.labels = (_outputs(_linear(model.intent)), _outputs(_linear(model.tags)))
        count, lanes = self.labels[1], family.lanes

        def both_sides(value: Tensor) -> Tensor:
            return functional.pad(value.reshape(-1, 2, count), (0, -(-count // lanes) * lanes - count)).reshape(
                value.shape[0], -1
            )

        linears = {
            "pool": model.pool,
            "intent": model.intent,
            "tags": model.tags,
            "pooled": model.tags_from_pool,
            "neighbours": model.neighbours,
        }
        depth = count if family.float32 else -(-count // DEPTH_STEP) * DEPTH_STEP
        packed = {
            name: PackedLinear(_linear(linears[name]), family)
            if name != "neighbours"
            else PackedLinear(_linear(linears[name]), family, both_sides, depth)
            for name in PRODUCTS
        }
        for name in PRODUCTS:
            self.register_buffer(f"{name}_weights", packed[name].weights)
        for part in ("bias",) if family.float32 else ("offsets", "scale", "bias"):
            self.register_buffer(part, torch.cat([packed[name].get_buffer(part) for name in PRODUCTS]))

    def forward(self, text: Tensor, words: int) -> ParserOutputs:
        """Return what `ParserModel.forward` does."""
        batch = text.shape[0]
        context = self.config.context
        features, mask, spans, count = self.projection.find(text, words, float32=self.float32, rest=context > 0)
        if context:
            features = add_context(features.reshape(batch, words, -1), context).flatten(0, 1)
        first = self.bottleneck
        if self.float32:
            inputs = torch.ops.pqrnn.rectified_f32(
                features, first.weights, first.bias, mask, count, first.columns, self.family
            )
        else:
            inputs, _ = torch.ops.pqrnn.rectified(
                features,
                first.weights,
                first.offsets,
                first.scale,
                first.bias,
                mask,
                self.levels,
                count,
                first.columns,
                self.family,
            )
        for layer in self.layers:
            inputs, states = cast(KernelLayer, layer).advance(inputs, mask, count, words)
        weights = [self.get_buffer(f"{name}_weights") for name in PRODUCTS]
        shape = (words, *self.labels, self.config.refinements)
        if self.float32:
            intent, tags = torch.ops.pqrnn.head_f32(states, mask, count, *weights, self.bias, *shape, self.family)
        else:
            intent, tags = torch.ops.pqrnn.head(
                inputs, states, mask, count, *weights, self.offsets, self.scale, self.bias, *shape, self.family
            )
        return ParserOutputs(intent, tags.reshape(batch, words, -1), spans.reshape(batch, words, 2), count)


def _linear(module: nn.Module | None) -> IntegerLinear | nn.Linear:
    """Return a module that is known to be a linear layer, with that type."""
    return cast(IntegerLinear | nn.Linear, module)


def _outputs(linear: IntegerLinear | nn.Linear) -> int:
    return linear.weight.shape[1] if isinstance(linear, IntegerLinear) else linear.out_features


def has_products(model: nn.Module) -> bool:
    """Say whether a model multiplies integers."""
    return any(isinstance(module, IntegerLinear) for module in model.modules())


def fits_parser(model: ParserModel, family: InstructionFamily) -> bool:
    """Say whether `KernelParser` can replace a model.

    The model needs recurrent layers, rounds of refinement, and a width of whole blocks of channels; a model of integers
    also needs a first layer whose inputs are positive.
    """
    config = model.config
    if not model.is_recurrent:
        return False
    sizes = HeadSizes(1, 2, 2 * config.state, 1, 1, config.pool_peaks, config.refinements)
    first = model.layers[0].product if len(model.layers) else None
    suits = (
        isinstance(first, nn.Linear)
        if family.float32
        else isinstance(first, IntegerLinear) and first.kind is ActivationRange.POSITIVE
    )
    return suits and sizes.fits(family.lanes)


def counts_words(model: ParserModel, kernels: Kernels | None) -> bool:
    """Say whether a model with these kernels computes only the words of a text, whatever the size of the entry."""
    if kernels is None or kernels.family is None or not fits_parser(model, kernels.family):
        return False
    return not model.config.context  # the context is no kernel, and is computed for all rows


def with_kernels(model: ParserModel, kernels: Kernels) -> ParserModel | KernelParser:
    """Return a parser that calls kernels; `model` has to be folded, and is left as it is."""
    family = kernels.family
    if family is not None and fits_parser(model, family):
        return KernelParser(model, family)
    changed = copy.deepcopy(model)
    changed.set_submodule("projection", KernelProjection(model.projection, kernels.lanes))
    if family is None:
        return changed
    for name, module in list(changed.named_modules()):
        if isinstance(module, QrnnLayer):
            changed.set_submodule(name, KernelLayer(module, family))
    for name, module in list(changed.named_modules()):
        if isinstance(module, IntegerLinear | nn.Linear) and not name.endswith(".linear"):
            changed.set_submodule(name, KernelLinear(module, family))
    return changed
