"""Roundings to 8 bits that could go either way.

Between its products a quantized parser rounds to int8. Where a number is about as near to the middle between two steps
as float32 errs, right code with another tanh may round it the other way, and all that follows differs by far more than
float32 errs: by a step. Nothing is wrong then, and no bound that allows for it everywhere would find what is wrong. So
a text's roundings are examined one by one:

1. In float64, how near is each to going the other way? And how far is float32 off there, with the same integers before
   it? (`Watch.record`, `Watch.compare`)
2. The largest such error of PyTorch over all texts, times a factor, is a rounding's reach (`measure_reach`). A text
   none of whose roundings is within reach is *settled*: every right device computes the very same integers, and its
   logits are judged as those of a parser in float32.
3. For the other texts, the roundings within reach are drawn at random, and the rest of the model is computed in
   float64. The change that this makes is the difference that right code may have (`Watch.disturb`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from pqrnn.model.int8 import ActivationRange, IntegerLinear

DRAWS = 12  # even: each comes with its mirror image


@dataclass(slots=True)
class Roundings:
    """Roundings of one text, by the layer that rounds its input and the count of its calls.

    Attributes:
        gaps: Smallest distance of a number from being rounded the other way, in steps.
        errors: Largest error of float32, in steps.
        inputs: The numbers themselves, float64; kept only until float32 has been compared with them.
    """

    gaps: dict[str, float] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)
    inputs: dict[str, Tensor] = field(default_factory=dict)

    def settled(self, reach: dict[str, float]) -> bool:
        """Say whether no rounding is within reach of going the other way."""
        return all(gap > reach[name] for name, gap in self.gaps.items())


def measure_reach(roundings: Iterable[Roundings], factor: float) -> dict[str, float]:
    """Return `factor` times the largest error of float32 at every rounding, in steps."""
    reach: dict[str, float] = {}
    for text in roundings:
        for name, error in text.errors.items():
            reach[name] = max(reach.get(name, 0.0), factor * error)
    return reach


_See = Callable[[str, IntegerLinear, Tensor], Tensor | None]


class Watch:
    """Observes the roundings of a model, and those of its copy in float64."""

    def __init__(self, model: nn.Module, exact: nn.Module) -> None:
        """Observe a model.

        Args:
            model: The model in float32.
            exact: The same model in float64.
        """
        self._model, self._exact = model, exact

    @contextmanager
    def record(self) -> Iterator[Roundings]:
        """Record the numbers and gaps of the copy in float64, which is run once in the block."""
        roundings = Roundings()

        def see(name: str, layer: IntegerLinear, value: Tensor) -> None:
            part = layer.shift(value).frac()
            roundings.gaps[name] = float(torch.minimum(part, 1.0 - part).amin())
            roundings.inputs[name] = value

        with _watched(self._exact, see):
            yield roundings

    @contextmanager
    def compare(self, roundings: Roundings) -> Iterator[None]:
        """Add the errors of the model in float32, which is run once in the block, on the same text.

        The model goes on with the integers of the copy.
        """
        exact = dict(_layers(self._exact))

        def see(name: str, layer: IntegerLinear, value: Tensor) -> Tensor:
            truth, wanted = exact[name.partition(" ")[0]], roundings.inputs.pop(name)
            roundings.errors[name] = float((layer.shift(value).double() - truth.shift(wanted)).abs().amax())
            return truth.dequantize(truth.quantize(wanted)).to(value.dtype)

        with _watched(self._model, see):
            yield

    @contextmanager
    def disturb(self, reach: dict[str, float], seed: int) -> Iterator[None]:
        """Move all numbers of the copy by their reach before they are rounded, up or down at random.

        Numbers within reach of the middle between two steps are rounded either way; all others are rounded as before.
        The second half of a batch is moved the other way than the first, so that whatever can be rounded otherwise is,
        in one of the two.
        """
        generator = torch.Generator().manual_seed(seed)

        def see(name: str, layer: IntegerLinear, value: Tensor) -> Tensor:
            half = (len(value) + 1) // 2
            signs = torch.randint(0, 2, (half, *value.shape[1:]), generator=generator) * 2 - 1
            signs = torch.cat([signs, -signs])[: len(value)]
            return value + signs * reach[name] * layer.step

        with _watched(self._exact, see):
            yield


def _layers(model: nn.Module) -> Iterator[tuple[str, IntegerLinear]]:
    """Yield the layers that round their input, with their names."""
    for name, module in model.named_modules():
        if isinstance(module, IntegerLinear) and module.kind is not ActivationRange.INTEGERS:
            yield name, module


@contextmanager
def _watched(model: nn.Module, see: _See) -> Iterator[None]:
    """Show every input before it is rounded, named by layer and count of calls, to a function that may replace it."""
    calls: Counter[str] = Counter()

    def hook_of(name: str) -> Callable[[nn.Module, tuple[Tensor]], Tensor | None]:
        def hook(layer: nn.Module, inputs: tuple[Tensor]) -> Tensor | None:
            assert isinstance(layer, IntegerLinear)
            calls[name] += 1
            return see(f"{name} {calls[name]}", layer, inputs[0])

        return hook

    hooks = [layer.register_forward_pre_hook(hook_of(name)) for name, layer in _layers(model)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
