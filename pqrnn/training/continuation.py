"""What a training run takes over from a trained parser that it goes on from with further labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn

from pqrnn.checkpoint import Facts
from pqrnn.model.network import Network
from runtime_py.decode.labels import Labels


class Continuation(NamedTuple):
    """What is kept of the parser before.

    Such a run ends with the weights of its last epoch: it begins with a parser that has everything old right and
    nothing new, and a score over both would keep that one.

    Attributes:
        labels: The labels, in the order that the weights have; the weights of the frames are not chosen again.
        masks: Where only a part of the weights learns, ones where they do by the names of the weights; all of a weight
            that is not named stays. None where all learn.
        complete: Makes the facts that are written from those of the run and from the network that is kept.
    """

    labels: Labels
    masks: Mapping[str, Tensor] | None
    complete: Callable[[Facts[Any], Network], Facts[Any]]

    def freeze(self, model: nn.Module) -> None:
        """Let nothing of a network learn but what the masks leave."""
        if self.masks is None:
            return
        for name, parameter in model.named_parameters():
            mask = self.masks.get(name)
            if mask is None:
                parameter.requires_grad_(False)
            else:
                parameter.register_hook(lambda gradient, mask=mask: gradient * mask)
