"""Whether compiled arithmetic is as good as PyTorch's, judged by errors against float64, never by a guessed tolerance.

Both the compiled code and PyTorch in float32 differ from the same program in float64. The compiled code passes when

* it has no bias: the mean of its error is at most `BIAS` standard deviations of that error, or at most the magnitude of
  PyTorch's own mean error. The bound is half a standard deviation because roundings are not independent: all errors of
  one label's logit go through the same row of weights, and with a handful of labels their mean is 0.1 to 0.2 standard
  deviations off by chance;
* its spread is that of float32: the standard deviation of its error is at most `SPREAD` times that of PyTorch, or of
  PyTorch made to sum every product of matrices in order, whichever is larger. Compiled code on a CPU sums in order, and
  PyTorch's library in blocks, which has smaller errors: on this model the compiled code and the ordered sum both spread
  1.5 times as far as PyTorch, so a bound on PyTorch alone would refuse right code or accept wrong code;
* it is finite exactly where PyTorch is.

(After the numerics checks of iree-turbine's kernel tests, which compare with the framework alone.)
"""

from __future__ import annotations

from dataclasses import dataclass

BIAS = 0.5
SPREAD = 1.2


@dataclass(frozen=True, slots=True)
class Numerics:
    """Errors of logits against float64.

    Attributes:
        samples: Number of logits compared.
        bias: Mean error of the compiled code.
        spread: Standard deviation of the compiled code's error.
        largest: Largest magnitude of the compiled code's error.
        framework_bias: Mean error of PyTorch in float32.
        framework_spread: Standard deviation of the error of PyTorch in float32.
        framework_largest: Largest magnitude of the error of PyTorch in float32.
        ordered_spread: Standard deviation of the error of PyTorch in float32 that sums in order.
        not_finite: Number of logits that are finite in only one of the two.
    """

    samples: int
    bias: float
    spread: float
    largest: float
    framework_bias: float
    framework_spread: float
    framework_largest: float
    ordered_spread: float
    not_finite: int

    def failures(self) -> list[str]:
        """Return the rules that are broken, in words."""
        failures = []
        if self.not_finite:
            failures.append(
                f"{self.not_finite} logits are finite in PyTorch and not in the compiled code, or the other way round"
            )
        if abs(self.bias) > max(BIAS * self.spread, abs(self.framework_bias)):
            failures.append(
                f"biased: mean error {self.bias:.2e} at a spread of {self.spread:.2e} "
                f"(PyTorch: {self.framework_bias:.2e})"
            )
        if self.spread > SPREAD * max(self.framework_spread, self.ordered_spread):
            failures.append(
                f"spread of the error {self.spread:.2e}, over {SPREAD} times PyTorch's ({self.framework_spread:.2e}, "
                f"{self.ordered_spread:.2e} summed in order)"
            )
        return failures

    def figures(self) -> dict[str, float]:
        """Return the figures for the manifest, by name."""
        return {
            "samples": float(self.samples),
            "bias": self.bias,
            "spread": self.spread,
            "largest": self.largest,
            "framework_bias": self.framework_bias,
            "framework_spread": self.framework_spread,
            "framework_largest": self.framework_largest,
            "ordered_spread": self.ordered_spread,
        }
