"""Fitting what turns a network's logits into probabilities (`runtime_py.decode.calibration`), on development data.

No weight of the network and no decision changes. What is estimated of a fit is estimated on utterances that it has not
seen: the development data are cut into five parts, each of which is scored by a fit to the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pqrnn.data.examples import Example
from pqrnn.errors import CalibrationError
from pqrnn.evaluation.frames import frame_of_example, frame_of_parse
from pqrnn.evaluation.metrics import area_under_curve, calibration_error
from pqrnn.evaluation.prediction import Prediction, decide
from runtime_py.decode.calibration import (
    CLIP,
    SUMMARY,
    Calibration,
    Knot,
    RightModel,
    ScopeModel,
    SlotModel,
    Threshold,
    describe_logits,
    log_odds,
    log_probabilities,
)
from runtime_py.decode.decoder import Decoder
from runtime_py.decode.labels import Labels

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

KEPT = 0.96  # share of development utterances that the recommended threshold keeps: 95 % and what chance may take
LEAST, LEAST_OUTSIDE = 50, 20  # utterances and texts out of scope that a fit takes
_FOLDS = 5
_OUTSIDE_SHARE = 0.1  # of all texts that a parser hears, as it is assumed
_FOR_ISOTONIC = 500  # utterances
_STEPS = 20  # bins of the isotonic regression
_RIDGES = (10.0, 100.0, 1000.0)  # pulls standardised weights to zero


class Evidence(NamedTuple):
    """What is known of texts before anything is fitted.

    Attributes:
        odds: Log odds of the intent and of all tags together, [texts, 2].
        summary: `describe_logits` of each, [texts, numbers].
        intents: Logits, [texts, intents].
        slots: Log odds of each slot of all parses, and whether it is right.
    """

    odds: Floats
    summary: Floats
    intents: Floats
    slots: list[tuple[float, bool]]


def fit_calibration(
    labels: Labels,
    examples: Sequence[Example],
    answers: Sequence[Prediction],
    outside: Sequence[Prediction] = (),
    *,
    out_of_scope: str = "",
    data: str = "",
) -> Calibration:
    """Fit a calibration.

    Args:
        labels: Names, frames and counts of the network.
        examples: Development utterances.
        answers: Logits of each.
        outside: Logits of texts that are out of scope; without them nothing is said of the scope.
        out_of_scope: The intent by which gold labels call utterances out of scope; these count as such texts.
        data: Fingerprint of the utterances.

    Raises:
        CalibrationError: There are too few utterances, or texts out of scope.
    """
    decoder = labels.decoder()
    inside_rows = [row for row, example in enumerate(examples) if not out_of_scope or example.intent != out_of_scope]
    outside = [*outside, *(answers[row] for row in sorted(set(range(len(examples))) - set(inside_rows)))]
    examples, answers = [examples[row] for row in inside_rows], [answers[row] for row in inside_rows]
    if len(examples) < LEAST:
        raise CalibrationError(
            f"{len(examples)} development utterances in scope, and a calibration takes {LEAST} at least: give more "
            "with --data or --dev"
        )
    if outside and len(outside) < LEAST_OUTSIDE:
        raise CalibrationError(
            f"{len(outside)} texts out of scope, and a calibration takes {LEAST_OUTSIDE} at least, or none: give more "
            "with --out-of-scope"
        )
    right = are_right(decoder, examples, answers)
    inside = gather_evidence(decoder, answers, examples)
    others = gather_evidence(decoder, outside)
    folds = np.random.default_rng(0).permutation(len(right)) % _FOLDS
    other_folds = np.random.default_rng(1).permutation(len(outside)) % _FOLDS
    # Every utterance is judged by a scope model that has not seen it, so that the line behind it is not fooled.
    scope, scopes, other_scopes = _fit_scope(inside, others, folds, other_folds)
    model = _fit_right(inside.odds, right)
    held_out = _across(folds, lambda rows: _right_shares(_fit_right(inside.odds[rows], right[rows]), inside.odds))
    raw = held_out * scopes
    knots = _fit_knots(raw, right)
    # The figures: the line, too, is fitted to the other parts.
    scores = _across(folds, lambda rows: _interpolate(_fit_knots(raw[rows], right[rows]), raw))
    measure = scopes if scope is not None else _interpolate(knots, raw)
    threshold = float(np.quantile(measure, 1 - KEPT, method="lower"))
    return Calibration(
        temperature=_fit_temperature(labels.intents, examples, inside.intents),
        right=model,
        slots=_fit_slots(inside.slots),
        scope=scope,
        knots=knots,
        recommended=Threshold(
            of="score" if scope is None else "in_scope",
            least=threshold,
            kept=float((measure >= threshold).mean()),
            refused=float((other_scopes < threshold).mean()) if len(outside) else None,
        ),
        utterances=len(right),
        error=calibration_error(scores, right),
        error_before=calibration_error(_sigmoid(inside.odds[:, 0]), right),
        out_of_scope=len(outside),
        data=data,
    )


def refit_calibration(
    before: Calibration | None, labels: Labels, examples: Sequence[Example], answers: Sequence[Prediction]
) -> Calibration | None:
    """Return a calibration for a parser whose weights have changed, where it had one.

    Texts out of scope are not at hand any more, so that nothing is said of the scope.
    """
    return None if before is None or len(examples) < LEAST else fit_calibration(labels, examples, answers)


def are_right(decoder: Decoder, examples: Sequence[Example], answers: Sequence[Prediction]) -> Bools:
    """Say of each utterance whether its parse is right, intent and all slots."""
    parses = decide(decoder, [example.text for example in examples], answers)
    return np.array(
        [frame_of_parse(parse) == frame_of_example(each) for parse, each in zip(parses, examples, strict=True)], bool
    )


def gather_evidence(
    decoder: Decoder, answers: Sequence[Prediction], examples: Sequence[Example] | None = None
) -> Evidence:
    """Return what is known of texts; with gold labels also of their slots."""
    odds, summary, slots = [], [], []
    for index, answer in enumerate(answers):
        best, chosen = decoder.choose_tags(answer.intent, answer.tags)
        logarithms = log_probabilities(answer.intent, answer.tags, best, chosen)
        described = describe_logits(answer.intent, logarithms)
        odds.append(described[:2])
        summary.append(described)
        if examples is None:
            continue
        text = examples[index].text
        gold = frame_of_example(examples[index])[1]
        parse = decoder.parse(text, text.encode(errors="replace"), answer.intent, answer.tags, answer.spans)
        for run, slot in zip(decoder.scheme.spans(chosen), parse.slots, strict=True):
            total = float(logarithms.tags[run.start : run.end + 1].sum())
            slots.append((log_odds(total), (slot.label, slot.start, slot.end) in gold))
    intents = np.array([answer.intent for answer in answers], np.float64).reshape(len(answers), len(decoder.intents))
    return Evidence(
        np.array(odds, np.float64).reshape(-1, 2),
        np.array(summary, np.float64).reshape(-1, len(SUMMARY)),
        intents,
        slots,
    )


def _fit_right(odds: Floats, right: Bools) -> RightModel:
    intent, tags, bias = fit_logistic(odds, right, ridge=1.0)
    return RightModel(intent=intent, tags=tags, bias=bias)


def _right_shares(model: RightModel, odds: Floats) -> Floats:
    return _sigmoid(odds @ np.array([model.intent, model.tags]) + model.bias)


def _fit_slots(slots: Sequence[tuple[float, bool]]) -> SlotModel | None:
    if len(slots) < LEAST:
        return None
    weight, bias = fit_logistic(np.array([[odds] for odds, _ in slots]), np.array([hit for _, hit in slots]), ridge=1.0)
    return SlotModel(tags=weight, bias=bias)


def _fit_scope(
    inside: Evidence, others: Evidence, folds: npt.NDArray[np.int64], other_folds: npt.NDArray[np.int64]
) -> tuple[ScopeModel | None, Floats, Floats]:
    """Return the model, and the probabilities of both groups by models that have not seen them."""
    if not len(others.odds):
        return None, np.ones(len(inside.odds)), np.ones(0)
    mine, theirs = np.hstack([inside.summary, inside.intents]), np.hstack([others.summary, others.intents])
    tried = []
    for ridge in _RIDGES:
        first, second = np.zeros(len(mine)), np.zeros(len(theirs))
        for fold in range(_FOLDS):
            weights = _separate(mine[folds != fold], theirs[other_folds != fold], ridge)
            first[folds == fold] = mine[folds == fold] @ weights[:-1] + weights[-1]
            second[other_folds == fold] = theirs[other_folds == fold] @ weights[:-1] + weights[-1]
        tried.append((area_under_curve(first, second, resamples=1).value, -ridge, first, second))
    _, ridge, first, second = max(tried, key=lambda each: each[:2])
    *weights, bias = _separate(mine, theirs, -ridge).tolist()
    model = ScopeModel(summary=tuple(weights[: len(SUMMARY)]), intents=tuple(weights[len(SUMMARY) :]), bias=bias)
    return model, _sigmoid(first), _sigmoid(second)


def _separate(inside: Floats, outside: Floats, ridge: float) -> Floats:
    """Return weights and bias that tell two groups apart, the second of which is `_OUTSIDE_SHARE` of all texts."""
    rows = np.vstack([inside, outside])
    hits = np.arange(len(rows)) < len(inside)
    shares = np.where(hits, (1 - _OUTSIDE_SHARE) / len(inside), _OUTSIDE_SHARE / len(outside)) * len(rows)
    return np.array(fit_logistic(rows, hits, ridge=ridge, shares=shares))


def fit_logistic(rows: Floats, hits: Bools, *, ridge: float, shares: Floats | None = None) -> list[float]:
    """Return the weights and, last, the bias of a logistic regression, by Newton's method.

    Args:
        rows: Inputs, [rows, columns].
        hits: Which rows are to have a high probability.
        ridge: Pulls the weights of standardised columns to zero.
        shares: How much each row counts; by default 1.
    """
    mean, spread = rows.mean(0), rows.std(0)
    spread[spread < 1e-9] = 1.0
    inputs = np.hstack([(rows - mean) / spread, np.ones((len(rows), 1))])
    counts = np.ones(len(rows)) if shares is None else shares
    # Targets that are a little less than sure (Platt 1999) keep the weights finite where the groups are apart.
    targets = np.where(hits, (hits.sum() + 1) / (hits.sum() + 2), 1 / ((~hits).sum() + 2))
    penalty = np.full(inputs.shape[1], ridge)
    penalty[-1] = 1e-6
    weights = np.zeros(inputs.shape[1])
    for _ in range(50):
        shown = _sigmoid(inputs @ weights)
        slope = inputs.T @ (counts * (targets - shown)) - penalty * weights
        bend = (inputs * (counts * np.maximum(shown * (1 - shown), 1e-6))[:, None]).T @ inputs + np.diag(penalty)
        step = np.linalg.solve(bend, slope)
        weights += np.clip(step, -5, 5)
        if np.abs(step).max() < 1e-8:
            break
    scaled = weights[:-1] / spread
    return [*scaled.tolist(), float(weights[-1] - scaled @ mean)]


def _fit_knots(shares: Floats, right: Bools) -> tuple[Knot, ...]:
    """Return the line from a probability to the share of parses that are right."""
    if len(shares) < _FOR_ISOTONIC or right.all() or not right.any():
        odds = np.clip(np.log(np.maximum(shares, 1e-9) / np.maximum(1 - shares, 1e-9)), -CLIP, CLIP)
        weight, bias = fit_logistic(odds[:, None], right, ridge=1.0)
        places = np.linspace(-8, 8, 33)
        return tuple(
            (float(x), float(y))
            for x, y in zip(_sigmoid(places), _sigmoid(max(weight, 0.0) * places + bias), strict=True)
        )
    order = np.argsort(shares, kind="stable")
    blocks: list[tuple[float, float, int]] = []  # mean probability, share that is right, utterances
    for rows in np.array_split(order, _STEPS):
        blocks.append((float(shares[rows].mean()), float(right[rows].mean()), len(rows)))
        while len(blocks) > 1 and blocks[-2][1] >= blocks[-1][1]:  # neighbours that do not grow are pooled
            (x, y, n), (other_x, other_y, m) = blocks[-2:]
            blocks[-2:] = [((x * n + other_x * m) / (n + m), (y * n + other_y * m) / (n + m), n + m)]
    ends = [(0.0, 0.0)] if blocks[0][0] > 0 else []
    return (*ends, *((x, y) for x, y, _ in blocks), *([(1.0, blocks[-1][1])] if blocks[-1][0] < 1 else []))


def _fit_temperature(names: Sequence[str], examples: Sequence[Example], intents: Floats) -> float:
    """Return the temperature under which the gold intents are most probable."""
    rows = [row for row, example in enumerate(examples) if example.intent in names]
    if not rows:
        return 1.0
    logits = intents[rows]
    gold = np.array([names.index(examples[row].intent) for row in rows])
    candidates = np.exp(np.linspace(np.log(0.25), np.log(8.0), 71))

    def loss(temperature: float) -> float:
        scaled = logits / temperature
        scaled = scaled - scaled.max(1, keepdims=True)
        return float((np.log(np.exp(scaled).sum(1)) - scaled[np.arange(len(gold)), gold]).mean())

    return float(min(candidates, key=loss))


def _across(folds: npt.NDArray[np.int64], score: Callable[[Bools], Floats]) -> Floats:
    """Return scores of all rows, those of each fold from a fit to the rows of the others."""
    scores = np.zeros(len(folds))
    for fold in range(_FOLDS):
        scores[folds == fold] = score(folds != fold)[folds == fold]
    return scores


def _interpolate(knots: Sequence[Knot], shares: Floats) -> Floats:
    return np.interp(shares, [x for x, _ in knots], [y for _, y in knots])


def _sigmoid(values: Floats) -> Floats:
    return 1.0 / (1.0 + np.exp(-np.clip(values, -60, 60)))
