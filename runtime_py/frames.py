"""The best parse that makes sense: every slot has a beginning, and an intent comes with no slot that it was never seen with.

An intent and its slots are a frame (Minsky 1975; in language understanding Bobrow et al. 1977). The words' largest logits, one by one, need not make one: a
slot may go on that never began, or a song may be set as an alarm. Of all frames, the one with the largest sum of logits is the most probable one under the
model's own probabilities, since the logarithms of the softmax's denominators are the same for all. It is found exactly: for each intent by the algorithm of
Viterbi (1967), for intents one after another while one could still be better.

Most texts need none of that: where the largest logits make a frame, no other has a larger sum.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime_py.tags import TagScheme

_NEVER = float("-inf")


class _Slot(NamedTuple):
    """The numbers of a slot's tags: those that begin one, and the one that goes on with it, -1 where there is none."""

    begins: tuple[int, ...]
    inside: int


class Frames:
    """Which slots go with which intent, and the search for the best parse among those."""

    __slots__ = ("_allowed", "_begins", "_number", "_outside", "_slots")

    def __init__(self, scheme: TagScheme, frames: Sequence[Sequence[int]] = ()) -> None:
        """Prepare the search.

        Args:
            scheme: The tags.
            frames: For each intent the numbers of its slots in `scheme.slots`; empty, if every slot goes with every intent.
        """
        names = scheme.slots
        self._begins = scheme.begins
        self._outside = scheme.outside
        self._number = tuple(names.index(label) if label else -1 for label in scheme.labels)
        self._slots = []
        for number in range(len(names)):
            mine = [tag for tag, its in enumerate(self._number) if its == number]
            begins = tuple(tag for tag in mine if scheme.begins[tag])
            inside = next((tag for tag in mine if not scheme.begins[tag]), -1)
            self._slots.append(_Slot(begins, inside))
        self._allowed = [frozenset(each) for each in frames]

    def decide(self, intent: NDArray[np.float32], tags: NDArray[np.float32]) -> tuple[int, list[int]]:
        """Return the number of the intent and of each word's tag.

        Of equal sums, the intent with the larger logit wins, then the smaller number; a word is rather outside than in a slot, rather in the slot of the
        smaller number, and rather begins a slot than goes on with one.

        Args:
            intent: Logits, float32 [intents].
            tags: Logits, float32 [words, tags].
        """
        best = int(intent.argmax())
        chosen: list[int] = tags.argmax(axis=1).tolist() if len(tags) else []
        if self._is_frame(best, chosen):
            return best, chosen
        rows, logits = tags.tolist(), intent.tolist()
        most = sum(max(row) for row in rows)
        largest = _NEVER
        for number in np.argsort(-intent, kind="stable").tolist():
            if largest > _NEVER and logits[number] + most <= largest:
                break
            total, path = self._follow(rows, sorted(self._allowed[number]) if self._allowed else range(len(self._slots)))
            if total + logits[number] > largest:
                largest, best, chosen = total + logits[number], number, path
        return best, chosen

    def _is_frame(self, intent: int, tags: Sequence[int]) -> bool:
        allowed = self._allowed[intent] if self._allowed else None
        before = -1
        for tag in tags:
            number = self._number[tag]
            if number >= 0 and ((allowed is not None and number not in allowed) or (number != before and not self._begins[tag])):
                return False
            before = number
        return True

    def _follow(self, rows: Sequence[Sequence[float]], numbers: Sequence[int]) -> tuple[float, list[int]]:
        """Return the largest sum over the words, in float64, and the tags that have it; minus infinity where there are none."""
        slots = [self._slots[number] for number in numbers]
        best, ends = 0.0, [_NEVER] * len(slots)  # of the words so far: whatever the last one is, and where it is in that slot
        # For each word: the best slot, -1 for none; for each slot its tag, and whether it goes on.
        steps: list[tuple[int, list[tuple[int, bool]]]] = []
        for row in rows:
            found, last = (best + row[self._outside] if self._outside >= 0 else _NEVER), -1
            choices = []
            for place, (begins, inside) in enumerate(slots):
                value, tag, goes_on = _NEVER, -1, False
                for begin in begins:
                    if best + row[begin] > value:
                        value, tag = best + row[begin], begin
                if inside >= 0 and ends[place] + row[inside] > value:
                    value, tag, goes_on = ends[place] + row[inside], inside, True
                ends[place] = value
                choices.append((tag, goes_on))
                if value > found:
                    found, last = value, place
            best = found
            steps.append((last, choices))
        if best == _NEVER:
            return best, []
        path: list[int] = []
        goes_on, place = False, -1
        for last, choices in reversed(steps):
            if not goes_on:
                place = last
            tag, goes_on = (self._outside, False) if place < 0 else choices[place]
            path.append(tag)
        return best, path[::-1]
