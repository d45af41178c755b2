"""Slots to tags and back, over texts whose words are known because the text was built from them."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles.slots import read_slots

from pqrnn.data.alignment import (
    AlignmentReport,
    Reason,
    align_examples,
    list_intents,
    list_tags,
    normalise_slots,
    write_tags,
)
from pqrnn.data.examples import Example, SlotSpan

pytestmark = pytest.mark.unit

WORDS = st.one_of(
    st.sampled_from(["wake", "हिन्दी", "e\u0301te\u0301", "👩\u200d👧", "語", "ก็", "𝒳𝒴", ".", "8", "O", "B-x"]),
    st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=4),
)
SPACES = st.text(st.sampled_from(" \t\n\xa0\u2028\u3000\u200b\ufeff\x00\x85"), max_size=2)
LABELS = st.sampled_from(["time", "B-time", "SL:TODO", "a b", "größe", "-"])


@dataclass
class Tagged:
    """A text, the code points of its words, their bytes, and slots over whole words as (label, first, last)."""

    text: str
    points: list[tuple[int, int]]
    bytes: list[tuple[int, int]]
    groups: list[tuple[str, int, int]]

    @property
    def slots(self) -> tuple[SlotSpan, ...]:
        return tuple(SlotSpan(label, self.points[first][0], self.points[last][1]) for label, first, last in self.groups)


@st.composite
def tagged_texts(draw: st.DrawFn) -> Tagged:
    text = draw(SPACES)
    points: list[tuple[int, int]] = []
    for word in draw(st.lists(WORDS, max_size=8)):
        points.append((len(text), len(text) + len(word)))
        text += word + draw(SPACES)
    spans = [(len(text[:start].encode()), len(text[:end].encode())) for start, end in points]
    groups = []
    first = 0
    while first < len(points):
        last = draw(st.integers(first, len(points) - 1))
        if draw(st.booleans()):
            groups.append((draw(LABELS), first, last))
        first = last + 1
    return Tagged(text, points, spans, groups)


@given(tagged_texts(), st.randoms(use_true_random=False))
def test_whole_words_become_tags_and_come_back(case: Tagged, random: Random) -> None:
    shuffled = list(case.slots)
    random.shuffle(shuffled)
    tags = write_tags(case.text, shuffled, case.bytes)
    expected = ["O"] * len(case.points)
    for label, first, last in case.groups:
        expected[first : last + 1] = ["B-" + label] + ["I-" + label] * (last - first)
    assert tags == tuple(expected)
    assert read_slots(case.text, tags, case.bytes) == case.slots


@given(tagged_texts(), st.data())
def test_white_space_at_the_edges_changes_nothing(case: Tagged, data: st.DataObject) -> None:
    wide = []
    edges = [0, *(position for _, _, last in case.groups for position in [case.points[last][1]]), len(case.text)]
    for index, slot in enumerate(case.slots):
        left = data.draw(st.integers(_space_before(case, slot.start, edges[index]), slot.start))
        right = data.draw(st.integers(slot.end, _space_after(case, slot.end)))
        wide.append(SlotSpan(slot.label, left, right))
    assert normalise_slots(case.text, wide) == case.slots
    assert write_tags(case.text, wide, case.bytes) == write_tags(case.text, case.slots, case.bytes)


def _space_before(case: Tagged, start: int, floor: int) -> int:
    return max([floor, *(end for _, end in case.points if end <= start)])


def _space_after(case: Tagged, end: int) -> int:
    return min([len(case.text), *(start for start, _ in case.points if start >= end)])


@given(tagged_texts(), LABELS, st.data())
def test_any_slots_either_come_back_exactly_or_have_a_reason(case: Tagged, label: str, data: st.DataObject) -> None:
    offsets = st.integers(0, len(case.text))
    pairs = data.draw(st.lists(st.tuples(offsets, offsets), max_size=4))
    slots = tuple(SlotSpan(label, min(pair), max(pair)) for pair in pairs)
    placed = normalise_slots(case.text, slots)
    outcome = write_tags(case.text, slots, case.bytes)
    starts, ends = {start for start, _ in case.points}, {end for _, end in case.points}
    covered = [set(range(slot.start, slot.end)) for slot in placed]
    if not isinstance(outcome, Reason):
        assert read_slots(case.text, outcome, case.bytes) == placed
    elif outcome is Reason.EMPTY:
        assert any(slot.start == slot.end for slot in placed)
    elif outcome is Reason.OVERLAP:
        assert any(one & other for index, one in enumerate(covered) for other in covered[:index])
    else:
        assert outcome is Reason.INSIDE_WORD
        assert any(slot.start not in starts or slot.end not in ends for slot in placed)


@pytest.mark.parametrize(
    ("slots", "reason"),
    [
        ([SlotSpan("a", 0, 4), SlotSpan("b", 3, 8)], Reason.OVERLAP),
        ([SlotSpan("a", 0, 4), SlotSpan("b", 4, 6)], Reason.INSIDE_WORD),
        ([SlotSpan("a", 0, 8), SlotSpan("b", 5, 8)], Reason.OVERLAP),
        ([SlotSpan("a", 5, 8), SlotSpan("a", 5, 8)], Reason.OVERLAP),
        ([SlotSpan("a", 0, 3)], Reason.INSIDE_WORD),
        ([SlotSpan("a", 1, 8)], Reason.INSIDE_WORD),
        ([SlotSpan("a", 1, 2), SlotSpan("b", 2, 4)], Reason.INSIDE_WORD),
        ([SlotSpan("a", 4, 5)], Reason.EMPTY),
        ([SlotSpan("a", 2, 2)], Reason.EMPTY),
        ([SlotSpan("a", 8, 9)], Reason.NO_WORD),
        ([SlotSpan("a", 0, 9)], Reason.NO_WORD),
    ],
)
def test_reasons(slots: list[SlotSpan], reason: Reason) -> None:
    # The words end before the mark, as when a text has been cut.
    assert write_tags("wake mää!", slots, [(0, 4), (5, 10)]) is reason


def test_the_end_of_a_word_can_be_a_slot() -> None:
    text, words = "recuérdame eso", [(0, 11), (12, 15)]
    assert write_tags(text, [SlotSpan("who", 8, 10), SlotSpan("what", 11, 14)], words) == ("B2-who", "B-what")
    assert read_slots(text, ["B2-who", "I-who"], words) == (SlotSpan("who", 8, 14),)
    assert read_slots(text, ["B12-who", "O"], words) == (SlotSpan("who", 0, 10),)


def test_only_usual_ends_of_words_have_a_tag() -> None:
    often = [Example("dime", "x", (SlotSpan("who", 2, 4),))] * 10
    rare = [Example("dime", "x", (SlotSpan("what", 1, 4),))] * 9
    tags = list_tags([*often, *rare], [[(0, 4)]] * 19)
    assert tags == ("O", "B-what", "I-what", "B-who", "I-who", "B2-who")
    tagged, report = align_examples([often[0], rare[0]], [[(0, 4)]] * 2, frozenset(tags))
    assert tagged == [("B2-who",), None]
    assert report.counts == {Reason.INSIDE_WORD: 1}


def test_a_stray_inside_tag_begins_a_slot_and_extra_tags_are_padding() -> None:
    words = [(0, 1), (2, 3), (4, 5)]
    assert read_slots("a b c", ["I-x", "I-y", "I-y", "B-x", "O"], words) == (SlotSpan("x", 0, 1), SlotSpan("y", 2, 5))
    assert read_slots("a b c", ["B-x", "B-x", "I-x"], words) == (SlotSpan("x", 0, 1), SlotSpan("x", 2, 5))
    assert read_slots("a b c", ["B-x", "O", "I-x"], words) == (SlotSpan("x", 0, 1), SlotSpan("x", 4, 5))


def test_inventories_are_sorted_and_begin_with_outside() -> None:
    examples = [
        Example("a b", "stop", (SlotSpan("time", 0, 1), SlotSpan("artist", 2, 3))),
        Example("a", "go", (SlotSpan("time", 0, 1),)),
    ]
    assert list_tags(examples) == ("O", "B-artist", "I-artist", "B-time", "I-time")
    assert list_intents(examples) == ("go", "stop")
    assert list_tags([]) == ("O",)


def test_report_counts_every_row_and_shows_the_first_few() -> None:
    cut = [Example("wake", "x", (SlotSpan("a", 0, 3),), source=f"f:{line}") for line in range(1, 8)]
    examples = [*cut, Example("wake", "x", (SlotSpan("a", 0, 4),)), Example("wake me", "x", (SlotSpan("a", 4, 5),))]
    tags, report = align_examples(examples, [[(0, 4)]] * 8 + [[(0, 4), (5, 7)]])
    assert tags == [None] * 7 + [("B-a",), None]
    assert (report.rows, report.unrepresentable) == (9, 8)
    assert report.counts == {Reason.INSIDE_WORD: 7, Reason.EMPTY: 1}
    shown = report.describe()
    assert "8 of 9 rows" in shown
    assert "slot boundary inside a word: 7 (f:1, f:2, f:3, f:4, f:5, ...)" in shown
    assert "empty slot: 1 ('wake me')" in shown
    assert AlignmentReport(rows=3).describe() == "all 3 rows can be written as one tag a word"


def test_as_many_words_as_examples_are_needed() -> None:
    with pytest.raises(ValueError, match="shorter"):
        align_examples([Example("a", "x"), Example("b", "x")], [[(0, 1)]])
