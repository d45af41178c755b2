"""Budgets of a parser: parts of its network, what they cost, and how good they are."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from pqrnn.model.length_config import LengthConfig


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One part that answers within a budget.

    Attributes:
        lengths: The part.
        macs: Mean MACs of a development text (`pqrnn.model.macs`).
        share: The same as a share of the whole network's.
        exact_match: Exact match on the development split, as a fraction of 1.
        utterances: Utterances that it was measured on.
    """

    lengths: LengthConfig
    macs: Annotated[int, Meta(ge=1)]
    share: Annotated[float, Meta(gt=0.0, le=1.0)]
    exact_match: Annotated[float, Meta(ge=0.0, le=1.0)]
    utterances: Annotated[int, Meta(ge=1)]
