"""Length buckets: the dynamic programme against trying every choice, and the rule's promises."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compile.lowering.buckets import COVERED, FINE_STEP, LAST, LONGEST, STEP, WORTH, choose_buckets, make_buckets
from compile.support.errors import PlanError

lengths = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 200), st.integers(1, 50)), min_size=1, max_size=12)


def padded_words(sizes: tuple[int, ...], texts: list[tuple[int, int, int]]) -> int:
    return sum(count * min(size for size in sizes if size >= words) for words, _, count in texts)


@given(lengths, st.integers(1, 3), st.sampled_from([STEP, FINE_STEP]))
def test_no_other_choice_computes_fewer_words(texts: list[tuple[int, int, int]], most: int, step: int) -> None:
    chosen = tuple(bucket.words for bucket in choose_buckets(texts, most, step))
    assert len(chosen) <= most
    candidates = (4, *range(8, LAST[0], step))
    for number in range(len(chosen)):
        for others in combinations(candidates, number):
            assert padded_words(chosen, texts) <= padded_words((*others, LAST[0]), texts)


@given(lengths)
def test_one_more_bucket_would_not_be_worth_it(texts: list[tuple[int, int, int]]) -> None:
    chosen = tuple(bucket.words for bucket in choose_buckets(texts, most=3))
    cost = padded_words(chosen, texts)
    if len(chosen) < 3:
        best = min(
            padded_words((*others, LAST[0]), texts) for others in combinations((4, *range(8, LAST[0], 8)), len(chosen))
        )
        assert cost - best <= WORTH * cost


@given(lengths)
def test_buckets_grow_and_hold_what_they_are_meant_for(texts: list[tuple[int, int, int]]) -> None:
    buckets = choose_buckets(texts)
    assert (buckets[-1].words, buckets[-1].bytes) == LAST
    previous = -1
    for bucket in buckets[:-1]:
        assert bucket.bytes % 16 == 0
        meant = [(size, count) for words, size, count in texts if previous < words <= bucket.words]
        total = sum(count for _, count in meant)
        assert sum(count for size, count in meant if size <= bucket.bytes) >= COVERED * total
        previous = bucket.words
    for small, large in pairwise(buckets):
        assert small.words < large.words
        assert small.bytes <= large.bytes


def test_real_shape_of_commands() -> None:
    texts = [(words, 5 * words, 100) for words in range(2, 9)] + [(words, 6 * words, 30) for words in range(9, 17)]
    assert [(bucket.words, bucket.bytes, bucket.entry) for bucket in choose_buckets(texts, most=3)] == [
        (8, 48, "parse_8"),
        (16, 96, "parse_16"),
        (64, 512, "parse_64"),
    ]


def test_the_last_bucket_doubles_for_long_training_texts() -> None:
    assert choose_buckets([(65, 100, 1)])[-1].words == LONGEST[0]
    assert choose_buckets([(65, 100, 1)])[-1].bytes == LAST[1]
    assert choose_buckets([(5, 600, 1)])[-1].bytes == LONGEST[1]
    assert choose_buckets([(5000, 60000, 1), (5, 20, 9)])[-1] == make_buckets([LONGEST])[0]


def test_no_lengths_give_the_last_bucket_alone() -> None:
    assert choose_buckets([]) == make_buckets([LAST])


@pytest.mark.parametrize("sizes", [[], [(1, 16)], [(8, 30)], [(8, 0)], [(8, 64), (8, 64)], [(8, 64), (16, 32)]])
def test_bad_sizes_are_refused(sizes: list[tuple[int, int]]) -> None:
    with pytest.raises(PlanError):
        make_buckets(sizes)


def test_bad_requests_are_refused() -> None:
    with pytest.raises(PlanError, match="0 length buckets"):
        choose_buckets([(3, 12, 1)], most=0)
    with pytest.raises(PlanError, match="negative"):
        choose_buckets([(3, -1, 1)])
