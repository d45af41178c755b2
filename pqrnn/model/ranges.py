"""The ranges that the inputs of layers have over some texts, channel by channel, while a network runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pqrnn.model.int8 import ActivationRange, IntegerLinear
from pqrnn.model.qat import SMALLEST_SCALE, QuantizedLinear, shorten

_MORE = 1.0 + 2.0**-10  # what float16 may round off the half of a range


class InputRange(NamedTuple):
    """How each input of a layer lies.

    Attributes:
        low: Smallest number, float32[K].
        high: Largest number, float32[K].
        total: Sum, float64[K].
        rows: How many numbers there were of each input.
    """

    low: Tensor
    high: Tensor
    total: Tensor
    rows: int


@contextmanager
def watch_ranges(model: nn.Module, names: Iterable[str]) -> Iterator[dict[str, InputRange]]:
    """Measure the ranges of the inputs of layers while a network runs in the block.

    Args:
        model: The network, in float32.
        names: Names of the layers.

    Yields:
        Ranges by name, of the layers that were run.
    """
    found: dict[str, InputRange] = {}

    def watch(name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def see(_: nn.Module, inputs: tuple[Any, ...]) -> None:
            rows = inputs[0].detach().reshape(-1, inputs[0].shape[-1])
            new = InputRange(rows.amin(0), rows.amax(0), rows.sum(0, dtype=torch.float64), len(rows))
            found[name] = _join(found[name], new) if name in found else new

        return see

    handles = [model.get_submodule(name).register_forward_pre_hook(watch(name)) for name in names]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _join(one: InputRange, other: InputRange) -> InputRange:
    return InputRange(
        torch.minimum(one.low, other.low),
        torch.maximum(one.high, other.high),
        one.total + other.total,
        one.rows + other.rows,
    )


@torch.no_grad()
def take_range(layer: QuantizedLinear, measured: InputRange) -> None:
    """Set the ranges of a layer of `ActivationRange.MEASURED`, as numbers that float16 holds, so that all fits in."""
    assert layer.centre is not None and layer.mean is not None and layer.amax is not None
    layer.mean.copy_(measured.total / measured.rows)
    layer.centre.copy_(shorten((measured.low + measured.high) / 2))
    half = torch.maximum(measured.high - layer.centre, layer.centre - measured.low)
    layer.amax.copy_(shorten((half * _MORE).clamp(min=SMALLEST_SCALE)))


def quantize_linear(linear: nn.Linear, measured: InputRange) -> IntegerLinear:
    """Return a linear layer in integers whose inputs lie in measured ranges."""
    bias = linear.bias is not None
    layer = QuantizedLinear(linear.in_features, linear.out_features, ActivationRange.MEASURED, bias=bias)
    layer.load_state_dict({**layer.state_dict(), **linear.state_dict()})
    take_range(layer, measured)
    return layer.convert()
