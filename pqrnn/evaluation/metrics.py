"""Intent accuracy, slot F1 and exact match, each with a bootstrap interval. NumPy only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Frame = tuple[str, tuple[tuple[str, int, int], ...]]
"""What an utterance means: its intent and its slots, sorted, as (label, start, end) in code points.

A slot may stand twice, and then has to.
"""


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


def score_frames(gold: Sequence[Frame], predicted: Sequence[Frame], *, resamples: int = 1000, seed: int = 0) -> Scores:
    """Compare frames one by one.

    Gold slots that no tagger can produce (overlapping, or ending inside a word) stay as they are, so they can only
    count as wrong.

    Raises:
        ValueError: the two differ in length or are empty.
    """
    if len(gold) != len(predicted) or not gold:
        raise ValueError(f"need equally many frames, at least one: {len(gold)} gold, {len(predicted)} predicted")
    counts = np.array([_count(g, p) for g, p in zip(gold, predicted, strict=True)], dtype=np.int64)
    draws = np.random.default_rng(seed).integers(0, len(gold), (resamples, len(gold)))
    sums = np.stack([counts[draw].sum(0) for draw in draws])
    total = counts.sum(0)
    n = len(gold)
    return Scores(
        _interval(total[0] / n, sums[:, 0] / n, n),
        _interval(total[1] / n, sums[:, 1] / n, n),
        _interval(_f1(total), np.array([_f1(s) for s in sums]), n),
    )


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


def _interval(value: float, resampled: npt.NDArray[np.float64], n: int) -> Estimate:
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Estimate(float(value), float(low), float(high), n)


def area_under_curve(
    inside: npt.ArrayLike, outside: npt.ArrayLike, *, resamples: int = 1000, seed: int = 0
) -> Estimate:
    """Return the area under the ROC curve.

    That is how often a score from inside is above one from outside, equal ones counting half. The interval is a
    bootstrap over both groups; `n` counts both.

    Raises:
        ValueError: a group is empty.
    """
    high, low = np.asarray(inside, np.float64), np.sort(np.asarray(outside, np.float64))
    if not len(high) or not len(low):
        raise ValueError(f"need scores of both groups: {len(high)} inside, {len(low)} outside")
    # How many of `low` each of `high` is above, and how many it is equal to, once; a resample then only counts.
    values, indices = np.unique(low, return_inverse=True)
    above, upto = np.searchsorted(values, high, "left"), np.searchsorted(values, high, "right")
    rng = np.random.default_rng(seed)

    def area(counts: npt.NDArray[np.float64], chosen: npt.NDArray[np.int64] | slice) -> float:
        below = np.concatenate([[0.0], counts.cumsum()])
        return float((below[above[chosen]] + below[upto[chosen]]).mean() / (2 * len(low)))

    def draw() -> float:
        counts = np.bincount(indices[rng.integers(0, len(low), len(low))], minlength=len(values)).astype(np.float64)
        return area(counts, rng.integers(0, len(high), len(high)))

    whole = area(np.bincount(indices, minlength=len(values)).astype(np.float64), slice(None))
    return _interval(whole, np.array([draw() for _ in range(resamples)]), len(high) + len(low))


def find_repeated(texts: Sequence[str], known: Iterable[Hashable]) -> npt.NDArray[np.bool_]:
    """Say for each text whether its lower-cased form is among `known` (lower-cased training texts)."""
    seen = set(known)
    return np.array([text.lower() in seen for text in texts], dtype=bool)
