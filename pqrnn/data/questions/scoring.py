"""Exact match and F1 of answers, by the rules of SQuAD's official script for version 1.1 (`evaluate-v1.1.py`)."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from pqrnn.data.questions.squad import Question

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


class AnswerScores(NamedTuple):
    """Scores of predictions.

    Attributes:
        exact_match: Mean over questions of whether the answer is one of the gold ones, as a fraction of 1.
        f1: Mean over questions of the best F1 over words against a gold answer, as a fraction of 1.
        questions: How many questions there are.
        unanswered: How many of them have no prediction; they count 0.
    """

    exact_match: float
    f1: float
    questions: int
    unanswered: int


def normalise_answer(text: str) -> str:
    """Return an answer as answers are compared: lower case, without ASCII punctuation, English articles, and spaces.

    In this order: punctuation goes before articles, so that `"the-end"` is one word and `"a."` is none.
    """
    bare = text.lower().translate(_NO_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def match_exactly(prediction: str, gold: str) -> float:
    """Return 1 where two answers are the same once they are normalised, else 0."""
    return float(normalise_answer(prediction) == normalise_answer(gold))


def score_words(prediction: str, gold: str) -> float:
    """Return the F1 over the words of two normalised answers; 0 where they share none, also where neither has any."""
    mine, its = normalise_answer(prediction).split(), normalise_answer(gold).split()
    common = (Counter(mine) & Counter(its)).total()
    return 2.0 * common / (len(mine) + len(its)) if common else 0.0


def score_answers(questions: Sequence[Question], predictions: Mapping[str, str]) -> AnswerScores:
    """Score predictions by the ids of their questions; those of other questions do not count.

    Raises:
        ValueError: There is no question.
    """
    if not questions:
        raise ValueError("no question to score")

    def mean(measure: Callable[[str, str], float]) -> float:
        best = (
            max(measure(predictions[question.id], answer.text) for answer in question.answers)
            for question in questions
            if question.id in predictions
        )
        return sum(best) / len(questions)

    missing = sum(question.id not in predictions for question in questions)
    return AnswerScores(mean(match_exactly), mean(score_words), len(questions), missing)
