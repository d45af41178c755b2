"""Byte offsets and code-point offsets against Python's own encoder."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pqrnn.data.offsets import measure_bytes, number_code_points

pytestmark = pytest.mark.unit

# Astral characters, combining marks, joiners and separators, each often enough to meet each other.
TRICKY = [
    "a",
    "é",
    "e\u0301",
    "ि",
    "हिन्दी",
    "ก็",
    "語",
    "😀",
    "👩\u200d👧",
    "\U0010ffff",
    "\u2028",
    "\x85",
    "\xa0",
    "\u200b",
    "\x00",
    " ",
    "\n",
]
TEXTS = st.one_of(st.lists(st.sampled_from(TRICKY)).map("".join), st.text())


@given(TEXTS)
@example("")
@example("\x7f\x80\u07ff\u0800\uffff\U00010000")
def test_every_offset_is_the_length_of_the_encoded_prefix(text: str) -> None:
    assert list(measure_bytes(text)) == [len(text[:index].encode()) for index in range(len(text) + 1)]


@given(TEXTS)
def test_code_points_and_bytes_are_each_others_reverse(text: str) -> None:
    offsets, points = measure_bytes(text), number_code_points(text)
    assert len(points) == len(text.encode()) + 1
    assert [points[offset] for offset in offsets] == list(range(len(text) + 1))
    # What is no beginning of a character is marked, so a wrong offset can never pass for a right one.
    assert {index for index, point in enumerate(points) if point < 0} == set(range(len(points))) - set(offsets)


def test_half_a_surrogate_pair_is_an_error() -> None:
    with pytest.raises(UnicodeEncodeError):
        measure_bytes("a\ud800")
    with pytest.raises(UnicodeEncodeError):
        number_code_points("a\ud800")
