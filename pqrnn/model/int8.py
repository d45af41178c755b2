"""Inference in 8 bits: int8 weights and activations, int32 sums, float32 between the products.

A quantized parser runs this in PyTorch and compiled.

A product is `step * scale[n] * sum_k (q[k] - zero) * w[k, n]`, with `w` in int8, symmetric, a `scale` for every output,
and `q` in int8: the activation is `step * (q - zero)`. Where the zero point is not 0 it is worked into the integer
sums, exactly (Jacob et al. 2018, arXiv:1712.05877, section 2.3).

Inputs whose channels differ, as behind the norms of transformers, have a range for every channel instead: the
activation is `centre[k] + amax[k] / 127 * q[k]`. The product of the centres is part of the bias, and the weights that
become integers are `amax[k] * w[k, n]`, so that the sums need no more than one scale for every output (as Xiao et al.
2023, arXiv:2211.10438, and Wei et al. 2023, arXiv:2304.09145, have it).

Every rounding to int8 is `floor(x / step + 1/2)`, written as a cut-off positive number: every processor has the
instruction, while rounding is a call into a library on some, and no two devices can differ in what becomes of a half.
"""

from __future__ import annotations

import copy
import functools
from enum import StrEnum
from typing import TypeVar

import torch
from torch import Tensor, nn

AMAX_BEFORE = "largest"  # what `amax` is called in older checkpoints
EXACT_DEPTH = 1024  # 1024 * 128 * 127 < 2^24: so many products of int8 are added exactly in float32
_FEW_ROWS = 4  # so few take less time than widening the weights

Model = TypeVar("Model", bound=nn.Module)


class ActivationRange(StrEnum):
    """Where an activation lies, which decides its step and zero point."""

    INTEGERS = "integers"  # whole numbers of int8 already: exact
    SIGNED = "signed"  # [-1, 1]: step 1/127
    SHARE = "share"  # [0, 1]: step 1/255
    POSITIVE = "positive"  # [0, amax], measured or learned: step amax/255; what is larger is taken for amax
    MEASURED = "measured"  # [centre - amax, centre + amax] of every channel: step amax/127; what is outside is cut off

    @property
    def levels(self) -> int:
        """Steps from zero to the end of the range."""
        return {ActivationRange.INTEGERS: 1, ActivationRange.SIGNED: 127, ActivationRange.MEASURED: 127}.get(self, 255)

    @property
    def zero(self) -> int:
        """The int8 that stands for zero."""
        return -128 if self in (ActivationRange.SHARE, ActivationRange.POSITIVE) else 0


def multiply(left: Tensor, weights: Tensor) -> Tensor:
    """Multiply int8[M, K] by int8[K, N] into int32[M, N], exactly.

    All integer products of a parser are this call, so that a compiler has one operation to look for. `weights` is
    always a buffer of a module. Both may be the same numbers in float32 (`widen_weights`): the products are then taken
    in parts of K of which no sum reaches 2^24, so that they are exact, too. So are several rows of int8 outside of a
    trace, because PyTorch's own product of int8 takes 20 to 30 times as long on processors without VNNI.
    """
    if weights.dtype is torch.int8:
        if left.shape[0] < _FEW_ROWS or torch.compiler.is_compiling():
            return torch._int_mm(left, weights)
        left, weights = left.float(), weights.float()
    pairs = (
        [(left, weights)]
        if left.shape[1] <= EXACT_DEPTH
        else zip(left.split(EXACT_DEPTH, 1), weights.split(EXACT_DEPTH), strict=True)
    )
    return functools.reduce(torch.add, [torch.matmul(some, others).to(torch.int32) for some, others in pairs])


def round_activation(value: Tensor, kind: ActivationRange, amax: Tensor, centre: Tensor | None = None) -> Tensor:
    """Return the int8 that stand for an activation, as whole numbers in float32, shaped like `value`.

    Args:
        value: The activation, float32[..., K].
        kind: Range of the activation.
        amax: End or half the width of the range, as in `IntegerLinear`.
        centre: Middle of the range of every `ActivationRange.MEASURED` input, float32[K].
    """
    if kind is ActivationRange.INTEGERS:
        return value
    return torch.floor(_shift(value, kind, amax, centre)) - 128.0


def _shift(value: Tensor, kind: ActivationRange, amax: Tensor, centre: Tensor | None) -> Tensor:
    """Return activations in steps, shifted to positive numbers: the whole part of each is its int8 plus 128."""
    scaled = (value if centre is None else value - centre) * (kind.levels / amax)
    if kind is ActivationRange.POSITIVE:
        scaled = scaled.clamp(max=kind.levels)
    elif kind is ActivationRange.MEASURED:
        scaled = scaled.clamp(-kind.levels, kind.levels)
    return scaled + (kind.zero + 128.5)


def round_by_floor(model: Model) -> Model:
    """Return a copy of a model whose activations become whole numbers before they become int8.

    They are the very same integers, for IREE's interpreter, which rounds where it should cut off.
    """
    changed = copy.deepcopy(model)
    for layer in changed.modules():
        if isinstance(layer, IntegerLinear):
            layer.floors = True
    return changed


def widen_weights(model: Model) -> Model:
    """Return a copy of a model whose integer products are computed in float32.

    They are the very same integers, for what cannot store 8 bits.
    """
    wide = copy.deepcopy(model)
    for layer in wide.modules():
        if isinstance(layer, IntegerLinear):
            layer.weight = layer.weight.float()
    return wide


def expand_taps(scale: Tensor, taps: int) -> Tensor:
    """Repeat the scales of gates for all taps of a QRNN layer's product, float32[N / taps] to float32[N].

    They are ordered by direction, tap and gate. The taps of a gate are added to each other, so that they have one
    scale: half the bytes for a kernel of two words.
    """
    return scale if taps == 1 else scale.reshape(2, 1, -1).expand(-1, taps, -1).reshape(-1)


def scale_of_sums(kind: ActivationRange, scale: Tensor, amax: Tensor) -> Tensor:
    """Return the factors of integer sums, float32[N / taps].

    Args:
        kind: Range of the inputs.
        scale: Scales of the weights, float32[N / taps].
        amax: End of the range, float32[], or float32[K], which the weights hold then.
    """
    return scale / kind.levels if kind is ActivationRange.MEASURED else scale * (amax / kind.levels)


def rename_amax(module: nn.Module, weights: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Read weights of before, whose `amax` was called `largest`: a hook for `load_state_dict`."""
    before = f"{prefix}{AMAX_BEFORE}"
    if before in weights:
        weights[f"{prefix}amax"] = weights.pop(before)


class IntegerLinear(nn.Module):
    """A linear layer in 8 bits, float32[..., K] to float32[..., N]: what `pqrnn.model.qat.QuantizedLinear` becomes.

    Attributes:
        bits: Number of bits of a weight, 8 or 4.
        floors: Whether activations become whole numbers before they become int8 (`round_by_floor`).
        weight: Weights, int8[K, N], -127 to 127, or -7 to 7 in 4 bits; the activations take its type
            (`widen_weights`).
        scale: Scales of the weights, float32[N / taps]; numbers that float16 holds, as it is stored.
        bias: Biases, float32[N], likewise; None where there are none.
        amax: End of the range of an `ActivationRange.POSITIVE` input, float32[]; half the width of the range of every
            `ActivationRange.MEASURED` input, float32[K]; else 1.
        centre: Middle of the range of every `ActivationRange.MEASURED` input, float32[K]; None for other ranges.
        offset: The sums of the weights' columns times `-zero`, int32[N]; follows from the weights.
        factor: The factor from integer sums to outputs, float32[N]; follows from the scales and `amax`.
    """

    weight: Tensor
    scale: Tensor
    bias: Tensor | None
    amax: Tensor
    centre: Tensor | None
    offset: Tensor
    factor: Tensor

    def __init__(
        self, inputs: int, outputs: int, kind: ActivationRange, *, bias: bool = True, taps: int = 1, bits: int = 8
    ) -> None:
        """Make a layer whose weights are zero until they are loaded or set.

        Args:
            inputs: Number of inputs K.
            outputs: Number of outputs N.
            kind: Range of the inputs.
            bias: Whether there is a bias.
            taps: How many outputs share a scale (`expand_taps`).
            bits: Number of bits of a weight, 8 or 4.
        """
        super().__init__()
        self.kind, self.taps, self.bits, self.floors = kind, taps, bits, False
        self.register_buffer("weight", torch.zeros((inputs, outputs), dtype=torch.int8))
        self.register_buffer("scale", torch.ones(outputs // taps))
        self.register_buffer("bias", torch.zeros(outputs) if bias else None)
        measured = kind is ActivationRange.MEASURED
        shape = (inputs,) if measured else ()
        self.register_buffer("amax", torch.ones(shape), persistent=measured or kind is ActivationRange.POSITIVE)
        self.register_buffer("centre", torch.zeros(inputs) if measured else None)
        self.register_buffer("offset", torch.zeros(outputs, dtype=torch.int32), persistent=False)
        self.register_buffer("factor", torch.ones(outputs), persistent=False)
        self.register_load_state_dict_pre_hook(rename_amax)
        self.register_load_state_dict_post_hook(lambda module, _: module.derive())

    def parameters_count(self) -> int:
        """Weights and biases."""
        return self.weight.numel() + (0 if self.bias is None else self.bias.numel())

    def derive(self) -> None:
        """Compute what follows from new weights and scales."""
        self.offset.copy_(-self.kind.zero * self.weight.sum(0, dtype=torch.int32))
        self.factor.copy_(expand_taps(scale_of_sums(self.kind, self.scale, self.amax), self.taps))

    @property
    def step(self) -> Tensor:
        """Distance between neighbouring activations: float32[], or float32[K] where every input has a range."""
        return self.amax / self.kind.levels

    def shift(self, value: Tensor) -> Tensor:
        """Return activations in steps, shifted to positive numbers: the whole part of each is its int8 plus 128."""
        return _shift(value, self.kind, self.amax, self.centre)

    def quantize(self, value: Tensor) -> Tensor:
        """Return the int8 that stand for an activation."""
        if self.kind is ActivationRange.INTEGERS:
            return value.to(self.weight.dtype)
        if self.floors or self.weight.dtype is not torch.int8:
            return round_activation(value, self.kind, self.amax, self.centre).to(self.weight.dtype)
        return (self.shift(value).to(torch.int32) - 128).to(torch.int8)

    def dequantize(self, integers: Tensor) -> Tensor:
        """Return the activations that int8 stand for, in the type of the scales."""
        value = (integers - float(self.kind.zero)) * self.step
        return value if self.centre is None else value + self.centre

    def forward(self, value: Tensor) -> Tensor:
        """Quantize, multiply in integers, and scale back."""
        sums = multiply(self.quantize(value).reshape(-1, value.shape[-1]), self.weight)
        if self.kind.zero:
            sums = sums + self.offset
        result = sums.to(value.dtype) * self.factor
        if self.bias is not None:
            result = result + self.bias
        return result.reshape(*value.shape[:-1], -1)
