"""Slot swapping keeps labels right; recombined rows are made of real pieces; misspelling keeps words whole."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pqrnn.augmentation.misspelling import Misspeller, make_variants, misspell
from pqrnn.augmentation.ngram_sampler import NgramSampler
from pqrnn.augmentation.recombination import Recombination
from pqrnn.augmentation.slot_swap import SlotSwap
from pqrnn.dataset.encoded import EncodedUtterance
from pqrnn.distillation.transfer_set import Lexicon
from pqrnn.features.projection import Projection
from pqrnn.recipes.settings import ProjectionConfig

_TAGS = ("O", "B-a", "I-a", "B-b", "I-b")


@st.composite
def _rows(draw: st.DrawFn) -> list[EncodedUtterance]:
    """Rows whose words in slots are told apart by their label and language.

    They are 100 to 199 in "a" and 200 to 299 in "b", and 1000 more in "y".
    """
    rows = []
    for _ in range(draw(st.integers(1, 5))):
        words: list[int] = []
        tags: list[int] = []
        language = draw(st.sampled_from(["x", "y"]))
        for label in draw(st.lists(st.sampled_from(["", "a", "b"]), min_size=1, max_size=6)):
            size = draw(st.integers(1, 3))
            first = {"": 0, "a": 100, "b": 200}[label] + (1000 if language == "y" else 0)
            words += [first + draw(st.integers(0, 99)) for _ in range(size)]
            tags += [0] * size if not label else [_TAGS.index(f"B-{label}")] + [_TAGS.index(f"I-{label}")] * (size - 1)
        rows.append(EncodedUtterance(words, tags, draw(st.integers(0, 1)), language=language))
    return rows


_TABLE = Lexicon()


@cache
def _misspeller() -> Misspeller:
    return Misspeller([b"kitchen", b"lights", b"on"], Projection(ProjectionConfig()), _TABLE, random.Random(3))


def _label_of(word: int) -> str:
    return ["", "a", "b"][word % 1000 // 100]


def _language_of(word: int) -> str:
    return "y" if word >= 1000 else "x"


def _is_within(piece: list[int], row: EncodedUtterance) -> bool:
    return any(row.words[start : start + len(piece)] == piece for start in range(len(row.words) - len(piece) + 1))


@pytest.mark.slow
@given(_rows(), st.integers(0, 2**32), st.floats(0, 1))
def test_swapped_rows_stay_right(rows: list[EncodedUtterance], seed: int, share: float) -> None:
    swap = SlotSwap(rows, _TAGS)
    for row in rows:
        changed = swap(row, share, random.Random(seed))
        assert changed.tags is not None
        assert row.tags is not None
        assert len(changed.words) == len(changed.tags)
        assert changed.intent == row.intent
        for word, tag in zip(changed.words, changed.tags, strict=True):
            assert _TAGS[tag][2:] == _label_of(word)
            assert _language_of(word) == row.language
        begins = [[_TAGS[tag] for tag in tags if _TAGS[tag].startswith("B-")] for tags in (row.tags, changed.tags)]
        assert begins[0] == begins[1]
        outside = [[w for w, t in zip(r.words, r.tags or [], strict=True) if t == 0] for r in (row, changed)]
        assert outside[0] == outside[1]


def test_nothing_is_swapped_at_share_zero_and_everything_may_be_at_one() -> None:
    rows = [EncodedUtterance([100, 1], [1, 0], 0), EncodedUtterance([101, 2], [1, 0], 1)]
    swap = SlotSwap(rows, _TAGS)
    assert all(swap(row, 0.0, random.Random(seed)) == row for row in rows for seed in range(20))
    assert {swap(rows[0], 1.0, random.Random(seed)).words[0] for seed in range(50)} == {100, 101}


def test_rows_without_tags_stay() -> None:
    row = EncodedUtterance([1, 2], None, 0)
    assert SlotSwap([row], _TAGS)(row, 1.0, random.Random(0)) is row
    recombination = Recombination([row], _TAGS)
    assert recombination.cross(row, random.Random(0)) is row
    assert recombination.drop(row, random.Random(0)) is row
    assert not recombination.is_known(row)


@pytest.mark.slow
@given(_rows(), st.integers(0, 2**32))
def test_values_of_another_language_come_from_there(rows: list[EncodedUtterance], seed: int) -> None:
    """With `foreign` at one, every slot that the other language knows is of it, and the words between stay."""
    swap = SlotSwap(rows, _TAGS)
    known = {(_label_of(word), row.language) for row in rows for word in row.words}
    for row in rows:
        changed = swap(row, 0.0, random.Random(seed), foreign=1.0)
        assert changed.tags is not None and len(changed.tags) == len(changed.words)
        assert changed == swap(row, 0.0, random.Random(seed), foreign=1.0)
        for word, tag in zip(changed.words, changed.tags, strict=True):
            label = _label_of(word)
            assert _TAGS[tag][2:] == label
            other = "x" if row.language == "y" else "y"
            assert _language_of(word) == (other if label and (label, other) in known else row.language)


@given(_rows(), st.integers(0, 2**32), st.booleans())
def test_crossed_rows_are_two_pieces_of_one_intent(rows: list[EncodedUtterance], seed: int, foreign: bool) -> None:
    recombination = Recombination(rows, _TAGS)
    for row in rows:
        changed = recombination.cross(row, random.Random(seed), float(foreign))
        assert changed == recombination.cross(row, random.Random(seed), float(foreign))
        assert changed.tags is not None and changed.intent == row.intent
        assert [_TAGS[tag][2:] for tag in changed.tags] == [_label_of(word) for word in changed.words]
        same = [other for other in rows if other.intent == row.intent]
        cuts = range(len(changed.words) + 1)
        assert any(
            changed.words[:cut] == row.words[:cut] and any(_is_within(changed.words[cut:], other) for other in same)
            for cut in cuts
        )
        if not foreign:
            assert {_language_of(word) for word in changed.words} <= {row.language}
        for index, tag in enumerate(changed.tags):  # no value begins in the middle
            if _TAGS[tag].startswith("I-"):
                assert index and _TAGS[changed.tags[index - 1]][2:] == _TAGS[tag][2:]


def test_rows_are_joined_where_both_have_the_same_slot() -> None:
    """Every way to cross two rows, by hand: before or after slot "a"; the row of another intent takes no part."""
    rows = [
        EncodedUtterance([1, 100, 2], [0, 1, 0], 0),
        EncodedUtterance([3, 101, 4], [0, 1, 0], 0),
        EncodedUtterance([5, 102, 6], [0, 1, 0], 1),
    ]
    recombination = Recombination(rows, _TAGS)
    found = {tuple(recombination.cross(rows[0], random.Random(seed)).words) for seed in range(200)}
    assert found == {(1, 100, 2), (1, 101, 4), (1, 100, 4)}


def test_a_foreign_half_is_taken_only_where_there_is_one() -> None:
    rows = [
        EncodedUtterance([1, 100], [0, 1], 0, language="x"),
        EncodedUtterance([1001, 1100, 1002], [0, 1, 0], 0, language="y"),
        EncodedUtterance([7, 200], [0, 3], 0, language="x"),
    ]
    recombination = Recombination(rows, _TAGS)
    found = {tuple(recombination.cross(rows[0], random.Random(seed), 1.0).words) for seed in range(100)}
    assert found == {(1, 1100, 1002), (1, 100, 1002)}
    assert {tuple(recombination.cross(rows[2], random.Random(seed), 1.0).words) for seed in range(20)} == {(7, 200)}


@given(_rows(), st.integers(0, 2**32))
def test_a_row_loses_one_whole_value(rows: list[EncodedUtterance], seed: int) -> None:
    recombination = Recombination(rows, _TAGS)
    for row in rows:
        changed = recombination.drop(row, random.Random(seed))
        assert row.tags is not None and changed.tags is not None
        assert len(changed.words) == len(changed.tags) > 0
        values = [sum(_TAGS[tag].startswith("B-") for tag in tags) for tags in (row.tags, changed.tags)]
        whole = values[0] == 1 and not any(tag == 0 for tag in row.tags)
        assert values[1] == (values[0] if whole else max(values[0] - 1, 0))
        assert [w for w in changed.words if not _label_of(w)] == [w for w in row.words if not _label_of(w)]


def test_templates_are_known_by_words_slots_and_their_one_intent() -> None:
    rows = [
        EncodedUtterance([1, 100, 101], [0, 1, 2], 0),
        EncodedUtterance([2, 100], [0, 1], 0),
        EncodedUtterance([2, 105], [0, 1], 1),
    ]
    recombination = Recombination(rows, _TAGS)
    assert recombination.is_known(EncodedUtterance([1, 150], [0, 1], 0))  # another value
    assert not recombination.is_known(EncodedUtterance([1, 150], [0, 1], 1))  # another intent
    assert not recombination.is_known(EncodedUtterance([1, 200], [0, 3], 0))  # another slot
    assert not recombination.is_known(EncodedUtterance([3, 100], [0, 1], 0))  # another word
    assert not recombination.is_known(rows[1])  # the data disagree


@given(st.integers(0, 2**32), st.one_of(st.floats(0, 1), st.just(1.0)))
def test_misspelled_rows_keep_tags_and_number_of_words(seed: int, share: float) -> None:
    misspell_row = _misspeller()
    row = EncodedUtterance(_TABLE.index([b"kitchen", b"lights", b"on"]), [0, 1, 2], 1, language="x")
    changed = misspell_row(row, share, random.Random(seed))
    assert changed._replace(words=row.words) == row
    assert changed == misspell_row(row, share, random.Random(seed))
    assert changed.words[2] == row.words[2]  # too short
    assert share or changed == row
    if share == 1.0:
        assert all(
            _TABLE.words[new] != _TABLE.words[old] for new, old in zip(changed.words[:2], row.words[:2], strict=True)
        )


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
    made = [
        make_variants(words, lambda many: [not each.startswith(b"i") for each in many], random.Random(3))
        for _ in range(2)
    ]
    assert made[0] == made[1]
    assert b"on" not in made[0]
    assert all(
        variant != word and not variant.startswith(b"i") for word, variants in made[0].items() for variant in variants
    )


_TEXTS = st.lists(st.lists(st.sampled_from([b"a", b"b", b"c", b"d", b"e"]), max_size=8), max_size=8)


def _pairs(words: Sequence[bytes]) -> set[tuple[bytes | None, bytes | None]]:
    return set(pairwise([None, *words, None]))


@given(_TEXTS, st.integers(2, 5), st.integers(0, 2**32))
def test_a_drawn_text_has_no_neighbours_that_the_given_ones_lack(
    texts: list[list[bytes]], order: int, seed: int
) -> None:
    drawn = NgramSampler(texts, order).draw(random.Random(seed))
    given_ones = [words for words in texts if words]
    if not given_ones:
        assert drawn == ()
    elif drawn:
        assert _pairs(drawn) <= set().union(*map(_pairs, given_ones))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(2, 5), st.integers(0, 2**32))
def test_texts_that_share_nothing_are_drawn_as_they_are(sizes: list[int], order: int, seed: int) -> None:
    texts = [tuple(b"%d-%d" % (number, index) for index in range(size)) for number, size in enumerate(sizes)]
    assert NgramSampler(texts, order).draw(random.Random(seed)) in texts


def test_longer_contexts_that_leave_a_choice_are_kept_to() -> None:
    texts = [b"play some jazz now".split(), b"play some jazz later".split(), b"hear jazz today".split()]
    rng = random.Random(0)
    pairs, triples = ({NgramSampler(texts, order).draw(rng) for _ in range(200)} for order in (2, 3))
    assert (b"hear", b"jazz", b"now") in pairs and (b"play", b"some", b"jazz", b"today") in pairs
    assert (b"play", b"some", b"jazz", b"today") not in triples  # "some jazz" leaves a choice of its own
    assert (b"hear", b"jazz", b"now") in triples  # "hear jazz" leaves none, "jazz" does
    with pytest.raises(ValueError, match="order"):
        NgramSampler(texts, 1)


def test_a_text_that_grows_too_long_is_none() -> None:
    assert NgramSampler([[b"%d" % word for word in range(70)]], 3).draw(random.Random(0)) == ()
    assert len(NgramSampler([[b"%d" % word for word in range(64)]], 3).draw(random.Random(0))) == 64
