"""Mappings of layers, by hand for some shapes and by their properties for all."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pqrnn.encoders.mappings import MAPPINGS, map_layers

SHAPES = st.integers(1, 12).flatmap(lambda student: st.tuples(st.just(student), st.integers(student, 24)))


@pytest.mark.parametrize(
    ("name", "student", "teacher", "wanted"),
    [
        ("last", 3, 12, [(3, 12)]),
        ("last", 4, 2, [(4, 2)]),
        ("last-k", 3, 12, [(2, 11), (3, 12)]),
        ("last-k", 1, 6, [(1, 6)]),
        ("uniform", 3, 12, [(1, 4), (2, 8), (3, 12)]),
        ("uniform", 4, 6, [(1, 1), (2, 3), (3, 4), (4, 6)]),
        ("uniform-consecutive", 3, 6, [(1, 0), (1, 1), (1, 2), (2, 2), (2, 3), (2, 4), (3, 4), (3, 5), (3, 6)]),
        ("uniform-consecutive", 2, 3, [(1, 0), (1, 1), (1, 2), (2, 2), (2, 3)]),
        (
            "uniform-consecutive",
            5,
            6,
            [(1, 0), (1, 1), (1, 2), (2, 2), (2, 3), (2, 4), (3, 4), (3, 5), (3, 6), (4, 6), (5, 6)],
        ),
        ("uniform-last", 3, 12, [(1, 4), (1, 10), (2, 8), (2, 11), (3, 12)]),
        ("uniform-last", 6, 6, [(i, i) for i in range(1, 7)]),
    ],
)
def test_by_hand(name: str, student: int, teacher: int, wanted: list[tuple[int, int]]) -> None:
    assert list(map_layers(name, student, teacher, 2)) == wanted


@given(st.sampled_from(sorted(MAPPINGS)), SHAPES, st.integers(1, 30))
def test_layers_exist_keep_their_order_and_end_at_the_end(name: str, shape: tuple[int, int], last: int) -> None:
    student, teacher = shape
    pairs = map_layers(name, student, teacher, last)
    assert (student, teacher) in pairs
    assert len(set(pairs)) == len(pairs)
    assert all(1 <= mine <= student and 0 <= its <= teacher for mine, its in pairs)
    for earlier, later in itertools.pairwise(pairs):
        assert earlier[0] <= later[0]
    firsts = [min(its for mine, its in pairs if mine == layer) for layer in sorted({mine for mine, _ in pairs})]
    assert firsts == sorted(firsts)


@given(SHAPES)
def test_what_each_promises(shape: tuple[int, int]) -> None:
    student, teacher = shape
    for name in ("uniform", "uniform-last", "uniform-consecutive"):
        assert {mine for mine, _ in map_layers(name, student, teacher)} == set(range(1, student + 1)), name
    assert {its for _, its in map_layers("uniform-consecutive", student, teacher)} == set(range(teacher + 1))
    assert set(map_layers("uniform", student, teacher)) <= set(map_layers("uniform-last", student, teacher))
    for k in range(1, student + 1):
        assert len(map_layers("last-k", student, teacher, k)) == k


def test_a_student_with_more_layers_is_refused_with_a_way_out() -> None:
    for name in sorted(set(MAPPINGS) - {"last"}):
        with pytest.raises(ValueError, match="6 there, 7 here; 'last' works"):
            map_layers(name, 7, 6)
    with pytest.raises(ValueError, match="not 'all'"):
        map_layers("all", 6, 6)
