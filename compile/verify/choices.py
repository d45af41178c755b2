"""How sure a part of a transformer is about the words that it keeps: on a close call devices may keep others."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

from pqrnn.model.length_config import LengthConfig, count_kept

if TYPE_CHECKING:
    from pqrnn.model.parser import ParserModel


class Choice(NamedTuple):
    """The words of one text among which a layer chose.

    Attributes:
        share: Percent of the text's words that go on.
        significance: Their significance, float[W], -1 for padding.
    """

    share: int
    significance: Tensor

    def gap(self, words: int) -> float:
        """Return how far the least significant word that goes on is from the most significant one that does not.

        Args:
            words: Number of words of the text.

        Returns:
            The difference, infinite where all go on.
        """
        kept = count_kept(words, self.share)
        ordered = self.significance.sort(descending=True).values
        if kept >= int((ordered >= 0).sum()):
            return math.inf
        return float(ordered[kept - 1] - ordered[kept])


@contextmanager
def watch_choices(model: ParserModel, lengths: LengthConfig | None) -> Iterator[list[Choice]]:
    """Collect what the layers of a part choose from, of the first text of every batch, while the block lasts.

    Args:
        model: The parser.
        lengths: The part; None, which drops nothing, collects nothing.
    """
    seen: list[Choice] = []
    hooks = []

    def keep(share: int) -> Any:
        def hook(module: Any, inputs: Any, output: Tensor) -> None:
            seen.append(Choice(share, output[0]))

        return hook

    for layer, share in zip(model.layers, lengths.kept if lengths is not None else (), strict=False):
        hooks.append(layer.get_submodule("significance").register_forward_hook(keep(share)))
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
