"""Slot swapping keeps labels right; misspelling keeps words whole."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from pqrnn.augmentation import Row, SlotSwap
from pqrnn.misspelling import make_variants, misspell

_TAGS = ("O", "B-a", "I-a", "B-b", "I-b")


@st.composite
def _rows(draw: st.DrawFn) -> list[Row]:
    """Rows whose words in slots are told apart by their label: 100 to 199 in "a", 200 to 299 in "b"."""
    rows = []
    for _ in range(draw(st.integers(1, 5))):
        words: list[int] = []
        tags: list[int] = []
        for label in draw(st.lists(st.sampled_from(["", "a", "b"]), min_size=1, max_size=6)):
            size = draw(st.integers(1, 3))
            first = {"": 0, "a": 100, "b": 200}[label]
            words += [first + draw(st.integers(0, 99)) for _ in range(size)]
            tags += [0] * size if not label else [_TAGS.index(f"B-{label}")] + [_TAGS.index(f"I-{label}")] * (size - 1)
        rows.append(Row(words, tags, draw(st.integers(0, 9))))
    return rows


@given(_rows(), st.integers(0, 2**32), st.floats(0, 1))
def test_swapped_rows_stay_right(rows: list[Row], seed: int, share: float) -> None:
    swap = SlotSwap(rows, _TAGS)
    for row in rows:
        changed = swap(row, share, random.Random(seed))
        assert changed.tags is not None
        assert row.tags is not None
        assert len(changed.words) == len(changed.tags)
        assert changed.intent == row.intent
        for word, tag in zip(changed.words, changed.tags, strict=True):
            assert _TAGS[tag][2:] == {0: "", 1: "a", 2: "b"}[word // 100]
        begins = [[_TAGS[tag] for tag in tags if _TAGS[tag].startswith("B-")] for tags in (row.tags, changed.tags)]
        assert begins[0] == begins[1]
        outside = [[w for w, t in zip(r.words, r.tags or [], strict=True) if t == 0] for r in (row, changed)]
        assert outside[0] == outside[1]


def test_nothing_is_swapped_at_share_zero_and_everything_may_be_at_one() -> None:
    rows = [Row([100, 1], [1, 0], 0), Row([101, 2], [1, 0], 1)]
    swap = SlotSwap(rows, _TAGS)
    assert all(swap(row, 0.0, random.Random(seed)) == row for row in rows for seed in range(20))
    assert {swap(rows[0], 1.0, random.Random(seed)).words[0] for seed in range(50)} == {100, 101}


def test_rows_without_tags_stay() -> None:
    row = Row([1, 2], None, 0)
    assert SlotSwap([row], _TAGS)(row, 1.0, random.Random(0)) is row


@given(st.text(max_size=12), st.integers(0, 2**32))
def test_a_misspelling_is_one_edit(word: str, seed: int) -> None:
    changed = misspell(word, random.Random(seed))
    if len(word) < 3:
        assert changed == word
    else:
        assert abs(len(changed) - len(word)) <= 1
        assert sorted(changed) == sorted(word) or set(changed) <= set(word)


def test_variants_are_single_words_and_reproducible() -> None:
    words = [b"kitchen", b"lights", b"on", b"wohnzimmer"]
    made = [make_variants(words, lambda many: [not each.startswith(b"i") for each in many], random.Random(3)) for _ in range(2)]
    assert made[0] == made[1]
    assert b"on" not in made[0]
    assert all(variant != word and not variant.startswith(b"i") for word, variants in made[0].items() for variant in variants)
