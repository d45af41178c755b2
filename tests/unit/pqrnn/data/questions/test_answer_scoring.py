"""Exact match and F1 by the official rules, on their edge cases by hand and against the rules said in another way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import squad
from oracles.effort import examples

from pqrnn.data.questions.scoring import match_exactly, normalise_answer, score_answers, score_words
from pqrnn.data.questions.squad import Answer, Question

PIECES = [
    "the",
    "The",
    "a",
    "an",
    "A.",
    "theme",
    "than",
    "can't",
    "U.S.",
    "1,000",
    "–",
    "—",
    "“the”",
    "\u00a0",
    "\t",
    " ",
    "  ",
    "-",
    "the-end",
    "naïve",
    "İ",
    "ß",
    "42",
    "_",
    "x_the_y",
    "",
    "the,",
    "東京",
]


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("The Denver Broncos", "denver broncos"),
        ("an apple, a day!", "apple day"),
        ("the-end", "theend"),  # punctuation goes first, so there is no article left
        ("U.S.", "us"),
        ("a.", ""),
        ("The a an", ""),
        ("theme than canal", "theme than canal"),
        ("  $1,000 \n per\tyear ", "1000 per year"),
        ("24–10", "24–10"),  # a dash beyond ASCII is none of the marks that go
        ("“the” end", "“ ” end"),  # so are these, and the article between them goes
        ("x_the_y", "xthey"),
        ("naïve CAFÉ", "naïve café"),
        ("", ""),
    ],
)
def test_answers_are_normalised(text: str, normalised: str) -> None:
    assert normalise_answer(text) == normalised


@pytest.mark.parametrize(
    ("prediction", "gold", "exact", "f1"),
    [
        ("Denver Broncos", "the Denver Broncos!", 1, 1.0),
        ("Denver", "Denver Broncos", 0, 2 / 3),
        ("Broncos Denver", "Denver Broncos", 0, 1.0),  # order does not count for F1
        ("the the", "a", 1, 0.0),  # nothing is left of either: the same, and without a common word
        ("", "", 1, 0.0),
        ("", "Denver", 0, 0.0),
        ("no no no", "no", 0, 0.5),  # words count as often as both have them
        ("no no", "no no yes", 0, 0.8),
    ],
)
def test_scores_of_one_pair(prediction: str, gold: str, exact: int, f1: float) -> None:
    assert match_exactly(prediction, gold) == exact
    assert score_words(prediction, gold) == pytest.approx(f1)


def ask(name: str, *golds: str) -> Question:
    return Question(name, "?", "", tuple(Answer(gold, 0) for gold in golds))


def test_the_best_gold_answer_counts_for_each_measure_and_what_is_missing_counts_nothing() -> None:
    questions = [ask("1", "Denver Broncos", "Broncos"), ask("2", "in 2015"), ask("3", "blue")]
    found = score_answers(questions, {"1": "the Broncos", "2": "2015", "of another file": "blue"})
    assert found == (1 / 3, pytest.approx((1.0 + 2 / 3) / 3), 3, 1)


def test_without_questions_there_is_no_score() -> None:
    with pytest.raises(ValueError, match="no question"):
        score_answers([], {"1": "x"})


@examples(300)
@given(
    st.lists(st.sampled_from(PIECES), max_size=6), st.lists(st.lists(st.sampled_from(PIECES), max_size=6), min_size=1)
)
def test_they_are_those_of_the_rules_said_in_another_way(prediction: list[str], golds: list[list[str]]) -> None:
    mine, its = " ".join(prediction), ["".join(gold) if len(gold) % 2 else " ".join(gold) for gold in golds]
    found = score_answers([ask("1", *its)], {"1": mine})
    assert found.exact_match == squad.exact_match(mine, its)
    assert found.f1 == pytest.approx(squad.f1(mine, its))
