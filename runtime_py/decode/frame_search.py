"""The best parse that makes sense:

every slot has a beginning, and an intent comes with no slot that it was never seen with.

An intent and its slots are a frame (Minsky 1975; in language understanding Bobrow et al. 1977). The words' largest
logits, one by one, need not make one: a slot may go on that never began, or a song may be set as an alarm. Of all
frames, the one with the largest sum of logits is the most probable one under the model's own probabilities, since the
logarithms of the softmax's denominators are the same for all. It is found exactly: for each intent by the algorithm of
Viterbi (1967), for intents one after another while one could still be better.

Most texts need none of that: where the largest logits make a frame, no other has a larger sum.

Where it is known how often an intent came with which slots in training, a parse is weighed by that, too: to its sum of
logits comes `WEIGHT` times the logarithm of the share of the intent's utterances that had these slots, all of them and
each as often (`weigh_frame`). The network gives each word its tag by itself; that two of a slot are rare, or that
nobody sets an alarm without a time, is what such a prior knows (a log-linear model of parses as wholes: Collins 2000
for reranking, Och and Ney 2002 for the weighted logarithms). The best parse under that sum is found exactly, too: of
the slots that the best one of the logits alone has, or of those that come more often, which are few, each tried by the
algorithm of Viterbi with what is left to place as its state.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime_py.decode.tags import TagScheme

# Chosen on the development splits of MTOP's six languages, where 0.3 to 0.5 are as good; those of SNIPS and MASSIVE
# gain or stay.
WEIGHT = 0.4
# slots of a frame that is counted: to look for more costs much (2 to that power), and they are too rare to matter
LONGEST = 5

_UNSEEN = 0.1  # is added to every count
_SLACK = 1e-3  # more than float32 rounds a logit by
_NEVER = float("-inf")


def weigh_frame(count: int, total: int) -> float:
    """Return what is added to the logits of a parse whose slots came `count` times in `total` utterances of its intent."""
    return WEIGHT * math.log((count + _UNSEEN) / (total + 1))


class KnownFrame(NamedTuple):
    """Slots that an intent came with in training.

    Attributes:
        bonus: to the logits (`weigh_frame`), negative.
        slots: their numbers, growing, each as often as it came.
    """

    bonus: float
    slots: tuple[int, ...]


class _Parse(NamedTuple):
    """`value` is the sum of logits with the bonus, in float64; one tag for each word."""

    value: float
    intent: int
    tags: list[int]


def _value(parse: _Parse) -> float:
    return parse.value


class _Hints(NamedTuple):
    """What at least is lost of the sum of the words' largest logits where a slot begins, and where it is nowhere;

    by its number.
    """

    begun: list[float]
    given_up: list[float]

    def loss(self, slots: Sequence[int]) -> float:
        """Return what at least is lost with just these slots: each begins at a word of its own."""
        return max(
            sum(self.begun[slot] for slot in slots),
            sum(loss for slot, loss in enumerate(self.given_up) if loss and slot not in slots),
        )


class _Slot(NamedTuple):
    """The numbers of a slot's tags: those that begin one, and the one that goes on with it, -1 where there is none."""

    begins: tuple[int, ...]
    inside: int


class Frames:
    """Which slots go with which intent, and the search for the best parse among those.

    Attributes:
        known: For each intent the slots that it came with, most frequent first; empty, if parses are not weighed by
            that.
        unseen: For each intent the bonus of slots that it never came with.
    """

    __slots__ = ("_allowed", "_begins", "_bonus", "_number", "_outside", "_slots", "_tops", "known", "unseen")

    def __init__(
        self, scheme: TagScheme, frames: Sequence[Sequence[int]] = (), counts: Sequence[Sequence[Sequence[int]]] = ()
    ) -> None:
        """Prepare the search.

        Args:
            scheme: The tags.
            frames: For each intent the numbers of its slots in `scheme.slots`; empty, if every slot goes with every
                intent.
            counts: For each intent how often it came with which slots: a list of [times, slot, slot, ...], numbers of
                slots growing; empty, if unknown.
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
        totals = [sum(times for times, *_ in own) for own in counts]
        self.known = [
            sorted(
                (KnownFrame(weigh_frame(times, total), tuple(slots)) for times, *slots in own),
                key=lambda frame: (-frame.bonus, frame.slots),
            )
            for own, total in zip(counts, totals, strict=True)
        ]
        self.unseen = [weigh_frame(0, total) for total in totals]
        self._bonus = [{frame.slots: frame.bonus for frame in own} for own in self.known]
        self._tops = np.array(
            [own[0].bonus if own else worst for own, worst in zip(self.known, self.unseen, strict=True)]
        )

    def decide(self, intent: NDArray[np.float32], tags: NDArray[np.float32]) -> tuple[int, list[int]]:
        """Return the number of the intent and of each word's tag.

        Of equal sums, the intent with the larger logit wins, then the smaller number; a word is rather outside than in
        a slot, rather in the slot of the smaller number, and rather begins a slot than goes on with one. Weighed by its
        slots, a parse has to be better to take the place of the best one of the logits alone.

        Args:
            intent: Logits, float32 [intents].
            tags: Logits, float32 [words, tags].
        """
        number, chosen = int(intent.argmax()), tags.argmax(axis=1).tolist()
        sensible = self._is_frame(number, chosen)
        if sensible and not self.known:
            return number, chosen
        highest = tags.max(axis=1)
        if not sensible:
            plain = self._search(intent, tags, sum(highest.tolist()))
        elif self._is_settled(intent, tags, highest, number, self._weigh(number, chosen)):
            return number, chosen
        else:
            plain = _Parse(sum(highest.tolist()) + float(intent[number]), number, chosen)
        best = plain if not self.known or plain.value == _NEVER else self._reconsider(intent, tags, highest, plain)
        return best.intent, best.tags

    def _is_settled(
        self,
        intent: NDArray[np.float32],
        tags: NDArray[np.float32],
        highest: NDArray[np.float32],
        number: int,
        weight: float,
    ) -> bool:
        """Return whether no other intent, and no other tag of any word, is as near to the largest logit as other slots
        could make up for.
        """
        room = float(self._tops[number]) - weight
        if np.count_nonzero(intent + self._tops > float(intent[number]) + weight) > (room > 0):
            return False
        return room == 0 or bool(np.count_nonzero(tags > (highest - (room + _SLACK))[:, None]) == len(tags))

    def _search(self, intent: NDArray[np.float32], tags: NDArray[np.float32], most: float) -> _Parse:
        """Return the best parse of the logits alone; `most` is the sum of each word's largest."""
        best = _Parse(_NEVER, int(intent.argmax()), tags.argmax(axis=1).tolist())
        rows, logits = tags.tolist(), intent.tolist()
        for number in np.argsort(-intent, kind="stable").tolist():
            if best.value > _NEVER and logits[number] + most <= best.value:
                break
            total, path = self._follow(rows, self._numbers(number))
            if total + logits[number] > best.value:
                best = _Parse(total + logits[number], number, path)
        return best

    def _reconsider(
        self, intent: NDArray[np.float32], tags: NDArray[np.float32], highest: NDArray[np.float32], plain: _Parse
    ) -> _Parse:
        """Return the best parse with what its slots add, where `plain` is the best one without."""
        best = plain._replace(value=plain.value + self._weigh(plain.intent, plain.tags))
        bounds = intent + self._tops
        most = sum(highest.tolist())
        hopeful = np.flatnonzero(most + bounds > best.value)
        if not len(hopeful):
            return best
        rows, hints = tags.tolist(), self._measure(tags, highest)
        for number in hopeful[np.argsort(-bounds[hopeful], kind="stable")].tolist():
            logit = float(intent[number])
            if (
                number != plain.intent and most + logit + self.unseen[number] > best.value
            ):  # with slots that it never came with
                total, path = self._follow(rows, self._numbers(number))
                best = max(best, _Parse(total + logit + self._weigh(number, path), number, path), key=_value)
            for bonus, slots in self.known[number]:
                if most + logit + bonus <= best.value:
                    break
                if most - hints.loss(slots) + logit + bonus > best.value:
                    total, path = self._place(rows, slots)
                    best = max(best, _Parse(total + logit + bonus, number, path), key=_value)
        return best

    def _measure(self, tags: NDArray[np.float32], highest: NDArray[np.float32]) -> _Hints:
        losses = highest[:, None] - tags.astype(np.float64)
        nearest = losses.min(axis=0, initial=-_NEVER).tolist()
        begun = [min((nearest[tag] for tag in slot.begins), default=-_NEVER) for slot in self._slots]
        given_up = [0.0] * len(begun)
        second = min(1, tags.shape[1] - 1)
        for tag, loss in zip(
            tags.argmax(axis=1).tolist(), np.partition(losses, second, axis=1)[:, second].tolist(), strict=True
        ):
            if self._number[tag] >= 0:
                given_up[self._number[tag]] += loss
        return _Hints(begun, given_up)

    def _weigh(self, intent: int, tags: Sequence[int]) -> float:
        slots = tuple(sorted(self._number[tag] for tag in tags if self._begins[tag]))
        return self._bonus[intent].get(slots, self.unseen[intent]) if len(slots) <= LONGEST else self.unseen[intent]

    def _numbers(self, intent: int) -> Sequence[int]:
        """Return the slots that go with an intent."""
        return sorted(self._allowed[intent]) if self._allowed else range(len(self._slots))

    def _is_frame(self, intent: int, tags: Sequence[int]) -> bool:
        allowed = self._allowed[intent] if self._allowed else None
        before = -1
        for tag in tags:
            number = self._number[tag]
            if number >= 0 and (
                (allowed is not None and number not in allowed) or (number != before and not self._begins[tag])
            ):
                return False
            before = number
        return True

    def _follow(self, rows: Sequence[Sequence[float]], numbers: Sequence[int]) -> tuple[float, list[int]]:
        """Return the largest sum over the words, in float64, and the tags that have it;

        minus infinity where there are none.
        """
        slots = [self._slots[number] for number in numbers]
        best, ends = (
            0.0,
            [_NEVER] * len(slots),
        )  # of the words so far: whatever the last one is, and where it is in that slot
        # For each word: the best slot, -1 for none; for each slot its tag, and whether it goes on.
        steps: list[tuple[int, list[tuple[int, bool]]]] = []
        for row in rows:
            found, last = (best + row[self._outside] if self._outside >= 0 else _NEVER), -1
            choices = []
            for place, slot in enumerate(slots):
                ends[place], tag, goes_on = _end(row, slot, best, ends[place])
                choices.append((tag, goes_on))
                if ends[place] > found:
                    found, last = ends[place], place
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

    def _place(self, rows: Sequence[Sequence[float]], slots: Sequence[int]) -> tuple[float, list[int]]:
        """Return the largest sum over the words, in float64, with just these slots, each as often as it is given, and
        the tags that have it.

        The state is how many of each slot were placed so far, as one number: a step of `strides[k]` is one more of slot
        k.
        """
        names = sorted(set(slots))
        strides = [1]
        for name in names:
            strides.append(strides[-1] * (slots.count(name) + 1))
        kinds = [
            (stride, wrap, self._slots[name]) for name, (stride, wrap) in zip(names, pairwise(strides), strict=True)
        ]
        states = range(strides[-1])
        best = [0.0] + [_NEVER] * (len(states) - 1)  # wherever the last word is
        ends = [[_NEVER] * len(kinds) for _ in states]  # and where it is in that slot
        steps: list[list[tuple[int, list[tuple[int, bool]]]]] = []
        for row in rows:
            before, best, last = best, [], []
            outside = row[self._outside] if self._outside >= 0 else _NEVER
            for state in states:
                own = ends[state]
                found, place = before[state] + outside, -1
                choices = []
                for kind, (stride, wrap, slot) in enumerate(kinds):
                    placed = state % wrap >= stride  # one of it at least
                    own[kind], tag, goes_on = _end(row, slot, before[state - stride] if placed else _NEVER, own[kind])
                    choices.append((tag, goes_on))
                    if own[kind] > found:
                        found, place = own[kind], kind
                best.append(found)
                last.append((place, choices))
            steps.append(last)
        state = len(states) - 1
        path: list[int] = []
        goes_on, place = False, -1
        for last in reversed(steps if best[state] > _NEVER else []):
            chosen, choices = last[state]
            if not goes_on:
                place = chosen
            tag, goes_on = (self._outside, False) if place < 0 else choices[place]
            path.append(tag)
            if place >= 0 and not goes_on:
                state -= kinds[place][0]
        return best[-1], path[::-1]


def _end(row: Sequence[float], slot: _Slot, before: float, inside: float) -> tuple[float, int, bool]:
    """Return the best sum with which a word ends in a slot, its tag there, and whether it goes on with it:

    `before` and `inside` are the sums that it adds to.
    """
    value, tag, goes_on = _NEVER, -1, False
    for begin in slot.begins:
        if before + row[begin] > value:
            value, tag = before + row[begin], begin
    if slot.inside >= 0 and inside + row[slot.inside] > value:
        value, tag, goes_on = inside + row[slot.inside], slot.inside, True
    return value, tag, goes_on
