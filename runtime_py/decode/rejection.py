"""Rejecting parses that are too improbable: they are answered, too, as the best guess, and say so."""

from dataclasses import replace
from typing import Literal, NamedTuple

from runtime_py.decode.answers import Parse
from runtime_py.decode.calibration import Calibration
from runtime_py.errors import CalibrationMissingError

MinScore = float | Literal["recommended"]


class Rejection(NamedTuple):
    """The least probabilities of a parse that is not rejected.

    Attributes:
        min_score: Least score.
        min_in_scope: Least probability of being in scope.
    """

    min_score: float = 0.0
    min_in_scope: float = 0.0

    def apply(self, parse: Parse) -> Parse:
        """Return a parse with its outcome."""
        in_scope = 1.0 if parse.in_scope is None else parse.in_scope
        if parse.score >= self.min_score and in_scope >= self.min_in_scope:
            return parse
        return replace(parse, outcome="rejected")


def choose_rejection(min_score: MinScore | None, calibration: Calibration | None, where: str) -> Rejection:
    """Return what a threshold of `Parser.load` means.

    Args:
        min_score: The threshold; None rejects nothing.
        calibration: That of the package.
        where: How an error message calls the package.

    Raises:
        CalibrationMissingError: The recommended threshold is wanted, and there is no calibration.
        ValueError: It is neither a probability nor ``recommended``.
    """
    if min_score is None:
        return Rejection()
    if min_score == "recommended":
        if calibration is None:
            raise CalibrationMissingError(
                f"{where}: has no calibration, so no threshold is recommended. Give min_score a number, or calibrate "
                "the parser (`pqrnn calibrate`) and compile it again."
            )
        least = calibration.recommended.least
        return Rejection(min_in_scope=least) if calibration.recommended.of == "in_scope" else Rejection(least)
    if isinstance(min_score, str) or not 0.0 <= min_score <= 1.0:
        raise ValueError(f"min_score is {min_score!r}, expected a probability from 0 to 1, or 'recommended'")
    return Rejection(float(min_score))
