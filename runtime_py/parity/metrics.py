"""Intent accuracy, slot F1 and exact match, and shares of another's, each with a bootstrap interval. NumPy only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from runtime_py.decode.answers import Parse

Frame = tuple[str, tuple[tuple[str, int, int], ...]]
"""What an utterance means: its intent and its slots, sorted, as (label, start, end) in code points.

A slot may stand twice, and then has to.
"""

Counts = npt.NDArray[np.int64]
"""One row for each utterance: exact match, intent right, slots right, slots predicted, slots of the gold labels."""


class Estimate(NamedTuple):
    """A measured share of 1 with its 95 % bootstrap interval over `n` utterances."""

    value: float
    low: float
    high: float
    n: int


class Scores(NamedTuple):
    """The scores of parses.

    `exact_match` has intent and every slot right at once (MTOP, arXiv:2008.09335); `slot_f1` is the micro F1 over spans
    (CoNLL, seqeval).
    """

    exact_match: Estimate
    intent_accuracy: Estimate
    slot_f1: Estimate

    def as_dict(self) -> dict[str, dict[str, float]]:
        """Return plain numbers for JSON."""
        return {name: {k: round(v, 6) for k, v in figure._asdict().items()} for name, figure in self._asdict().items()}


def frame_of_parse(parse: Parse) -> Frame:
    """Return what a parse says."""
    return parse.intent, tuple(sorted((slot.label, slot.start, slot.end) for slot in parse.slots))


def score_frames(gold: Sequence[Frame], predicted: Sequence[Frame], *, resamples: int = 1000, seed: int = 0) -> Scores:
    """Compare frames one by one.

    Gold slots that no tagger can produce (overlapping, or ending inside a word) stay as they are, so they can only
    count as wrong.

    Raises:
        ValueError: the two differ in length or are empty.
    """
    return score_counts(count_frames(gold, predicted), resamples=resamples, seed=seed)


def count_frames(gold: Sequence[Frame], predicted: Sequence[Frame]) -> Counts:
    """Return what scores are made of, one row for each utterance.

    Raises:
        ValueError: the two differ in length or are empty.
    """
    if len(gold) != len(predicted) or not gold:
        raise ValueError(f"need equally many frames, at least one: {len(gold)} gold, {len(predicted)} predicted")
    return np.array([_count(g, p) for g, p in zip(gold, predicted, strict=True)], dtype=np.int64)


def score_counts(counts: Counts, *, resamples: int = 1000, seed: int = 0) -> Scores:
    """Return the scores of counts, as `score_frames` does of frames."""
    n = len(counts)
    draws = np.random.default_rng(seed).integers(0, n, (resamples, n))
    sums = np.stack([counts[draw].sum(0) for draw in draws])
    total = counts.sum(0)
    return Scores(
        make_estimate(total[0] / n, sums[:, 0] / n, n),
        make_estimate(total[1] / n, sums[:, 1] / n, n),
        make_estimate(_f1(total), np.array([_f1(s) for s in sums]), n),
    )


def retention(student: Counts, teacher: Counts, *, resamples: int = 1000, seed: int = 0) -> Estimate:
    """Return the student's exact match as a share of the teacher's, on the same utterances.

    The bootstrap is paired: each resample draws utterances, with the answers of both. Where the teacher is right about
    nothing, the share is that of two zeros: 1.

    Raises:
        ValueError: the two differ in length or are empty.
    """
    if len(student) != len(teacher) or not len(student):
        raise ValueError(f"need equally many rows, at least one: {len(student)} student, {len(teacher)} teacher")
    n = len(student)
    draws = np.random.default_rng(seed).integers(0, n, (resamples, n))
    mine, theirs = student[:, 0][draws].sum(1), teacher[:, 0][draws].sum(1)
    shares = np.where(theirs > 0, mine / np.maximum(theirs, 1), 1.0)
    known = int(teacher[:, 0].sum())
    return make_estimate(float(student[:, 0].sum()) / known if known else 1.0, shares, n)


def _count(gold: Frame, predicted: Frame) -> tuple[int, int, int, int, int]:
    same = gold[0] == predicted[0]
    return (
        int(same and gold[1] == predicted[1]),
        int(same),
        (Counter(gold[1]) & Counter(predicted[1])).total(),
        len(predicted[1]),
        len(gold[1]),
    )


def _f1(sums: npt.NDArray[np.int64]) -> float:
    return float(2 * sums[2] / max(sums[3] + sums[4], 1))


def make_estimate(value: float, resampled: npt.NDArray[np.float64], n: int) -> Estimate:
    """Return a figure with the 95 % interval of its resamples."""
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Estimate(float(value), float(low), float(high), n)
