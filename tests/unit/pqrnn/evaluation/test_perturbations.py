"""Texts as they are really written, with slots where they are then."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles.effort import examples
from oracles.texts import texts

from pqrnn.data.examples import Example, SlotSpan
from pqrnn.evaluation.perturbations import PERTURBATIONS, Perturbation, perturb

BY_NAME = {each.name: each for each in PERTURBATIONS}


def change(name: str, text: str, value: str, locale: str = "de-DE") -> tuple[str, str] | None:
    """The changed text, and what its slot holds."""
    start = text.index(value)
    made = perturb(Example(text, "x", (SlotSpan("s", start, start + len(value)),), locale), BY_NAME[name])
    return None if made is None else (made.text, made.text[made.slots[0].start : made.slots[0].end])


@pytest.mark.parametrize(
    ("name", "text", "value", "expected"),
    [
        ("final full stop", "play jazz", "jazz", ("play jazz.", "jazz")),
        ("final full stop", "play jazz?", "jazz", None),
        ("final question mark", "play jazz ", "jazz", ("play jazz ?", "jazz")),
        ("thanks", "spiel jazz", "jazz", ("spiel jazz danke", "jazz")),
        ("final emoji", "spiel jazz", "jazz", ("spiel jazz 🙂", "jazz")),
        ("title case", "don't play großes jazz", "großes jazz", ("Don't Play Großes Jazz", "Großes Jazz")),
        ("upper case", "in der straße links", "straße", ("IN DER STRASSE LINKS", "STRASSE")),
        ("decomposed", "für die küche", "küche", ("fu\u0308r die ku\u0308che", "ku\u0308che")),
        ("decomposed", "for the kitchen", "kitchen", None),
        ("invisible mark", "in the kitchen", "kitchen", ("in the kitchen\u2069", "kitchen")),
        ("curly apostrophe", "mom's song", "mom", ("mom’s song", "mom")),
        ("no apostrophe", "l'entrée ok", "entrée", ("lentrée ok", "lentrée")),
        ("no apostrophe", "my mom's song", "mom", ("my moms song", "moms")),
        ("no apostrophe", "my mom's song", "mom'", ("my moms song", "moms")),
        ("no apostrophe", "play 'jazz' now", "jazz", ("play jazz now", "jazz")),
        ("no apostrophe", "मेरी माँ'की घंटी", "माँ", ("मेरी माँकी घंटी", "माँकी")),
        ("full width", "play jazz", "jazz", ("ｐｌａｙ　ｊａｚｚ", "ｊａｚｚ")),
        ("no accents", "éclaire l'entrée", "entrée", ("eclaire l'entree", "entree")),
        ("umlauts as two letters", "für die Küche", "Küche", ("fuer die Kueche", "Kueche")),
        ("hyphens as spaces", "rappelle-moi ça", "moi", ("rappelle moi ça", "moi")),
    ],
)
def test_texts_are_changed_and_slots_are_kept(
    name: str, text: str, value: str, expected: tuple[str, str] | None
) -> None:
    assert change(name, text, value) == expected


def test_what_joins_words_of_two_slots_is_left_out() -> None:
    text = "mom's song"
    slots = (SlotSpan("a", 0, 3), SlotSpan("b", 4, 5))
    assert perturb(Example(text, "x", slots, "en"), BY_NAME["no apostrophe"]) is None
    assert perturb(Example(text, "x", slots, "en"), BY_NAME["upper case"]) is not None


@examples(200)
@given(texts(), st.sampled_from(PERTURBATIONS), st.data())
def test_slots_hold_what_they_held(text: str, each: Perturbation, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    made = perturb(Example(text, "x", (SlotSpan("s", start, end),), "en"), each)
    if made is None:
        return
    slot = made.slots[0]
    assert 0 <= slot.start <= slot.end <= len(made.text)
    if each.name == "decomposed":
        piece = made.text[slot.start : slot.end]
        assert unicodedata.normalize("NFD", piece) == unicodedata.normalize("NFD", text[start:end])
    if each.name in ("thanks", "final emoji", "invisible mark"):
        assert made.text.startswith(text)
        assert made.text[slot.start : slot.end] == text[start:end]
