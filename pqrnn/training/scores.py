"""The development score that an epoch is chosen by.

Where a run learns rewritten texts, that is the mean of two figures: exact match on the development texts as they are,
and on the same texts each rewritten once as people and recognisers write. By the first alone a run would keep the
weights that it began with, which had not learned the others yet. Where smaller parts of the network learn beside it,
the exact match of the smallest one counts as much as each of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

REWRITTEN = "rewritten_exact_match"
SMALLEST = "smallest_exact_match"


def choosing_score(scores: Mapping[str, Any]) -> float:
    """Return the score that an epoch is chosen by."""
    values = [scores[name]["value"] for name in ("exact_match", REWRITTEN, SMALLEST) if name in scores]
    return float(sum(values) / len(values))
