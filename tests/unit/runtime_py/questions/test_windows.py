"""Windows over long contexts, and the best span over all of them, against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles.effort import examples

from runtime_py.questions.windows import Span, Window, cut_windows, find_span, owners


@pytest.mark.parametrize(
    ("tokens", "room", "stride", "windows"),
    [
        (0, 5, 2, [(0, 0)]),
        (5, 5, 2, [(0, 5)]),
        (6, 5, 2, [(0, 5), (2, 4)]),
        (9, 5, 2, [(0, 5), (2, 5), (4, 5)]),
        (10, 4, 4, [(0, 4), (4, 4), (8, 2)]),
        (500, 350, 128, [(0, 350), (128, 350), (256, 244)]),
    ],
)
def test_windows_by_hand(tokens: int, room: int, stride: int, windows: list[tuple[int, int]]) -> None:
    assert cut_windows(tokens, room, stride) == windows


@examples(200)
@given(st.integers(0, 60), st.integers(1, 20), st.data())
def test_windows_cover_everything_and_none_is_for_nothing(tokens: int, room: int, data: st.DataObject) -> None:
    stride = data.draw(st.integers(1, room))
    windows = cut_windows(tokens, room, stride)
    seen = [set(range(window.start, window.start + window.length)) for window in windows]
    assert set().union(*seen) == set(range(tokens))
    for number, window in enumerate(windows):
        assert window.length <= room and window.start == number * stride
        assert number == 0 or not seen[number] <= set().union(*seen[:number])


@pytest.mark.parametrize(("room", "stride"), [(5, 0), (5, 6), (0, 1), (-1, 1)])
def test_windows_that_would_leave_tokens_out_are_refused(room: int, stride: int) -> None:
    with pytest.raises(ValueError, match="expected 1 to"):
        cut_windows(9, room, stride)


def test_a_token_belongs_to_the_window_with_most_context() -> None:
    # of token 3, the first window has 3 before and 1 after, the second 1 before and 3 after: equal, so the first
    assert owners(7, [Window(0, 5), Window(2, 5)]).tolist() == [0, 0, 0, 0, 1, 1, 1]
    # the last window is shorter: less than a token of context is worth
    assert owners(6, [Window(0, 5), Window(2, 4)]).tolist() == [0, 0, 0, 0, 1, 1]


def _brute_force(
    starts: list[np.ndarray], ends: list[np.ndarray], windows: list[Window], tokens: int, longest: int
) -> Span | None:
    found = []
    for number, window in enumerate(windows):
        for first in range(window.start, window.start + window.length):
            contexts = [
                (min(first - each.start, each.start + each.length - 1 - first) + 0.01 * each.length, -other)
                for other, each in enumerate(windows)
                if each.start <= first < each.start + each.length
            ]
            if -max(contexts)[1] != number:
                continue
            for last in range(first, min(first + longest, window.start + window.length)):
                score = float(starts[number][first - window.start]) + float(ends[number][last - window.start])
                found.append((-score, first, last))
    return Span(min(found)[1], min(found)[2], -min(found)[0]) if found else None


@examples(150)
@given(st.integers(0, 24), st.integers(1, 9), st.integers(1, 5), st.integers(0, 10**6), st.data())
def test_the_best_span_is_that_of_brute_force(
    tokens: int, room: int, longest: int, seed: int, data: st.DataObject
) -> None:
    windows = cut_windows(tokens, room, data.draw(st.integers(1, room)))
    rng = np.random.default_rng(seed)
    starts, ends = ([rng.integers(-3, 4, window.length).astype(np.float32) for window in windows] for _ in range(2))
    assert find_span(starts, ends, windows, longest) == _brute_force(starts, ends, windows, tokens, longest)


def test_logits_of_other_windows_are_refused() -> None:
    with pytest.raises(ValueError, match="window of 3 tokens"):
        find_span([np.zeros(4)], [np.zeros(4)], [Window(0, 3)])
