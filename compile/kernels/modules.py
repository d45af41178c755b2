"""A parser in integers with kernels in it: its modules are replaced by ones that call `compile.kernels.operators`."""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from compile.kernels import operators  # noqa: F401  (defines what is called by its name)
from compile.kernels.families import Family
from compile.kernels.layer import GATES
from compile.kernels.packing import offset_sums, pack_weights
from pqrnn.integer import IntegerLinear, expand_taps
from pqrnn.model import ParserModel, QrnnLayer


class KernelLinear(nn.Module):
    """What `IntegerLinear` does, in one kernel after the rounding: weights packed, zero point, step and scale worked in."""

    def __init__(self, linear: IntegerLinear, family: Family) -> None:
        """Pack the weights of `linear` for a family."""
        super().__init__()
        self.family, self.columns = family.name, linear.weight.shape[1]
        self.linear = linear
        width = -(-self.columns // family.lanes) * family.lanes

        def fill(value: Tensor) -> Tensor:
            return functional.pad(value, (0, width - self.columns))

        self.register_buffer("weights", pack_weights(linear.weight, family))
        self.register_buffer("offsets", offset_sums(linear.weight, family) + fill(linear.offset))
        self.register_buffer("scale", fill(expand_taps(linear.scale * linear.step, linear.taps)))
        self.register_buffer("bias", fill(linear.bias if linear.bias is not None else torch.zeros(self.columns)))

    def forward(self, value: Tensor) -> Tensor:
        """As `IntegerLinear.forward`."""
        left = self.linear.quantise(value).reshape(-1, value.shape[-1])
        product = torch.ops.pqrnn.scaled_product(left, self.weights, self.offsets, self.scale, self.bias, self.columns, self.family)
        return cast(Tensor, product).reshape(*value.shape[:-1], -1)


class KernelLayer(nn.Module):
    """What a folded `QrnnLayer` with an `IntegerLinear` does, in one kernel after the rounding."""

    def __init__(self, layer: QrnnLayer, family: Family) -> None:
        """Pack the weights of `layer` for a family."""
        super().__init__()
        product = cast(IntegerLinear, layer.product)
        self.family, self.state, self.taps = family.name, layer.state, layer.kernel
        self.linear = product
        blocks = -(-layer.state // family.lanes)

        def arrange(value: Tensor, taps: int) -> Tensor:
            """Order columns by direction, block of channels, tap, gate and channel."""
            parts = value.reshape(-1, 2, taps, GATES, layer.state)
            filled = functional.pad(parts, (0, blocks * family.lanes - layer.state)).reshape(-1, 2, taps, GATES, blocks, family.lanes)
            return filled.permute(0, 1, 4, 2, 3, 5).reshape(value.shape[0] if value.ndim == 2 else 1, -1)

        weights = arrange(product.weight, layer.kernel)
        self.register_buffer("weights", pack_weights(weights, family))
        self.register_buffer("offsets", offset_sums(weights, family) + arrange(product.offset, layer.kernel)[0])
        self.register_buffer("scale", arrange(product.scale * product.step, 1)[0])
        self.register_buffer("bias", arrange(layer.bias.detach(), 1)[0])

    def forward(self, value: Tensor, mask: Tensor, *, scan: bool) -> Tensor:
        """As `QrnnLayer.forward`, for one text; the recurrence has one form."""
        left = self.linear.quantise(value)[0]
        _, real = torch.ops.pqrnn.layer(left, self.weights, self.offsets, self.scale, self.bias, mask.reshape(-1), self.state, self.taps, self.family)
        return cast(Tensor, real)[None]


def has_products(model: nn.Module) -> bool:
    """Say whether a model has integer products, which are what kernels are for."""
    return any(isinstance(module, IntegerLinear) for module in model.modules())


def with_kernels(model: ParserModel, family: Family) -> ParserModel:
    """Return a parser that calls kernels of a family; `model` is folded and in integers, and stays as it is."""
    changed = copy.deepcopy(model)
    for name, module in list(changed.named_modules()):
        if isinstance(module, QrnnLayer) and isinstance(module.product, IntegerLinear):
            changed.set_submodule(name, KernelLayer(module, family))
    for name, module in list(changed.named_modules()):
        if isinstance(module, IntegerLinear) and not name.endswith(".linear"):
            changed.set_submodule(name, KernelLinear(module, family))
    return changed
