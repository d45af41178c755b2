"""The most probable parse that is well-formed: its slots all begin, and fit its intent as in training.

An intent and its slots are a frame (Minsky 1975; in language understanding Bobrow et al. 1977). The words' largest
logits, one by one, need not make one: a slot may go on that never began, or a song may be set as an alarm. Of all
frames, the one with the largest sum of logits is the most probable one under the model's own probabilities, since the
logarithms of the softmax's denominators are the same for all. It is found exactly: for each intent by the algorithm of
Viterbi (1967), for intents one after another while one could still be better.

Most texts need none of that: where the largest logits make a frame, no other has a larger sum.

What training did not show is not impossible, so `FrameWeights` say what it costs: a slot that never came with the
intent is forbidden or has a price, and then it is taken only where a word's largest logit names it; an intent whose
logit is too far from the largest one does not take part, so that a sure intent stays.

Where it is known how often an intent came with which slots in training, that is a prior over frames: a weight times the
logarithm of the share of the intent's utterances that had these slots, all of them and each as often (`log_prior`), is
added to the sum of logits. The network gives each word its tag by itself; that two of a slot are rare, or that nobody
sets an alarm without a time, is what such a prior knows (a log-linear model of parses as wholes: Collins 2000 for
reranking, Och and Ney 2002 for the weighted logarithms). The best parse under that sum is found exactly, too: of the
slots that the best one of the logits alone has, or of those that come more often, which are few, each is tried by the
algorithm of Viterbi whose state also counts the slots that have begun.

On texts that are no commands there are many, and trying them would take a second. So the search has a budget
(`runtime_py.decode.search_limits`): when the next step would cost more than is left, the best parse so far is the
answer. It is never worse than the first one: the largest logits where these make a frame, else the best frame of the
intent with the largest logit, which is found whatever it costs.
"""

from collections.abc import Sequence, Set
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime_py.decode import search_limits
from runtime_py.decode.frame_weights import FrameWeights, log_prior
from runtime_py.decode.search_limits import Budget, LossBounds, add_up, count_expansions
from runtime_py.decode.tags import TagScheme

# slots of a frame that is counted: to look for more costs much (2 to that power), and they are too rare to matter
LONGEST = 5

_ROUNDING = 1e-3  # more than float32 rounds a logit by
_NEVER = float("-inf")


class KnownFrame(NamedTuple):
    """Slots that an intent came with in training.

    Attributes:
        bonus: Addition to the sum of logits (`log_prior`); it is negative.
        slots: Indices of the slots, growing, each as often as it came.
    """

    bonus: float
    slots: tuple[int, ...]


class _Candidate(NamedTuple):
    """A parse that may be the best: its sum of logits and prior in float64, its intent, and one tag for each word."""

    score: float
    intent: int
    tags: list[int]


def _score(candidate: _Candidate) -> float:
    return candidate.score


class _SlotTags(NamedTuple):
    """Indices of a slot's tags: those that begin it, and the one that continues it, -1 where there is none."""

    begins: tuple[int, ...]
    inside: int


# For each slot that a word may end in: its tag, and whether the word continues the slot.
_Choices = list[tuple[int, bool]]


class Frames:
    """Which slots go with which intent, and the search for the best parse among those.

    Attributes:
        known: For each intent, the slots that it came with, most frequent first. Empty if there is no prior.
        unseen: For each intent, the bonus of slots that it never came with.
    """

    __slots__ = (
        "_allowed",
        "_begins",
        "_best_bonus",
        "_bonus",
        "_outside",
        "_slot_of",
        "_slots",
        "_weights",
        "known",
        "unseen",
    )

    def __init__(
        self,
        scheme: TagScheme,
        frames: Sequence[Sequence[int]] = (),
        counts: Sequence[Sequence[Sequence[int]]] = (),
        weights: FrameWeights | None = None,
    ) -> None:
        """Prepare the search.

        Args:
            scheme: The tags.
            frames: For each intent, indices of its slots in `scheme.slots`. Empty if every slot goes with every intent.
            counts: For each intent, how often it came with which slots: a list of [times, slot, slot, ...], with
                growing indices of slots. Empty if that is unknown.
            weights: What these weigh; by default as for packages before schema 1.5.
        """
        self._weights = weights = weights or FrameWeights()
        counts = counts if weights.prior else ()
        names = scheme.slots
        self._begins = scheme.begins
        self._outside = scheme.outside
        self._slot_of = tuple(names.index(label) if label else -1 for label in scheme.labels)
        self._slots = []
        for slot in range(len(names)):
            tags = [tag for tag, slot_of_tag in enumerate(self._slot_of) if slot_of_tag == slot]
            begins = tuple(tag for tag in tags if scheme.begins[tag])
            inside = next((tag for tag in tags if not scheme.begins[tag]), -1)
            self._slots.append(_SlotTags(begins, inside))
        self._allowed = [frozenset(slots) for slots in frames]
        totals = [sum(times for times, *_ in rows) for rows in counts]
        self.known = [
            sorted(
                (KnownFrame(log_prior(times, total, weights.prior), tuple(slots)) for times, *slots in rows),
                key=lambda frame: (-frame.bonus, frame.slots),
            )
            for rows, total in zip(counts, totals, strict=True)
        ]
        self.unseen = [log_prior(0, total, weights.prior) for total in totals]
        self._bonus = [{frame.slots: frame.bonus for frame in known} for known in self.known]
        self._best_bonus = np.array(
            [known[0].bonus if known else unseen for known, unseen in zip(self.known, self.unseen, strict=True)]
        )

    def decide(self, intent: NDArray[np.float32], tags: NDArray[np.float32]) -> tuple[int, list[int]]:
        """Return the index of the intent and of each word's tag.

        Of equal sums, the intent with the larger logit wins, then the smaller index; a word is rather outside than in
        a slot, rather in the slot of the smaller index, and rather begins a slot than continues one. With a prior, a
        parse has to be better to replace the best one of the logits alone.

        Args:
            intent: Logits, float32 [intents].
            tags: Logits, float32 [words, tags].
        """
        index, chosen = int(intent.argmax()), tags.argmax(axis=1).tolist()
        if self._weights.margin is not None:  # a sure intent stays
            doubles = intent.astype(np.float64)
            intent = np.where(doubles >= doubles[index] - self._weights.margin, intent, np.float32(_NEVER))
        well_formed = self._is_frame(index, chosen)
        if well_formed and not self.known:
            return index, chosen
        named = self._name_slots(chosen)
        highest, budget = tags.max(axis=1), Budget(search_limits.BUDGET)
        if not well_formed:
            plain = self._search_intents(intent, tags, add_up(highest.tolist()), named, budget)
        elif self._is_settled(intent, tags, highest, index, self._prior(index, chosen)):
            return index, chosen
        else:
            plain = _Candidate(add_up(highest.tolist()) + float(intent[index]), index, chosen)
        if not self.known or plain.score == _NEVER:
            return plain.intent, plain.tags
        best = self._rescore_with_prior(intent, tags, highest, plain, named, budget)
        return best.intent, best.tags

    def _is_settled(
        self,
        intent: NDArray[np.float32],
        tags: NDArray[np.float32],
        highest: NDArray[np.float32],
        index: int,
        prior: float,
    ) -> bool:
        """Return whether the parse of the largest logits stays the best one with the prior.

        It does if no other intent, and no other tag of any word, is as near to the largest logit as the prior of other
        slots could make up for.
        """
        room = float(self._best_bonus[index]) - prior
        if np.count_nonzero(intent + self._best_bonus > float(intent[index]) + prior) > (room > 0):
            return False
        return room == 0 or bool(np.count_nonzero(tags > (highest - (room + _ROUNDING))[:, None]) == len(tags))

    def _search_intents(
        self, intent: NDArray[np.float32], tags: NDArray[np.float32], upper: float, named: Set[int], budget: Budget
    ) -> _Candidate:
        """Return the best well-formed parse without a prior; `upper` is the sum of each word's largest logit."""
        best = _Candidate(_NEVER, int(intent.argmax()), tags.argmax(axis=1).tolist())
        rows, logits = tags.tolist(), intent.tolist()
        for number, index in enumerate(np.argsort(-intent, kind="stable").tolist()):
            if best.score > _NEVER and logits[index] + upper <= best.score:
                break
            slots = self._list_slots(index, named)
            if not budget.take(len(rows) * (len(slots) + 1)) and number:
                break
            total, path = self._viterbi(rows, slots)
            if total + logits[index] > best.score:
                best = _Candidate(total + logits[index], index, path)
        return best

    def _rescore_with_prior(
        self,
        intent: NDArray[np.float32],
        tags: NDArray[np.float32],
        highest: NDArray[np.float32],
        plain: _Candidate,
        named: Set[int],
        budget: Budget,
    ) -> _Candidate:
        """Return the best parse of logits and prior, where `plain` is the best one of the logits alone."""
        best = plain._replace(score=plain.score + self._prior(plain.intent, plain.tags))
        bounds = intent + self._best_bonus
        upper = add_up(highest.tolist())
        hopeful = np.flatnonzero(upper + bounds > best.score)
        if not len(hopeful):
            return best
        rows = tags.tolist()
        losses = LossBounds.of(tags, highest, self._slot_of, [slot.begins for slot in self._slots])
        for index in hopeful[np.argsort(-bounds[hopeful], kind="stable")].tolist():
            if upper + float(bounds[index]) <= best.score:
                break
            logit = float(intent[index])
            # With slots that it never came with; for the intent of `plain`, that parse is the best one of those.
            if index != plain.intent and upper + logit + self.unseen[index] > best.score:
                slots = self._list_slots(index, named)
                if not budget.take(len(rows) * (len(slots) + 1)):
                    return best
                total, path = self._viterbi(rows, slots)
                best = max(best, _Candidate(total + logit + self._prior(index, path), index, path), key=_score)
            for frame in self.known[index]:
                if upper + logit + frame.bonus <= best.score:
                    break
                hopeless = upper - losses.bound(frame.slots) + logit + frame.bonus <= best.score
                if not budget.take(1 if hopeless else count_expansions(len(rows), frame.slots)):
                    return best
                if not hopeless:
                    total, path = self._viterbi_with_counts(rows, frame.slots)
                    best = max(best, _Candidate(total + logit + frame.bonus, index, path), key=_score)
        return best

    def _prior(self, intent: int, tags: Sequence[int]) -> float:
        """Return what the slots of tagged words add to the logits."""
        slots = tuple(sorted(self._slot_of[tag] for tag in tags if self._begins[tag]))
        return self._bonus[intent].get(slots, self.unseen[intent]) if len(slots) <= LONGEST else self.unseen[intent]

    def _list_slots(self, intent: int, named: Set[int]) -> list[tuple[int, float]]:
        """Return the slots that words may be in beside an intent, and what each costs where it begins.

        Args:
            intent: Index of the intent.
            named: Slots to which a word's largest logit belongs, where others than those of the intent may occur.
        """
        if not self._allowed:
            return [(slot, 0.0) for slot in range(len(self._slots))]
        allowed, penalty = self._allowed[intent], self._weights.penalty or 0.0
        return [(slot, 0.0 if slot in allowed else penalty) for slot in sorted(allowed | named)]

    def _name_slots(self, tags: Sequence[int]) -> Set[int]:
        """Return the slots of tagged words, where an intent may have other slots than those that it came with."""
        if self._weights.penalty is None:
            return frozenset()
        return {self._slot_of[tag] for tag in tags} - {-1}

    def _is_frame(self, intent: int, tags: Sequence[int]) -> bool:
        """Return whether every slot of tagged words begins and goes with the intent."""
        allowed = self._allowed[intent] if self._allowed else None
        before = -1
        for tag in tags:
            slot = self._slot_of[tag]
            if slot >= 0 and (
                (allowed is not None and slot not in allowed) or (slot != before and not self._begins[tag])
            ):
                return False
            before = slot
        return True

    def _viterbi(self, rows: Sequence[Sequence[float]], slots: Sequence[tuple[int, float]]) -> tuple[float, list[int]]:
        """Find the tags with the largest sum of logits among those of some slots.

        Args:
            rows: Logits of each word's tags.
            slots: Indices of the slots that may occur, growing, and what each costs where it begins.

        Returns:
            The sum in float64, and one tag for each word; minus infinity and none where nothing is well-formed.
        """
        kinds = [(self._slots[slot], cost) for slot, cost in slots]
        # Sums over the words so far: wherever the last word ends, and where it ends in each slot.
        best, ends = 0.0, [_NEVER] * len(kinds)
        steps: list[tuple[int, _Choices]] = []  # for each word: the best slot, -1 for none, and the choice in each slot
        for row in rows:
            total, last = (best + row[self._outside] if self._outside >= 0 else _NEVER), -1
            choices = []
            for kind, (slot, cost) in enumerate(kinds):
                ends[kind], tag, continues = _end_in_slot(row, slot, best - cost, ends[kind])
                choices.append((tag, continues))
                if ends[kind] > total:
                    total, last = ends[kind], kind
            best = total
            steps.append((last, choices))
        if best == _NEVER:
            return best, []
        path: list[int] = []
        continues, kind = False, -1
        for last, choices in reversed(steps):
            if not continues:
                kind = last
            tag, continues = (self._outside, False) if kind < 0 else choices[kind]
            path.append(tag)
        return best, path[::-1]

    def _viterbi_with_counts(self, rows: Sequence[Sequence[float]], slots: Sequence[int]) -> tuple[float, list[int]]:
        """Find the tags with the largest sum of logits among those with just these slots.

        The state is how many of each slot have begun so far, as one number: one more of the k-th slot is a step of
        `strides[k]`.

        Args:
            rows: Logits of each word's tags.
            slots: Indices of the slots, growing, each as often as it has to occur.

        Returns:
            The sum in float64, and one tag for each word; minus infinity and none where there are no such tags.
        """
        names = sorted(set(slots))
        strides = [1]
        for name in names:
            strides.append(strides[-1] * (slots.count(name) + 1))
        kinds = [
            (stride, wrap, self._slots[name]) for name, (stride, wrap) in zip(names, pairwise(strides), strict=True)
        ]
        states = range(strides[-1])
        # For each state, sums over the words so far: wherever the last word ends, and where it ends in each slot.
        best = [0.0] + [_NEVER] * (len(states) - 1)
        ends = [[_NEVER] * len(kinds) for _ in states]
        steps: list[list[tuple[int, _Choices]]] = []
        for row in rows:
            before, best, step = best, [], []
            outside = row[self._outside] if self._outside >= 0 else _NEVER
            for state in states:
                in_slots = ends[state]
                total, last = before[state] + outside, -1
                choices = []
                for kind, (stride, wrap, slot) in enumerate(kinds):
                    has_begun = state % wrap >= stride  # once at least
                    in_slots[kind], tag, continues = _end_in_slot(
                        row, slot, before[state - stride] if has_begun else _NEVER, in_slots[kind]
                    )
                    choices.append((tag, continues))
                    if in_slots[kind] > total:
                        total, last = in_slots[kind], kind
                best.append(total)
                step.append((last, choices))
            steps.append(step)
        state = len(states) - 1
        path: list[int] = []
        continues, kind = False, -1
        for step in reversed(steps if best[state] > _NEVER else []):
            last, choices = step[state]
            if not continues:
                kind = last
            tag, continues = (self._outside, False) if kind < 0 else choices[kind]
            path.append(tag)
            if kind >= 0 and not continues:
                state -= kinds[kind][0]
        return best[-1], path[::-1]


def _end_in_slot(row: Sequence[float], slot: _SlotTags, before: float, inside: float) -> tuple[float, int, bool]:
    """Find the best way for a word to end in a slot.

    Args:
        row: Logits of the word's tags.
        slot: Tags of the slot.
        before: The largest sum over the words before, to which a beginning adds.
        inside: The largest sum over those that end in the slot, to which a continuation adds.

    Returns:
        The sum, the word's tag, and whether it continues the slot.
    """
    total, tag, continues = _NEVER, -1, False
    for begin in slot.begins:
        if before + row[begin] > total:
            total, tag = before + row[begin], begin
    if slot.inside >= 0 and inside + row[slot.inside] > total:
        total, tag, continues = inside + row[slot.inside], slot.inside, True
    return total, tag, continues
