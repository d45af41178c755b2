"""How sure a part of a transformer is about the words that it keeps: on a close call devices may keep others."""

from __future__ import annotations

import math
from collections.abc import Iterable

from pqrnn.model.length_config import count_kept
from pqrnn.model.word_selection import Choice


def smallest_choice(choices: Iterable[Choice], words: int) -> float:
    """Return how far the least significant word that goes on is from the most significant one that does not.

    Args:
        choices: What the layers chose from, of one text.
        words: Number of words of the text before any was dropped.

    Returns:
        The smallest of these differences, infinite where nothing is dropped.
    """
    return min((_gap(choice, words) for choice in choices), default=math.inf)


def _gap(choice: Choice, words: int) -> float:
    kept = count_kept(words, choice.share)
    ordered = choice.significance[0].sort(descending=True).values
    if kept >= int((ordered >= 0).sum()):
        return math.inf
    return float(ordered[kept - 1] - ordered[kept])
