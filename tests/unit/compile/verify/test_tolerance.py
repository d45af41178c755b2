"""The judgement of errors: what must pass, what must not."""

from __future__ import annotations

import numpy as np
import pytest

from compile.lowering.processor import enabled_features
from compile.verify.tolerance import Numerics, compare_numerics, tolerance

RNG = np.random.default_rng(7)
TRUTH = RNG.normal(size=20_000)


def noisy(spread: float, bias: float = 0.0) -> np.ndarray:
    return TRUTH + RNG.normal(scale=spread, size=TRUTH.size) + bias


def judge(compiled: np.ndarray, single: float = 1e-6, ordered: float = 1.5e-6) -> Numerics:
    return compare_numerics(compiled, noisy(single), noisy(ordered), TRUTH)


def test_errors_like_those_of_the_framework_pass() -> None:
    assert judge(noisy(1e-6)).failures() == []
    assert judge(noisy(1.5e-6)).failures() == []
    assert judge(TRUTH).failures() == []


def test_a_wider_spread_fails() -> None:
    assert "spread of the error" in judge(noisy(2.1e-6)).failures()[0]
    assert judge(noisy(1.5e-6), ordered=1e-6).failures()


def test_a_bias_fails_though_it_is_smaller_than_the_spread() -> None:
    assert judge(noisy(1e-6, bias=0.2e-6)).failures() == []
    assert "biased" in judge(noisy(1e-6, bias=0.8e-6)).failures()[0]


def test_a_bias_that_the_framework_has_too_passes() -> None:
    assert compare_numerics(noisy(1e-6, 0.8e-6), noisy(1e-6, 0.9e-6), noisy(1e-6), TRUTH).failures() == []


def test_numbers_that_are_finite_in_one_only_fail() -> None:
    broken = noisy(1e-6)
    broken[3] = np.nan
    broken[4] = np.inf
    assert judge(broken).failures() == [
        "2 logits are finite in PyTorch and not in the compiled code, or the other way round"
    ]
    assert judge(np.full_like(TRUTH, np.nan)).not_finite == TRUTH.size


def test_figures_are_those_of_the_errors() -> None:
    found = compare_numerics(TRUTH + 3.0, TRUTH - 1.0, TRUTH, TRUTH)
    assert found.bias == pytest.approx(3.0)
    assert found.largest == pytest.approx(3.0)
    assert found.spread == pytest.approx(0.0, abs=1e-12)
    assert found.framework_bias == pytest.approx(-1.0)
    assert found.figures()["samples"] == TRUTH.size


def test_shapes_have_to_agree() -> None:
    with pytest.raises(ValueError, match="one shape"):
        compare_numerics(TRUTH, TRUTH[1:], TRUTH, TRUTH)
    with pytest.raises(ValueError, match="not empty"):
        compare_numerics(*[np.zeros(0)] * 4)


def test_tolerance_follows_the_framework_and_never_undercuts_the_stored_rounding() -> None:
    limit, basis = tolerance(TRUTH + np.where(np.arange(TRUTH.size) == 5, 1e-3, 0.0), TRUTH)
    assert limit == pytest.approx(8e-3)
    assert "1.00e-03" in basis
    assert tolerance(TRUTH, TRUTH)[0] == pytest.approx(np.abs(TRUTH).max() * np.finfo(np.float32).eps)


def test_the_last_mention_of_a_feature_counts() -> None:
    assert enabled_features("+avx,+avx2,-avx,+fma,-avx2,+avx2") == {"avx2", "fma"}
    assert enabled_features("") == frozenset()
