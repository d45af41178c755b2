"""Metrics against seqeval, against a count by hand, and their intervals against the binomial distribution."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles.slots import read_slots
from seqeval.metrics import f1_score
from seqeval.scheme import IOB2

from pqrnn.data.examples import Example, SlotSpan
from pqrnn.evaluation.frames import frame_of_example
from pqrnn.evaluation.metrics import Frame, area_under_curve, score_frames

_TAGS = ["O", "B-a", "I-a", "B-b", "I-b"]


def _frame(tags: list[str]) -> Frame:
    spans = [(2 * i, 2 * i + 1) for i in range(len(tags))]
    slots = read_slots("x " * len(tags), tags, spans)
    return "intent", tuple(sorted((slot.label, slot.start, slot.end) for slot in slots))


def _well_formed(rng: random.Random, size: int) -> list[str]:
    tags: list[str] = []
    for _ in range(size):
        before = tags[-1][2:] if tags else ""
        tags.append(rng.choice([tag for tag in _TAGS if not tag.startswith("I-") or tag[2:] == before]))
    return tags


@given(st.integers(0, 2**32), st.integers(1, 30))
def test_slot_f1_is_that_of_seqeval_strict(seed: int, count: int) -> None:
    rng = random.Random(seed)
    sizes = [rng.randint(1, 8) for _ in range(count)]
    gold, predicted = ([_well_formed(rng, size) for size in sizes] for _ in range(2))
    ours = score_frames([_frame(t) for t in gold], [_frame(t) for t in predicted], resamples=2).slot_f1.value
    if any(tag != "O" for tags in (*gold, *predicted) for tag in tags):
        assert ours == pytest.approx(f1_score(gold, predicted, mode="strict", scheme=IOB2, zero_division=0), abs=1e-12)
    else:
        assert ours == 0.0


def test_exact_match_needs_intent_and_every_slot() -> None:
    gold: list[Frame] = [("a", (("x", 0, 1),))] * 5
    predicted: list[Frame] = [
        ("a", (("x", 0, 1),)),
        ("b", (("x", 0, 1),)),
        ("a", (("x", 0, 2),)),
        ("a", ()),
        ("a", (("x", 0, 1), ("y", 2, 3))),
    ]
    scores = score_frames(gold, predicted)
    assert (scores.exact_match.value, scores.intent_accuracy.value) == (0.2, 0.8)
    assert scores.slot_f1.value == pytest.approx(2 * 3 / (5 + 5))


def test_overlapping_or_repeated_gold_slots_can_only_count_as_wrong() -> None:
    slots = (SlotSpan("x", 0, 4), SlotSpan("x", 0, 4))
    gold = [
        frame_of_example(Example("word more", "a", slots)),
        frame_of_example(Example("word more", "a", (SlotSpan("x", 0, 4), SlotSpan("y", 2, 9)))),
    ]
    for predicted in ((("x", 0, 4),), (("x", 0, 4), ("y", 2, 9))):
        assert score_frames(gold[:1], [("a", predicted)]).exact_match.value == 0.0
    assert score_frames(gold[1:], [("a", (("x", 0, 4),))]).exact_match.value == 0.0


def test_white_space_at_slot_edges_does_not_count() -> None:
    assert frame_of_example(Example("go home now", "a", (SlotSpan("x", 2, 8),))) == ("a", (("x", 3, 7),))


def test_interval_is_the_binomial_one() -> None:
    right, n = 800, 1000
    frames: list[Frame] = [("a", ())] * n
    scores = score_frames(frames, [("a", ())] * right + [("b", ())] * (n - right))
    spread = 1.96 * math.sqrt(0.8 * 0.2 / n)
    assert scores.exact_match.value == 0.8
    assert scores.exact_match.low == pytest.approx(0.8 - spread, abs=0.006)
    assert scores.exact_match.high == pytest.approx(0.8 + spread, abs=0.006)


@pytest.mark.parametrize(("gold", "predicted"), [([], []), ([("a", ())], [])])
def test_unequal_or_empty_lists_are_refused(gold: list[Frame], predicted: list[Frame]) -> None:
    with pytest.raises(ValueError, match="equally many frames"):
        score_frames(gold, predicted)


@given(st.lists(st.integers(0, 8), min_size=1, max_size=30), st.lists(st.integers(0, 8), min_size=1, max_size=30))
def test_the_area_under_the_curve_counts_pairs(inside: list[int], outside: list[int]) -> None:
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in inside for b in outside]
    found = area_under_curve(inside, outside, resamples=20)
    assert found.value == pytest.approx(sum(pairs) / len(pairs))
    assert found.n == len(inside) + len(outside)
    assert 0.0 <= found.low <= found.high <= 1.0


def test_the_interval_of_the_area_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    truth = 0.5 * (
        1.0 + math.erf(1.0 / 2.0)
    )  # of two normal distributions one apart: the standard normal distribution at 1 / sqrt(2)
    covered = 0
    for seed in range(100):
        found = area_under_curve(rng.normal(1.0, 1.0, 120), rng.normal(0.0, 1.0, 80), resamples=200, seed=seed)
        covered += found.low <= truth <= found.high
    assert 85 <= covered <= 100
