"""Rewriting utterances keeps what they mean, and writes them as people and recognisers do."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles.effort import examples

from pqrnn.augmentation import restyling
from pqrnn.augmentation.restyling import Restyler
from pqrnn.augmentation.spelling import leave_accents
from pqrnn.dataset.encoded import EncodedUtterance
from pqrnn.distillation.transfer_set import Lexicon
from pqrnn.features.projection import Projection
from pqrnn.features.segmentation import segment_texts
from pqrnn.features.word_table import WordFeatures
from pqrnn.recipes.settings import PROJECTION_VERSIONS, ProjectionConfig
from runtime_py.decode.tags import TagScheme

TAGS = ("O", "B-room", "I-room", "B-song", "I-song")
TEXTS = [
    ("what ' s on , in the kitchen", "O O O O O O B-room I-room"),
    ("éteins l ' entrée", "O O O B-room"),
    ("play mom ' s , favourite song", "O B-song I-song I-song I-song I-song I-song"),
    ("schöne Grüße ins Büro", "O O O B-room"),
    ("lights off", "O O"),
    ("rock ' n", "B-song O B-room"),
    ("play wi - fi blues", "O B-song I-song I-song I-song"),
    ("play x - y", "O O B-song I-song"),
]


def make(language: str = "en", kinds: str = "") -> tuple[Restyler, Lexicon, list[EncodedUtterance]]:
    """A restyler over TEXTS, its table of words, and the rows."""
    table = Lexicon()
    texts = [[word.encode() for word in text.split()] for text, _ in TEXTS]
    rows = [
        EncodedUtterance(table.index(words), [TAGS.index(tag) for tag in tags.split()], 3, language=language)
        for words, (_, tags) in zip(texts, TEXTS, strict=True)
    ]
    return Restyler(texts, TAGS, Projection(ProjectionConfig()), table), table, rows


def read(table: Lexicon, row: EncodedUtterance) -> tuple[str, str]:
    assert row.tags is not None and len(row.tags) == len(row.words)
    return " ".join(table.words[word].decode() for word in row.words), " ".join(TAGS[tag] for tag in row.tags)


def list_rewritings(number: int, language: str = "en") -> set[tuple[str, str]]:
    restyle, table, rows = make(language)
    return {read(table, restyle(rows[number], 1.0, random.Random(seed))) for seed in range(400)}


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, ("whats on , in the kitchen", "O O O O B-room I-room")),
        (0, ("what ' s on in the kitchen", "O O O O O B-room I-room")),
        (0, ("what ' s on , in the kitchen thanks", "O O O O O O B-room I-room O")),
        (0, ("please what ' s on , in the kitchen", "O O O O O O O B-room I-room")),
        (1, ("éteins lentrée", "O B-room")),
        (1, ("eteins l ' entree", "O O O B-room")),
        (2, ("play moms , favourite song", "O B-song I-song I-song I-song")),
        (6, ("play wi fi blues", "O B-song I-song I-song")),
        (3, ("schoene Gruesse ins Buero".replace("sse", "ße"), "O O O B-room")),
        (3, ("schone Gruße ins Buro", "O O O B-room")),
    ],
    ids=str,
)
def test_these_rewritings_are_made(number: int, expected: tuple[str, str]) -> None:
    assert expected in list_rewritings(number)


def test_words_of_two_slots_are_not_joined_and_marks_of_slots_stay() -> None:
    assert not any("rockn" in text for text, _ in list_rewritings(5))
    assert all(text.count(",") == 1 for text, _ in list_rewritings(2))
    assert all(text.count("-") == 1 for text, _ in list_rewritings(7))  # it begins the slot


def test_words_of_courtesy_are_of_the_language_of_the_text() -> None:
    assert any("danke" in text for text, _ in list_rewritings(4, "de"))
    assert not any("thanks" in text for text, _ in list_rewritings(4, "de"))
    unknown = {text for text, _ in list_rewritings(4, "")}
    assert any("danke" in text for text in unknown) and any("thanks" in text for text in unknown)


@examples(80)
@given(st.integers(0, len(TEXTS) - 1), st.integers(0, 10**6), st.sampled_from(["en", "de", "th", ""]))
def test_intent_and_slots_stay(number: int, seed: int, language: str) -> None:
    restyle, _, rows = make(language)
    row, scheme = rows[number], TagScheme(TAGS)
    made = restyle(row, 1.0, random.Random(seed))
    assert made.intent == row.intent and made.language == language
    assert row.tags is not None and made.tags is not None
    assert [span.label for span in scheme.spans(made.tags)] == [span.label for span in scheme.spans(row.tags)]
    assert restyle(row._replace(tags=None), 1.0, random.Random(seed)).tags is None
    assert restyle(row, 0.0, random.Random(seed)) is row


@examples(80)
@given(st.integers(0, len(TEXTS) - 1), st.integers(0, 10**6))
def test_a_teachers_answer_goes_with_the_words_that_it_is_about(number: int, seed: int) -> None:
    restyle, table, rows = make()
    row = rows[number]
    assert restyle(row, 1.0, random.Random(seed)).origins is None
    made = restyle(row._replace(logit_index=7), 1.0, random.Random(seed))
    assert made.logit_index == 7
    assert made.origins is not None and made.tags is not None and row.tags is not None
    assert len(made.origins) == len(made.words)
    kept = [origin for origin in made.origins if origin >= 0]
    assert kept == sorted(set(kept))
    for word, tag, origin in zip(made.words, made.tags, made.origins, strict=True):
        assert TAGS[tag] == (TAGS[row.tags[origin]] if origin >= 0 else "O")
        if origin >= 0:  # only accents are left out of it, or letters of its neighbours are joined to it
            before, after = (table.words[index].decode() for index in (row.words[origin], word))
            assert leave_accents(before)[:1] in leave_accents(after)


def test_phrases_are_written_word_by_word_as_the_projection_finds_them() -> None:
    projection = Projection(ProjectionConfig(word_features=16, ngram_features=0))
    phrases = [phrase for pair in restyling._COURTESY.values() for side in pair for phrase in side]
    texts = [phrase.encode() for phrase in phrases]
    for text, spans in zip(texts, segment_texts(projection, texts), strict=True):
        assert [text[start:end] for start, end in spans] == text.split()


@pytest.mark.parametrize("version", PROJECTION_VERSIONS)
def test_nothing_becomes_two_words(version: int) -> None:
    """Letters of Thai that an apostrophe parts are two words without it; so are those that a mark of a vowel joins."""
    projection = Projection(ProjectionConfig(version=version))
    table = WordFeatures(projection)
    raw = ["ม ’ เ ปิ ด", "what ' s on", "l ' été", "한 ' 국"]
    texts = [
        [text.encode()[start:end] for start, end in spans]
        for text, spans in zip(raw, segment_texts(projection, [text.encode() for text in raw]), strict=True)
    ]
    restyle = Restyler(texts, TAGS, projection, table)  # the table refuses what is not one word
    for words in texts:
        row = EncodedUtterance(table.index(words), [0] * len(words), 0, language="th")
        for seed in range(60):
            assert restyle(row, 1.0, random.Random(seed)).words
