"""Fitting calibrations: figures fall where a network is too sure, and nothing is claimed without data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pqrnn.data.examples import Example
from pqrnn.errors import CalibrationError
from pqrnn.evaluation.calibrating import are_right, fit_calibration, fit_logistic, refit_calibration
from pqrnn.evaluation.metrics import calibration_error
from pqrnn.evaluation.prediction import Prediction, decide
from runtime_py.decode.labels import Labels

LABELS = Labels(("alarm", "music", "none"), ("O", "B-time", "I-time"))
TEXT = "wake at"
SPANS = np.array([[0, 4], [5, 7]], np.int32)


def make_answers(
    count: int, sureness: float, *, shift: float = 0.0, seed: int = 0
) -> tuple[list[Example], list[Prediction]]:
    """Return utterances and logits whose probabilities are those of a network that is `sureness` times too sure."""
    random = np.random.default_rng(seed)
    examples, answers = [], []
    for _ in range(count):
        logits = random.normal(0, 2, 3)
        shares = np.exp(logits) / np.exp(logits).sum()
        examples.append(Example(TEXT, LABELS.intents[int(random.choice(3, p=shares))]))
        tags = np.tile(np.array([20.0, 0.0, 0.0], np.float32), (2, 1))
        answers.append(Prediction((logits * sureness + shift).astype(np.float32), tags, SPANS))
    return examples, answers


@pytest.mark.parametrize("sureness", [3.0, 0.3])
@pytest.mark.parametrize("count", [400, 800])  # a logistic curve, and an isotonic line
def test_scores_become_shares_that_are_right(count: int, sureness: float) -> None:
    examples, answers = make_answers(count, sureness)
    found = fit_calibration(LABELS, examples, answers)
    assert found.error_before > 0.1
    assert found.error < found.error_before / 2
    fresh, replies = make_answers(2000, sureness, seed=1)
    right = are_right(LABELS.decoder(), fresh, replies)
    scores = [parse.score for parse in decide(LABELS.decoder(found), [TEXT] * len(fresh), replies)]
    assert calibration_error(scores, right) < 0.05
    assert found.temperature == pytest.approx(sureness, rel=0.2)
    assert (found.scope, found.recommended.of, found.recommended.refused) == (None, "score", None)
    assert found.recommended.kept >= 0.95


def test_texts_out_of_scope_are_told_apart() -> None:
    examples, answers = make_answers(600, 1.0)
    outside = make_answers(100, 0.1, shift=-8.0, seed=2)[1]
    found = fit_calibration(LABELS, examples, answers, outside)
    assert (found.recommended.of, found.out_of_scope) == ("in_scope", 100)
    assert found.recommended.kept >= 0.95
    assert found.recommended.refused is not None
    assert found.recommended.refused > 0.95
    decoder = LABELS.decoder(found)
    others = decide(decoder, [TEXT] * 100, make_answers(100, 0.1, shift=-8.0, seed=3)[1])
    assert np.mean([parse.in_scope or 0.0 for parse in others]) < 0.2
    assert np.mean([parse.in_scope or 0.0 for parse in decide(decoder, [TEXT] * 600, answers)]) > 0.9


def test_an_intent_may_say_what_is_out_of_scope() -> None:
    examples, answers = make_answers(600, 1.0)
    named = [Example(TEXT, "none")] * 60
    found = fit_calibration(
        LABELS,
        [*(each for each in examples if each.intent != "none"), *named],
        [
            *(a for each, a in zip(examples, answers, strict=True) if each.intent != "none"),
            *make_answers(60, 0.1, shift=-8.0)[1],
        ],
        out_of_scope="none",
    )
    assert found.out_of_scope == 60
    assert found.utterances == sum(each.intent != "none" for each in examples)


@pytest.mark.parametrize(("count", "outside", "match"), [(10, 0, "10 development utterances"), (60, 5, "5 texts out")])
def test_too_little_data_is_refused(count: int, outside: int, match: str) -> None:
    with pytest.raises(CalibrationError, match=match):
        fit_calibration(LABELS, *make_answers(count, 1.0), make_answers(outside, 1.0)[1])


@pytest.mark.parametrize("right", [True, False])
@pytest.mark.parametrize("count", [60, 600])
def test_a_parser_that_is_always_right_or_wrong_can_be_calibrated(right: bool, count: int) -> None:
    answers = make_answers(count, 5.0)[1]
    intents = [LABELS.intents[int(answer.intent.argmax())] for answer in answers]
    examples = [Example(TEXT, intent if right else "another") for intent in intents]
    found = fit_calibration(LABELS, examples, answers)
    scores = [parse.score for parse in decide(LABELS.decoder(found), [TEXT] * count, answers)]
    assert abs(np.mean(scores) - right) < 0.06


def test_the_error_is_the_mean_distance_of_scores_and_shares() -> None:
    assert calibration_error([0.95] * 4, [True, True, True, False]) == pytest.approx(0.2)
    assert calibration_error([0.95, 0.05], [True, False]) == pytest.approx(0.05)
    assert calibration_error([1.0, 0.0], [True, False]) == 0.0


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.floats(-50, 50), st.booleans()), min_size=1, max_size=30))
def test_a_logistic_fit_is_finite_whatever_it_is_given(rows: list[tuple[float, bool]]) -> None:
    inputs = np.array([[value, 1.0] for value, _ in rows])
    assert np.isfinite(fit_logistic(inputs, np.array([hit for _, hit in rows]), ridge=1.0)).all()


def test_other_weights_get_a_calibration_of_their_own_where_there_was_one() -> None:
    examples, answers = make_answers(60, 3.0)
    before = fit_calibration(LABELS, examples, answers, make_answers(30, 0.1, shift=-8.0)[1])
    other = make_answers(60, 1.0)[1]
    assert refit_calibration(None, LABELS, examples, other) is None
    found = refit_calibration(before, LABELS, examples, other)
    assert found is not None
    assert (found.scope, found == before) == (None, False)
    assert refit_calibration(before, LABELS, examples[:9], other[:9]) is None
