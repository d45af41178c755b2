"""A parser with shaders: modules that call `compile.kernels.shaders.operators` with packed weights."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from compile.kernels.shaders import operators  # noqa: F401  they define the operators of torch.ops.pqrnn
from compile.kernels.shaders.packing import COLUMNS, pack_words
from compile.lowering.small_table import with_small_table
from pqrnn.features.projection import Projection
from pqrnn.model.int8 import IntegerLinear, round_activation
from pqrnn.model.parser import ParserModel
from pqrnn.model.qrnn import QrnnLayer


class _PackedProduct(nn.Module):
    """The weights of an `IntegerLinear` as a shader reads them, and the range of its inputs.

    Attributes:
        weights: Packed weights, int32.
        offsets: int32, added to the sums; filled up as the weights are.
        amax: As in `IntegerLinear`.
        centre: As in `IntegerLinear`.
    """

    weights: Tensor
    offsets: Tensor
    amax: Tensor
    centre: Tensor | None

    def __init__(self, linear: IntegerLinear) -> None:
        super().__init__()
        self.kind, self.bits, self.columns = linear.kind, linear.bits, linear.weight.shape[1]
        self._fill = -self.columns % COLUMNS
        self.register_buffer("weights", pack_words(linear.weight, linear.bits))
        self.register_buffer("offsets", functional.pad(linear.offset, (0, self._fill)))
        self.register_buffer("amax", linear.amax.clone())
        self.register_buffer("centre", None if linear.centre is None else linear.centre.clone())

    def round(self, value: Tensor) -> Tensor:
        """Return the inputs as whole numbers of int8, float32[rows, K] of float32[..., K]."""
        return round_activation(value, self.kind, self.amax, self.centre).reshape(-1, value.shape[-1])


class ShaderLinear(_PackedProduct):
    """An `IntegerLinear` as one shader, after the rounding of its inputs.

    Attributes:
        affine: Scales and biases, float32[2, N] filled up.
    """

    affine: Tensor

    def __init__(self, linear: IntegerLinear) -> None:
        """Pack the weights of `linear`."""
        super().__init__(linear)
        bias = torch.zeros_like(linear.factor) if linear.bias is None else linear.bias
        self.register_buffer("affine", functional.pad(torch.stack([linear.factor, bias]), (0, self._fill)))

    def forward(self, value: Tensor) -> Tensor:
        """Return the outputs of the linear layer."""
        product = torch.ops.pqrnn.shader_scaled(
            self.round(value), self.weights, self.offsets, self.affine, self.columns, self.bits
        )
        return cast(Tensor, product).reshape(*value.shape[:-1], -1)


class ShaderLayer(nn.Module):
    """A folded `QrnnLayer` in 8 bits as two shaders, after the rounding of its inputs.

    Attributes:
        affine: Scales and biases of the gates, float32[2, 2 * 3 * state].
    """

    affine: Tensor

    def __init__(self, layer: QrnnLayer) -> None:
        """Pack the weights of `layer`."""
        super().__init__()
        linear = cast(IntegerLinear, layer.product)
        self.product = _PackedProduct(linear)
        self.state, self.taps = layer.state, layer.kernel
        scale = linear.factor.reshape(2, layer.kernel, -1)[:, 0].reshape(-1)  # the taps of a gate have one
        self.register_buffer("affine", torch.stack([scale, layer.bias.detach()]))

    def forward(self, value: Tensor, mask: Tensor, *, scan: bool) -> Tensor:
        """Return what `QrnnLayer.forward` does; the recurrence has only one form here."""
        batch, words, _ = value.shape
        packed = self.product
        sums = torch.ops.pqrnn.shader_product(
            packed.round(value), packed.weights, packed.offsets, packed.columns, packed.bits
        )
        rows = mask.expand(batch, words, 1).reshape(-1)
        outputs = torch.ops.pqrnn.shader_recurrence(sums, self.affine, rows, words, self.state, self.taps)
        return cast(Tensor, outputs).reshape(batch, words, -1)


class ShaderProjection(Projection):
    """A `Projection` that sums features of n-grams in a shader, where there is one text."""

    def __init__(self, projection: Projection) -> None:
        """Take over the tables of `projection`."""
        super().__init__(projection.config)
        self.reader = projection.reader

    def sum_members(self, member: Tensor, value: Tensor) -> Tensor:
        """Return what `Projection.sum_members` does."""
        if member.shape[0] != 1 or value.shape[2] % COLUMNS:
            return super().sum_members(member, value)
        return cast(Tensor, torch.ops.pqrnn.shader_matmul(member[0], value[0]))[None]


def with_shaders(model: ParserModel) -> ParserModel:
    """Return a parser whose products of integers, and layers around them, are shaders.

    The model has to be folded, and is left as it is.
    """
    changed = with_small_table(model)
    changed.projection = ShaderProjection(changed.projection)
    for name, module in list(changed.named_modules()):
        if isinstance(module, QrnnLayer) and isinstance(module.product, IntegerLinear):
            changed.set_submodule(name, ShaderLayer(module))
    for name, module in list(changed.named_modules()):
        if isinstance(module, IntegerLinear):
            changed.set_submodule(name, ShaderLinear(module))
    return changed
