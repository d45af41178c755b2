"""The best parse that makes sense, against trying all of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime_py.decode import search_limits
from runtime_py.decode.decoder import Decoder
from runtime_py.decode.frame_search import LONGEST, Frames
from runtime_py.decode.frame_weights import WEIGHT, FrameWeights
from runtime_py.decode.search_limits import LossBounds
from runtime_py.decode.tags import TagScheme

_TAGS = ["O", "B-time", "I-time", "B-song", "I-song", "B2-time"]
_INTENTS = 3
_FRAMES = [[1], [0], [0, 1]]  # of song, time
_LOGITS = st.integers(-40, 40).map(lambda number: number / 8)


def _makes_sense(intent: int, tags: tuple[int, ...], frames: list[list[int]]) -> bool:
    slots = ["song", "time"]
    before = ""
    for tag in tags:
        name, _, label = _TAGS[tag].partition("-")
        if label and frames and slots.index(label) not in frames[intent]:
            return False
        if name == "I" and before != label:
            return False
        before = label
    return True


def _sum(intent: np.ndarray, rows: np.ndarray, number: int, tags: tuple[int, ...]) -> float:
    return float(intent[number]) + sum(float(row[tag]) for row, tag in zip(rows, tags, strict=True))


@given(
    intent=st.lists(_LOGITS, min_size=_INTENTS, max_size=_INTENTS),
    rows=st.lists(st.lists(_LOGITS, min_size=len(_TAGS), max_size=len(_TAGS)), max_size=4),
    frames=st.sampled_from([_FRAMES, [], [[], [], []]]),
)
def test_nothing_that_makes_sense_is_better(
    intent: list[float], rows: list[list[float]], frames: list[list[int]]
) -> None:
    scores, logits = np.array(intent, np.float32), np.array(rows, np.float32).reshape(-1, len(_TAGS))
    number, tags = Frames(TagScheme(_TAGS), frames).decide(scores, logits)
    assert _makes_sense(number, tuple(tags), frames)
    best = max(
        _sum(scores, logits, each, chain)
        for each in range(_INTENTS)
        for chain in product(range(len(_TAGS)), repeat=len(rows))
        if _makes_sense(each, chain, frames)
    )
    assert _sum(scores, logits, number, tuple(tags)) == best  # eighths: sums are exact in any order


@given(
    intent=st.lists(_LOGITS, min_size=_INTENTS, max_size=_INTENTS),
    rows=st.lists(st.lists(_LOGITS, min_size=len(_TAGS), max_size=len(_TAGS)), max_size=6),
)
def test_the_largest_logits_are_kept_where_they_make_sense(intent: list[float], rows: list[list[float]]) -> None:
    scores, logits = np.array(intent, np.float32), np.array(rows, np.float32).reshape(-1, len(_TAGS))
    largest = int(scores.argmax()), tuple(int(row.argmax()) for row in logits)
    number, tags = Frames(TagScheme(_TAGS), _FRAMES).decide(scores, logits)
    assert ((number, tuple(tags)) == largest) == _makes_sense(*largest, _FRAMES)


_COUNTS = [[[7], [2, 1], [1, 1, 1]], [[30, 0], [1, 0, 0]], [[3, 0, 1], [5, 0, 1, 1], [1, 1, 1, 1]]]


def _bonus(intent: int, tags: tuple[int, ...], weight: float = WEIGHT) -> float:
    """What the slots add, by the formula, for tags that make sense."""
    slots = Counter(_TAGS[tag].partition("-")[2] for tag in tags if _TAGS[tag][0] == "B")
    seen = [times for times, *own in _COUNTS[intent] if slots == Counter(["song", "time"][slot] for slot in own)]
    return weight * math.log((sum(seen) + 0.1) / (sum(times for times, *_ in _COUNTS[intent]) + 1))


@given(
    intent=st.lists(_LOGITS, min_size=_INTENTS, max_size=_INTENTS),
    rows=st.lists(
        st.lists(st.integers(-8, 8).map(lambda number: number / 8), min_size=len(_TAGS), max_size=len(_TAGS)),
        max_size=4,
    ),
    frames=st.sampled_from([_FRAMES, []]),
)
def test_nothing_is_better_with_what_its_slots_add(
    intent: list[float], rows: list[list[float]], frames: list[list[int]]
) -> None:
    scores, logits = np.array(intent, np.float32), np.array(rows, np.float32).reshape(-1, len(_TAGS))
    number, tags = Frames(TagScheme(_TAGS), frames, _COUNTS).decide(scores, logits)
    assert _makes_sense(number, tuple(tags), frames)
    best = max(
        _sum(scores, logits, each, chain) + _bonus(each, chain)
        for each in range(_INTENTS)
        for chain in product(range(len(_TAGS)), repeat=len(rows))
        if _makes_sense(each, chain, frames)
    )
    assert _sum(scores, logits, number, tuple(tags)) + _bonus(number, tuple(tags)) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize(
    "decision",
    [
        FrameWeights(0.4, 1.5),
        FrameWeights(0.4, 0.25, 0.5),
        FrameWeights(0.0, 1.0),
        FrameWeights(0.1, 30.0, 2.0),
    ],
    ids=str,
)
@given(
    intent=st.lists(_LOGITS, min_size=_INTENTS, max_size=_INTENTS),
    rows=st.lists(
        st.lists(st.integers(-8, 8).map(lambda number: number / 8), min_size=len(_TAGS), max_size=len(_TAGS)),
        max_size=4,
    ),
)
def test_nothing_is_better_with_other_weights(
    decision: FrameWeights, intent: list[float], rows: list[list[float]]
) -> None:
    """Every slot may occur that goes with the intent, or, at a price, that is the likeliest at some word."""
    slots = ["song", "time"]
    scores, logits = np.array(intent, np.float32), np.array(rows, np.float32).reshape(-1, len(_TAGS))
    named = {_TAGS[tag].partition("-")[2] for tag in logits.argmax(axis=1)} if decision.penalty is not None else set()
    frames = [sorted({*frame, *(slots.index(name) for name in named if name)}) for frame in _FRAMES]
    near = [n for n in range(_INTENTS) if decision.margin is None or scores[n] >= scores.max() - decision.margin]

    def value(number: int, chain: tuple[int, ...]) -> float:
        begun = [slots.index(_TAGS[tag].partition("-")[2]) for tag in chain if _TAGS[tag][0] == "B"]
        strange = sum(slot not in _FRAMES[number] for slot in begun)
        prior = _bonus(number, chain, decision.prior) if decision.prior else 0.0
        return _sum(scores, logits, number, chain) + prior - strange * (decision.penalty or 0.0)

    number, tags = Frames(TagScheme(_TAGS), _FRAMES, _COUNTS, decision).decide(scores, logits)
    assert number in near
    assert _makes_sense(number, tuple(tags), frames)
    best = max(
        value(each, chain)
        for each in near
        for chain in product(range(len(_TAGS)), repeat=len(rows))
        if _makes_sense(each, chain, frames)
    )
    assert value(number, tuple(tags)) == pytest.approx(best, abs=1e-12)


def test_a_sure_intent_is_not_overruled() -> None:
    """An intent with a probability of 0.93 keeps a slot that it never came with in training."""
    scores = np.log(np.array([0.03, 0.93, 0.04], np.float32))  # the second never came with a time
    logits = np.array([[0, 4, 0, 0, 0, 0]], np.float32)
    assert Frames(TagScheme(_TAGS), _FRAMES).decide(scores, logits) == (2, [1])
    assert Frames(TagScheme(_TAGS), _FRAMES, (), FrameWeights(0.0, 3.5, 2.0)).decide(scores, logits) == (1, [1])


def _value(intent: np.ndarray, rows: np.ndarray, number: int, tags: Sequence[int]) -> float:
    return _sum(intent, rows, number, tuple(tags)) + _bonus(number, tuple(tags))


@pytest.mark.parametrize("budget", [0, 6, 25, 60, 150, 400])
@given(
    intent=st.lists(_LOGITS, min_size=_INTENTS, max_size=_INTENTS),
    rows=st.lists(st.lists(_LOGITS, min_size=len(_TAGS), max_size=len(_TAGS)), max_size=6),
    frames=st.sampled_from([_FRAMES, []]),
)
def test_a_search_that_is_cut_short_is_no_worse_than_none(
    budget: int, intent: list[float], rows: list[list[float]], frames: list[list[int]]
) -> None:
    scores, logits = np.array(intent, np.float32), np.array(rows, np.float32).reshape(-1, len(_TAGS))
    spent = _Spent(budget)
    number, tags = spent.decide(Frames(TagScheme(_TAGS), frames, _COUNTS), scores, logits)
    assert _makes_sense(number, tuple(tags), frames)
    # The best that the logits alone make of the intent with the largest logit, by trying everything.
    first = int(scores.argmax())
    plain = max(
        (chain for chain in product(range(len(_TAGS)), repeat=len(rows)) if _makes_sense(first, chain, frames)),
        key=lambda chain: _sum(scores, logits, first, chain),
    ) if len(rows) <= 3 else None  # fmt: skip
    if plain is not None:
        largest = _sum(scores, logits, first, plain)
        same = [
            _value(scores, logits, first, chain)
            for chain in product(range(len(_TAGS)), repeat=len(rows))
            if _makes_sense(first, chain, frames) and _sum(scores, logits, first, chain) == largest
        ]
        assert _value(scores, logits, number, tags) >= min(same) - 1e-9
    # One pass over the words for the first intent is made whatever it costs.
    assert spent.expansions <= budget + len(rows) * 3


class _Spent:
    """Counts what a search does, by itself."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.expansions = 0

    def decide(self, frames: Frames, scores: np.ndarray, logits: np.ndarray) -> tuple[int, list[int]]:
        viterbi, with_counts = Frames._viterbi, Frames._viterbi_with_counts

        def count(frames: Frames, rows: Sequence[Sequence[float]], slots: Sequence[int]) -> tuple[float, list[int]]:
            self.expansions += len(rows) * (len(slots) + 1)
            return viterbi(frames, rows, slots)

        def count_states(
            frames: Frames, rows: Sequence[Sequence[float]], slots: Sequence[int]
        ) -> tuple[float, list[int]]:
            states = math.prod(times + 1 for times in Counter(slots).values())
            self.expansions += len(rows) * states * (len(set(slots)) + 1)
            return with_counts(frames, rows, slots)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(search_limits, "BUDGET", self.budget)
            patch.setattr(Frames, "_viterbi", count)
            patch.setattr(Frames, "_viterbi_with_counts", count_states)
            return frames.decide(scores, logits)


@pytest.mark.parametrize("words", [1, 8, 64, 200])
@pytest.mark.parametrize("scale", [0.0, 0.1, 5.0])
def test_no_logits_make_a_search_long(words: int, scale: float) -> None:
    # As many labels as MTOP has, and logits of no text.
    slots, intents, draw = 70, 110, np.random.default_rng(words)
    tags = ["O", *(f"{kind}-{slot:02}" for slot in range(slots) for kind in "BI")]
    counts = [
        [[int(draw.integers(1, 50)), *sorted(draw.integers(0, slots, size).tolist())] for size in (0, 1, 2, 3, 4, 5)]
        for _ in range(intents)
    ]
    spent = _Spent(search_limits.BUDGET)
    scores = draw.normal(0, scale, intents).astype(np.float32)
    logits = draw.normal(0, scale, (words, len(tags))).astype(np.float32)
    spent.decide(Frames(TagScheme(tags), [], counts), scores, logits)
    assert spent.expansions <= search_limits.BUDGET + words * (slots + 1)


@given(
    rows=st.lists(st.lists(_LOGITS, min_size=len(_TAGS), max_size=len(_TAGS)), min_size=1, max_size=5),
    chain=st.lists(st.integers(0, len(_TAGS) - 1), min_size=5, max_size=5),
)
def test_no_parse_loses_less_than_its_bound(rows: list[list[float]], chain: list[int]) -> None:
    logits, tags = np.array(rows, np.float32), tuple(chain[: len(rows)])
    if not _makes_sense(0, tags, []):
        return
    highest = logits.max(axis=1)
    losses = LossBounds.of(logits, highest, [-1, 1, 1, 0, 0, 1], [[3], [1, 5]])
    slots = sorted(["song", "time"].index(_TAGS[tag].partition("-")[2]) for tag in tags if _TAGS[tag][0] == "B")
    lost = sum(float(most) - float(row[tag]) for most, row, tag in zip(highest, logits, tags, strict=True))
    assert lost >= losses.bound(slots)


def test_slots_that_come_together_win_over_those_that_never_do() -> None:
    tags = np.full((2, len(_TAGS)), -5.0, np.float32)
    tags[0, 3], tags[1, 3], tags[1, 4] = (
        4.0,
        1.1,
        1.0,
    )  # one song of two words, or two songs of which the second is a little more likely
    spans = np.array([[0, 4], [5, 8]], np.int32)
    counts = [[[99, 0], [1, 1]]]
    said = [
        Decoder(["play"], _TAGS, [[0, 1]], own).parse("blue sky", b"blue sky", np.zeros(1, np.float32), tags, spans)
        for own in ([], counts)
    ]
    assert [[slot.text for slot in parse.slots] for parse in said] == [["blue", "sky"], ["blue sky"]]
    tags[1, 3] = 9.0  # surely two
    assert (
        len(
            Decoder(["play"], _TAGS, [[0, 1]], counts)
            .parse("blue sky", b"blue sky", np.zeros(1, np.float32), tags, spans)
            .slots
        )
        == 2
    )


def test_more_slots_than_are_counted_are_as_good_as_unseen() -> None:
    words = LONGEST + 1
    tags = np.full((words, len(_TAGS)), -50.0, np.float32)
    tags[:, 1] = 50.0
    number, chosen = Frames(TagScheme(_TAGS), [[1]], [[[5, *[1] * LONGEST]]]).decide(np.zeros(1, np.float32), tags)
    assert (number, chosen) == (0, [1] * words)


def test_an_intent_gives_way_to_one_that_knows_the_slot() -> None:
    decoder = Decoder(["play", "wake"], _TAGS, [[0], [1]])
    tags = np.full((2, len(_TAGS)), -5.0, np.float32)
    tags[0, 0] = tags[1, 1] = 5.0  # the second word is surely a time
    parse = decoder.parse(
        "at seven", b"at seven", np.array([1.0, 0.5], np.float32), tags, np.array([[0, 2], [3, 8]], np.int32)
    )
    assert (parse.intent, [(slot.label, slot.text) for slot in parse.slots]) == ("wake", [("time", "seven")])
    assert parse.score == pytest.approx(1 / (1 + np.exp(0.5)))
    sure = decoder.parse(
        "at seven", b"at seven", np.array([20.0, 0.5], np.float32), tags, np.array([[0, 2], [3, 8]], np.int32)
    )
    assert (sure.intent, sure.slots) == ("play", ())


def test_a_slot_begins_before_it_goes_on() -> None:
    decoder = Decoder(["play"], _TAGS)
    tags = np.full((3, len(_TAGS)), -5.0, np.float32)
    tags[0, 0], tags[0, 3], tags[1, 4], tags[2, 4] = 1.0, 0.5, 4.0, 4.0
    spans = np.array([[0, 3], [4, 8], [9, 10]], np.int32)
    parse = decoder.parse("the blue x", b"the blue x", np.zeros(1, np.float32), tags, spans)
    assert [(slot.label, slot.text) for slot in parse.slots] == [("song", "the blue x")]


def test_without_a_tag_for_outside_the_largest_logits_are_taken() -> None:
    frames = Frames(TagScheme(["B-a", "I-a"]), [[]])
    assert frames.decide(np.zeros(1, np.float32), np.array([[0.0, 1.0]], np.float32)) == (0, [1])


def test_without_slots_the_largest_intent_is_taken_or_one_that_comes_without_more_often() -> None:
    frames = Frames(TagScheme(["O"]), [[], []], [[], [[9]]])
    logits = np.zeros((3, 1), np.float32)
    assert frames.decide(np.array([9.0, 0.0], np.float32), logits) == (0, [0, 0, 0])
    assert frames.decide(np.array([0.2, 0.0], np.float32), logits) == (1, [0, 0, 0])
