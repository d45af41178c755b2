"""Scores that are probabilities: what a calibration says of a parse, and that it decides nothing."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from runtime_py.decode.answers import Parse
from runtime_py.decode.calibration import (
    SUMMARY,
    Calibration,
    RightModel,
    ScopeModel,
    SlotModel,
    Threshold,
    describe_logits,
    log_odds,
    log_probabilities,
    rank_intents,
    sigmoid,
)
from runtime_py.decode.decoder import Decoder
from runtime_py.decode.labels import Labels
from runtime_py.decode.rejection import Rejection, choose_rejection
from runtime_py.errors import CalibrationMissingError, SchemaError
from runtime_py.package_format.manifest_codec import check_calibration

LABELS = Labels(("alarm", "music", "none"), ("O", "B-time", "I-time"))
LINE = ((0.0, 0.0), (1.0, 1.0))
PLAIN = Calibration(
    temperature=2.0,
    right=RightModel(intent=0.5, tags=0.25, bias=-1.0),
    slots=SlotModel(tags=0.5, bias=0.25),
    knots=LINE,
    recommended=Threshold(of="score", least=0.4, kept=0.95),
    error=0.01,
    error_before=0.1,
)
SCOPE = ScopeModel(summary=(0.1, 0.2, 0.0, 0.3, -0.4, 0.5, 0.6), intents=(1.0, -1.0, 0.5), bias=0.125)
SCOPED = msgspec.structs.replace(
    PLAIN, scope=SCOPE, recommended=Threshold(of="in_scope", least=0.7, kept=0.95, refused=0.9)
)
INTENT = np.array([2.0, 0.5, -1.0], np.float32)
TAGS = np.array([[3.0, 0.0, 0.0], [0.5, 2.0, 0.0], [0.0, 0.0, 1.5]], np.float32)
SPANS = np.array([[0, 4], [5, 7], [8, 13]], np.int32)
TEXT = "wake at seven"
_LOGITS = st.floats(-1e4, 1e4, width=32)


def parse(calibration: Calibration | None, alternatives: int = 0) -> Parse:
    return LABELS.decoder(calibration).parse(TEXT, TEXT.encode(), INTENT, TAGS, SPANS, alternatives=alternatives)


def softmax(row: np.ndarray) -> np.ndarray:
    powers = np.exp(row.astype(np.float64))
    return powers / powers.sum()


def odds(share: float) -> float:
    return math.log(share / (1 - share))


def test_a_score_is_what_the_formulas_say() -> None:
    share = float(softmax(INTENT)[0])
    tags = [float(softmax(row)[tag]) for row, tag in zip(TAGS, (0, 1, 2), strict=True)]
    right = sigmoid(0.5 * odds(share) + 0.25 * odds(math.prod(tags)) - 1.0)
    found = parse(PLAIN)
    assert found.calibrated
    assert found.in_scope is None
    assert found.score == pytest.approx(right)
    assert found.slots[0].score == pytest.approx(sigmoid(0.5 * odds(tags[1] * tags[2]) + 0.25))


def test_being_in_scope_is_part_of_the_score() -> None:
    shares = softmax(INTENT)
    tags = [float(softmax(row)[tag]) for row, tag in zip(TAGS, (0, 1, 2), strict=True)]
    summary = (
        odds(float(shares[0])),
        odds(math.prod(tags)),
        math.log(np.exp(INTENT.astype(np.float64)).sum()),
        2.0,
        -float((shares * np.log(shares)).sum()),
        sum(map(math.log, tags)) / 3,
        math.log(4),
    )
    assert len(summary) == len(SUMMARY)
    total = 0.125 + float(np.dot(SCOPE.summary, summary)) + float(np.dot(SCOPE.intents, INTENT))
    found, without = parse(SCOPED), parse(PLAIN)
    assert found.in_scope == pytest.approx(sigmoid(total))
    assert found.score == pytest.approx(without.score * sigmoid(total))


def test_the_line_gives_what_lies_between_its_knots() -> None:
    raw = parse(PLAIN).score
    bent = msgspec.structs.replace(PLAIN, knots=((0.0, 0.0), (raw - 0.05, 0.2), (raw + 0.05, 0.4), (1.0, 1.0)))
    assert parse(bent).score == pytest.approx(0.3)


def test_without_a_calibration_it_says_so_and_names_the_softmax() -> None:
    found = parse(None)
    assert (found.calibrated, found.in_scope, found.slots[0].score) == (False, None, None)
    assert found.score == pytest.approx(softmax(INTENT)[0])
    assert "in_scope" not in found.to_dict()
    assert found.to_dict()["calibrated"] is False


def test_alternatives_are_ranked_with_the_intent_of_the_parse_first() -> None:
    named = parse(PLAIN, alternatives=2).alternatives
    assert [each.intent for each in named] == ["alarm", "music"]
    assert named[0].score == pytest.approx(softmax(INTENT / 2.0)[0])
    assert parse(PLAIN).alternatives == ()
    assert [each["intent"] for each in parse(None, alternatives=9).to_dict()["alternatives"]] == list(LABELS.intents)


def test_an_intent_that_the_search_chose_stands_before_larger_logits() -> None:
    ranked = rank_intents(INTENT, 2, 2, 1.0)
    assert [index for index, _ in ranked] == [2, 0]


@given(
    intent=arrays.arrays(np.float32, 3, elements=_LOGITS),
    tags=st.integers(0, 6).flatmap(lambda words: arrays.arrays(np.float32, (words, 3), elements=_LOGITS)),
)
def test_a_calibration_decides_nothing_and_stays_a_probability(intent: np.ndarray, tags: np.ndarray) -> None:
    text = "a " * len(tags)
    spans = np.array([[2 * word, 2 * word + 1] for word in range(len(tags))], np.int32).reshape(-1, 2)
    plain, scoped = (
        LABELS.decoder(each).parse(text, text.encode(), intent, tags, spans, alternatives=3) for each in (None, SCOPED)
    )
    assert (plain.intent, plain.slots) == (scoped.intent, scoped.slots)
    shares = [scoped.score, scoped.in_scope, *(slot.score for slot in scoped.slots)]
    assert all(share is not None and 0.0 <= share <= 1.0 for share in shares)
    assert sum(each.score for each in scoped.alternatives) == pytest.approx(1.0)


@given(st.floats(-1e6, 1e6))
def test_log_odds_and_probabilities_are_each_others_inverse(value: float) -> None:
    share = sigmoid(value)
    assert 0.0 <= share <= 1.0
    if 1e-6 < share < 1 - 1e-6:
        assert log_odds(math.log(share)) == pytest.approx(value, rel=1e-4, abs=1e-4)


def test_a_text_without_words_is_judged_by_its_intent() -> None:
    logarithms = log_probabilities(INTENT, np.zeros((0, 3), np.float32), 0, [])
    described = describe_logits(INTENT, logarithms)
    assert np.isfinite(described).all()
    assert described[-1] == 0.0


@pytest.mark.parametrize(
    ("threshold", "calibration", "outcomes"),
    [
        (None, SCOPED, "ppp"),
        (0.5, None, "ppr"),
        (0.5, SCOPED, "ppr"),
        ("recommended", PLAIN, "ppr"),
        ("recommended", SCOPED, "prp"),
        (0.0, SCOPED, "ppp"),
        (1, SCOPED, "rrr"),
    ],
)
def test_what_does_not_reach_the_threshold_is_rejected(
    threshold: object, calibration: Calibration | None, outcomes: str
) -> None:
    rejection = choose_rejection(threshold, calibration, "a.pqrnn")  # type: ignore[arg-type]
    parses = [
        Parse("a", score, (), "x", False, 1, in_scope=in_scope)
        for score, in_scope in ((0.9, 0.9), (0.6, 0.6), (0.3, 0.8))
    ]
    found = [rejection.apply(each) for each in parses]
    assert "".join(each.outcome[0] for each in found) == outcomes
    assert [each.intent for each in found] == ["a"] * 3
    assert all(("outcome='rejected'" in repr(each)) == (each.outcome == "rejected") for each in found)


def test_a_package_without_calibration_recommends_nothing() -> None:
    with pytest.raises(CalibrationMissingError, match=r"a\.pqrnn: has no calibration.*pqrnn calibrate"):
        choose_rejection("recommended", None, "a.pqrnn")


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan"), "high"])
def test_a_threshold_is_a_probability(threshold: object) -> None:
    with pytest.raises(ValueError, match="min_score is"):
        choose_rejection(threshold, SCOPED, "a.pqrnn")  # type: ignore[arg-type]
    assert Rejection() == choose_rejection(None, None, "a.pqrnn")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"scope": ScopeModel(summary=SCOPE.summary, intents=(1.0,), bias=0.0)}, "another parser's"),
        ({"knots": ((0.0, 0.5), (1.0, 0.4))}, "falls"),
        ({"knots": ((0.5, 0.1), (0.5, 0.4))}, "stands still"),
    ],
)
def test_a_calibration_that_makes_no_sense_is_refused(changes: dict[str, object], match: str) -> None:
    check_calibration(SCOPED, LABELS, "there")
    check_calibration(None, LABELS, "there")
    with pytest.raises(SchemaError, match=match):
        check_calibration(msgspec.structs.replace(SCOPED, **changes), LABELS, "there")


@pytest.mark.parametrize("change", [{"version": 2}, {"knots": [[0.0, 0.0]]}, {"error": 1.5}, {"surprise": 1}])
def test_a_calibration_of_another_form_is_not_read(change: dict[str, object]) -> None:
    document = msgspec.to_builtins(SCOPED)
    assert msgspec.convert(document, Calibration) == SCOPED
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(document | change, Calibration)


def test_a_decoder_of_before_stays_as_it_was() -> None:
    assert Decoder(LABELS.intents, LABELS.tags).calibration is None
