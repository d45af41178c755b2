"""The metrics of parses, which a board computes, too (`runtime_py.parity.metrics`), and what else training looks at.

NumPy only.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from runtime_py.parity.metrics import Estimate, Frame, Scores, count_frames, make_estimate, score_frames

__all__ = [
    "Estimate",
    "Frame",
    "Scores",
    "area_under_curve",
    "calibration_error",
    "count_frames",
    "find_repeated",
    "score_frames",
]

BINS = 15  # of the expected calibration error, as usual since Guo et al. 2017


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
    return make_estimate(whole, np.array([draw() for _ in range(resamples)]), len(high) + len(low))


def find_repeated(texts: Sequence[str], known: Iterable[Hashable]) -> npt.NDArray[np.bool_]:
    """Say for each text whether its lower-cased form is among `known` (lower-cased training texts)."""
    seen = set(known)
    return np.array([text.lower() in seen for text in texts], dtype=bool)


def calibration_error(scores: npt.ArrayLike, right: npt.ArrayLike, bins: int = BINS) -> float:
    """Return the expected calibration error.

    That is how far the mean score of the parses with about the same score is from the share of them that is right, on
    average over all (Naeini et al. 2015); bins have equal widths.
    """
    shares, hits = np.asarray(scores, np.float64), np.asarray(right, np.float64)
    places = np.minimum((shares * bins).astype(int), bins - 1)
    sums = np.bincount(places, shares - hits, minlength=bins)
    return float(np.abs(sums).sum() / max(len(shares), 1))
