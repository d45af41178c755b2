"""What keeps the search for the best parse short: a budget, and bounds of what a parse can be worth."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

# Expansions (one word ending in one slot, in one state) that the search of a text may cost. It is a number and no time,
# so that every machine decides alike. English test texts (MTOP, MASSIVE, SNIPS) cost 4,704 at most. A few Thai ones,
# where each letter is a word, would cost up to 80,699; from 24,000 on all are answered as without a limit.
BUDGET = 40_000
# added to bounds, whose sums are rounded in another order than those of parses
SLACK = 1e-6


class Budget:
    """Expansions that are left for one text."""

    __slots__ = ("left",)

    def __init__(self, expansions: int) -> None:
        """Start with so many."""
        self.left = expansions

    def take(self, expansions: int) -> bool:
        """Return whether so many are left, and take them if so."""
        if expansions > self.left:
            return False
        self.left -= expansions
        return True


def count_expansions(words: int, slots: Sequence[int]) -> int:
    """Return what it costs to look for a parse with just these slots: each word is tried in each state.

    Args:
        words: Number of words.
        slots: Indices of the slots, each as often as it has to occur.
    """
    kinds = set(slots)
    return words * math.prod(slots.count(kind) + 1 for kind in kinds) * (len(kinds) + 1)


def add_up(values: Iterable[float]) -> float:
    """Return a sum, rounded after each addition; Python's own `sum` rounds differently from 3.12 on."""
    total = 0.0
    for value in values:
        total += value
    return total


class LossBounds(NamedTuple):
    """Lower bounds of what a parse loses against the sum of the words' largest logits.

    Attributes:
        present: For each slot, the loss if it begins anywhere.
        absent: For each slot, the loss if it is nowhere.
        all_absent: Sum of all losses for slots that are nowhere.
    """

    present: list[float]
    absent: list[float]
    all_absent: float

    @classmethod
    def of(
        cls,
        tags: NDArray[np.float32],
        highest: NDArray[np.float32],
        slot_of: Sequence[int],
        begins: Sequence[Sequence[int]],
    ) -> Self:
        """Return the bounds for a text.

        Args:
            tags: Logits, float32 [words, tags].
            highest: Largest logit of each word, float32 [words].
            slot_of: For each tag, the index of its slot, -1 for none.
            begins: For each slot, the tags that begin it.
        """
        losses = highest[:, None] - tags.astype(np.float64)
        least = losses.min(axis=0, initial=float("inf")).tolist()
        present = [min((least[tag] for tag in tags_of_slot), default=float("inf")) for tags_of_slot in begins]
        absent = [0.0] * len(present)
        second = min(1, tags.shape[1] - 1)
        for tag, loss in zip(
            tags.argmax(axis=1).tolist(), np.partition(losses, second, axis=1)[:, second].tolist(), strict=True
        ):
            if slot_of[tag] >= 0:
                absent[slot_of[tag]] += loss
        return cls(present, absent, add_up(absent))

    def bound(self, slots: Sequence[int]) -> float:
        """Return the bound for a parse with just these slots, growing: each begins at a word of its own."""
        there, elsewhere, before = 0.0, self.all_absent, -1
        for slot in slots:
            there += self.present[slot]
            if slot != before:
                elsewhere -= self.absent[slot]
            before = slot
        return max(there, elsewhere) - SLACK
