"""Around the optimiser: which parameters learn how, and the moving average of the weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import nn


class Learner(Protocol):
    """A network whose weights may learn at rates of their own."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield its weights by name."""

    def rate_scale(self, name: str) -> float:
        """Return the learning rate of a weight, relative to the schedule's."""


def group_parameters(model: Learner, weight_decay: float) -> list[dict[str, Any]]:
    """Return the optimiser's groups of trained parameters.

    Only matrices decay, and a group's rate is `scale` times the schedule's.
    """
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((model.rate_scale(name), parameter.ndim <= 1), []).append(parameter)
    return [
        {"params": part, "scale": scale, "weight_decay": 0.0 if vectors else weight_decay}
        for (scale, vectors), part in sorted(groups.items(), key=lambda each: each[0])
    ]


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move `average` towards `model`.

    Trained parameters and floating-point buffers become `average * decay + model * (1 - decay)`.
    """
    pairs = [
        (kept, new) for kept, new in zip(average.parameters(), model.parameters(), strict=True) if new.requires_grad
    ]
    torch._foreach_lerp_([kept for kept, _ in pairs], [new for _, new in pairs], 1.0 - decay)
    for kept, new in zip(average.buffers(), model.buffers(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(new, 1.0 - decay)
