"""How far compiled arithmetic is off from float64, and how far it may be.

The rule by which the errors are judged is in `runtime_py.parity.numerics`: a board judges by it, too. What a device may
differ by from the golden vectors follows from the same measurement: `tolerance`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_py.parity.numerics import BIAS, SPREAD, Numerics

__all__ = ["BIAS", "SPREAD", "TOLERATED", "Numerics", "compare_numerics", "tolerance"]

TOLERATED = 8.0


def compare_numerics(
    compiled: NDArray[Any], single: NDArray[Any], ordered: NDArray[Any], double: NDArray[Any]
) -> Numerics:
    """Measure the errors of the compiled code and of PyTorch in float32.

    Args:
        compiled: Logits of the compiled code, float32[n].
        single: Logits of PyTorch in float32, float32[n].
        ordered: Logits of PyTorch in float32 that sums in order, float32[n].
        double: Logits of PyTorch in float64, float64[n].

    Raises:
        ValueError: The shapes differ, or there is nothing to compare.
    """
    if not (compiled.shape == single.shape == ordered.shape == double.shape) or not double.size:
        shapes = ", ".join(str(part.shape) for part in (compiled, single, ordered, double))
        raise ValueError(f"expected four arrays of one shape that is not empty, got {shapes}")
    usable = np.isfinite(compiled) & np.isfinite(single) & np.isfinite(ordered)
    errors, own, in_order = (
        (part.astype(np.float64) - double)[usable] if usable.any() else np.zeros(1)
        for part in (compiled, single, ordered)
    )
    return Numerics(
        samples=int(double.size),
        bias=float(errors.mean()),
        spread=float(errors.std()),
        largest=float(np.abs(errors).max()),
        framework_bias=float(own.mean()),
        framework_spread=float(own.std()),
        framework_largest=float(np.abs(own).max()),
        ordered_spread=float(in_order.std()),
        not_finite=int((np.isfinite(compiled) != np.isfinite(single)).sum()),
    )


def tolerance(single: NDArray[Any], double: NDArray[Any]) -> tuple[float, str]:
    """Return the largest difference of a logit from the golden vectors on any device, and its derivation in words.

    It is eight times the largest error of float32 in PyTorch, summed in order: another order of summation, or another
    approximation of tanh, on another device has errors of the size of PyTorch's, and a wrong weight, word or layout is
    off by thousands of times that. It is at least the rounding of the stored vectors, which are float32.
    """
    largest = float(np.abs(single.astype(np.float64) - double).max(initial=0.0))
    rounding = float(np.abs(double).max(initial=1.0)) * float(np.finfo(np.float32).eps)
    return max(
        TOLERATED * largest, rounding
    ), f"{TOLERATED:.0f} x the largest error of PyTorch in float32, summed in order, against float64 ({largest:.2e})"
