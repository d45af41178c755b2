"""Quantization-aware training of a linear layer.

It learns with the very numbers that it will have in 8 bits, or in 8 with weights of 4, and becomes
`pqrnn.model.int8.IntegerLinear`.

Weights and activations are rounded as they will be, but held as whole numbers in float32, whose products and sums are
exact below 2^24: what a model in training says is bit for bit what its integer form says. Gradients pass roundings as
if they were not there (Bengio et al. 2013, arXiv:1308.3432); the end of a measured range is learned with the weights
(Esser et al. 2020, arXiv:1902.08153), and so are the scales of weights of 4 bits: with 15 values, cutting off the few
largest weights and telling the others apart is better than reaching every one of them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pqrnn.model.int8 import ActivationRange, IntegerLinear, expand_taps, rename_amax, scale_of_sums

SMALLEST_SCALE = 2.0**-14  # smaller ones lose digits in float16


class QuantizedLinear(nn.Linear):
    """`nn.Linear` whose input and weights have 8 bits, or 8 and 4: float32[..., K] to float32[..., N].

    Attributes:
        amax: End of a measured range, float32[], or float32[K] where every input has a range
            (`ActivationRange.MEASURED`); None where the range is a bound of the function before the layer.
        centre: Middles of the ranges of `ActivationRange.MEASURED`, float32[K]; else None.
        mean: Means of these inputs, float32[K]: what roundings of the weights change there is taken off the bias (Nagel
            et al. 2019, arXiv:1906.04721, section 4.2); None for other ranges.
        log_scale: Logarithms of the scales of weights of 4 bits, float32[N / taps]; None in 8 bits, where the largest
            weight of each output says its scale.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kind: ActivationRange,
        *,
        bias: bool = True,
        taps: int = 1,
        headroom: float = 1.0,
        bits: int = 8,
    ) -> None:
        """Make an untrained layer.

        Args:
            inputs: Number of inputs K.
            outputs: Number of outputs N.
            kind: Range of the inputs.
            bias: Whether there is a bias.
            taps: How many outputs share a scale (`pqrnn.model.int8.expand_taps`).
            headroom: How many times larger dropout makes its inputs in training; they are not cut off then.
            bits: Number of bits of a weight, 8 or 4.
        """
        super().__init__(inputs, outputs, bias)
        self.kind, self.taps, self.headroom, self.bits = kind, taps, headroom, bits
        measured = kind is ActivationRange.MEASURED
        self.amax: nn.Parameter | None = None
        if measured or kind is ActivationRange.POSITIVE:
            self.amax = nn.Parameter(torch.ones(inputs if measured else ()))
        self.centre: Tensor | None
        self.mean: Tensor | None
        for name in ("centre", "mean"):
            self.register_buffer(name, torch.zeros(inputs) if measured else None)
        self.log_scale: nn.Parameter | None = None
        if bits < 8:
            self.log_scale = nn.Parameter(torch.zeros(outputs // taps))
            self.take_scale(self.largest_scale())
        self.register_load_state_dict_pre_hook(rename_amax)

    def forward(self, value: Tensor) -> Tensor:
        """Multiply as `IntegerLinear` does."""
        scale = self._scale()
        weights = self._round_weights(scale)
        amax = self._amax()
        # Under autocast the product is of lower precision, as everywhere in training; its factors are not, since
        # bfloat16 holds whole numbers up to 256.
        sums = functional.linear(self._quantize(value, amax), weights).to(scale.dtype)
        result = sums * expand_taps(scale_of_sums(self.kind, scale, amax), self.taps)
        bias = self._bias(scale, weights)
        return result if bias is None else result + bias

    def convert(self) -> IntegerLinear:
        """Return the layer in integers."""
        with torch.no_grad():
            scale = self._scale()
            weights = self._round_weights(scale)
            bias = self._bias(scale, weights)
        layer = IntegerLinear(
            self.in_features,
            self.out_features,
            self.kind,
            bias=bias is not None,
            taps=self.taps,
            bits=self.bits,
        )
        with torch.no_grad():
            layer.weight.copy_(weights.t())
            layer.scale.copy_(scale)
            layer.amax.copy_(self._amax())
            if layer.centre is not None:
                layer.centre.copy_(self._centre())
            if layer.bias is not None and bias is not None:
                layer.bias.copy_(bias)
            layer.derive()
        return layer

    def largest_scale(self) -> Tensor:
        """Return the scale with which the largest weight of every output is 127, or 7 in 4 bits: float32[N / taps]."""
        amax = self._weights_in_ranges().detach().abs().amax(1)
        if self.taps > 1:
            amax = amax.reshape(2, self.taps, -1).amax(1).reshape(-1)
        return hold_scale(amax / weight_levels(self.bits))

    def take_scale(self, scale: Tensor) -> None:
        """Set the scales of weights of 4 bits, float32[N / taps]: numbers that float16 holds."""
        assert self.log_scale is not None
        with torch.no_grad():
            self.log_scale.copy_(scale.log())

    def _scale(self) -> Tensor:
        """Scale of every output's weights, float32[N / taps]."""
        if self.log_scale is None:
            return self.largest_scale()
        return hold_scale(self.log_scale.exp())

    def _round_weights(self, scale: Tensor) -> Tensor:
        """Whole numbers, -127 to 127 (-7 to 7 in 4 bits), in float32[N, K]."""
        steps = self._weights_in_ranges() / expand_taps(scale, self.taps)[:, None]
        if self.log_scale is not None:  # a scale of its own may cut off weights
            levels = weight_levels(self.bits)
            steps = steps.clamp(-levels, levels)
        return _round(steps, 0)

    def _weights_in_ranges(self) -> Tensor:
        """Weights as they become integers, float32[N, K]: times the range of the input where every input has one."""
        return self.weight * self._amax() if self.kind is ActivationRange.MEASURED else self.weight

    def _amax(self) -> Tensor:
        return torch.ones(()) if self.amax is None else shorten(self.amax)

    def _centre(self) -> Tensor:
        assert self.centre is not None
        return shorten(self.centre)

    def _bias(self, scale: Tensor, weights: Tensor) -> Tensor | None:
        """Biases as they are stored, float32[N], with the product of the middles of the ranges; None where both lack.

        The inputs are `mean + (x - mean)`: the first part meets the weights as they are, the second the rounded ones.
        """
        if self.mean is None:
            return None if self.bias is None else shorten(self.bias)
        rest = weights @ ((self._centre() - self.mean) / self._amax())
        product = self.weight @ self.mean + rest * expand_taps(scale, self.taps)
        return shorten(product if self.bias is None else product + self.bias)

    def _quantize(self, value: Tensor, amax: Tensor) -> Tensor:
        """Return `q - zero` of `IntegerLinear.quantize`, in float32."""
        if self.kind is ActivationRange.INTEGERS:
            return value
        measured = self.kind is ActivationRange.MEASURED
        scaled = (value - self._centre() if measured else value) * (self.kind.levels / amax)
        limit = self.kind.levels * (self.headroom if self.training else 1.0)
        if measured:
            scaled = scaled.clamp(-limit, limit)
        elif self.kind is ActivationRange.POSITIVE:
            scaled = scaled.clamp(max=limit)
        return _round(scaled, self.kind.zero + 128)


def weight_levels(bits: int) -> int:
    """Return the largest weight of a number of bits; its negative is the least, so that both sides are alike."""
    return int(2 ** (bits - 1)) - 1


def hold_scale(value: Tensor) -> Tensor:
    """Return scales as a checkpoint holds them: numbers of float16, and none so small that it loses digits there."""
    return shorten(value.clamp(min=SMALLEST_SCALE))


def shorten(value: Tensor) -> Tensor:
    """Round float32 to what float16 holds."""
    short: Tensor = _Shorten.apply(value)
    return short


def _round(value: Tensor, shift: int) -> Tensor:
    """Round to whole numbers, halves up.

    `shift` is added meanwhile, so that digits are lost as `IntegerLinear.quantize` loses them.
    """
    rounded: Tensor = _Round.apply(value, shift)
    return rounded


class _Round(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, value: Tensor, shift: int) -> Tensor:
        return torch.floor(value + (shift + 0.5)) - shift

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


class _Shorten(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, value: Tensor) -> Tensor:
        return value.to(torch.float16).to(value.dtype)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]
