"""Length configurations: how many words each transformer layer passes on, and which layers are left out.

One network holds a family of smaller ones (Kim and Cho 2021, arXiv:2010.07003): every layer may pass on only the words
that got most attention, and any layer may be left out. Shares are of the text's own number of words, in whole percent,
so that neither the bucket that a text runs in nor the texts beside it change its answer.
"""

from __future__ import annotations

import math
from typing import Annotated

import msgspec
from msgspec import Meta

WHOLE = 100  # percent
FEWEST = 2  # words that a layer passes on, where a text has as many

Percent = Annotated[int, Meta(ge=1, le=WHOLE)]


class LengthConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One member of the family.

    Attributes:
        kept: Percent of a text's words that each layer passes on, one number a layer, never growing. A layer that is
            left out passes on what it gets.
        skipped: Layers that are left out, counted from 0, in rising order.
    """

    kept: Annotated[tuple[Percent, ...], Meta(min_length=1, max_length=64)]
    skipped: Annotated[tuple[Annotated[int, Meta(ge=0, le=63)], ...], Meta(max_length=63)] = ()

    @property
    def is_full(self) -> bool:
        """Whether all words pass all layers: the network as it is without a length configuration."""
        return not self.skipped and all(share == WHOLE for share in self.kept)

    def describe(self) -> str:
        """Return the configuration in a few characters, as `100-60-30`; a layer that is left out is a dot."""
        return "-".join("." if layer in self.skipped else str(share) for layer, share in enumerate(self.kept))


def full_config(layers: int) -> LengthConfig:
    """Return the configuration that is the whole network."""
    return LengthConfig((WHOLE,) * layers)


def check_lengths(lengths: LengthConfig, layers: int) -> None:
    """Refuse a configuration that a network of so many layers cannot have.

    Raises:
        ValueError: With what is wrong.
    """
    kept, skipped = lengths.kept, lengths.skipped
    if len(kept) != layers:
        raise ValueError(f"a length configuration of {len(kept)} layers ({lengths.describe()}) for {layers}")
    if any(share < following for share, following in zip((WHOLE, *kept), kept, strict=False)):
        raise ValueError(f"the shares of a length configuration grow: {lengths.describe()}; words do not come back")
    if list(skipped) != sorted(set(skipped)) or any(layer >= layers for layer in skipped):
        raise ValueError(f"left-out layers {list(skipped)}: expected rising numbers below {layers}")
    if len(skipped) == layers:
        raise ValueError("a length configuration leaves out every layer")
    for layer in skipped:
        if kept[layer] != (kept[layer - 1] if layer else WHOLE):
            raise ValueError(f"layer {layer} is left out and drops words: {list(kept)}")


def least_share(before: int, drop: float) -> int:
    """Return the smallest percent of a text's words that may follow on another one, where a layer drops a share."""
    return max(1, math.ceil(round(before * (1.0 - drop), 6)))


def count_kept(words: int, share: int) -> int:
    """Return how many of so many words a share of them is: rounded up, at least `FEWEST` of those that there are."""
    return min(words, max(FEWEST, -(-words * share // WHOLE)))


def count_rows(lengths: LengthConfig, words: int) -> tuple[int, ...]:
    """Return how many words each layer passes on of a text of `words` words."""
    return tuple(count_kept(words, share) for share in lengths.kept)
