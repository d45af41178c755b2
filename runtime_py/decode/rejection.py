"""Rejecting parses that are too improbable: they are answered, too, as the best guess, and say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from runtime_py.decode.answers import Parse
from runtime_py.errors import CalibrationMissingError

if TYPE_CHECKING:
    from runtime_py.decode.calibration import Calibration

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
        from dataclasses import replace  # a native parser starts without it

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
    least = read_threshold(min_score)
    if least is not None:
        return Rejection(least)
    if calibration is None:
        raise CalibrationMissingError(nothing_recommended(where, "compile"))
    recommended = calibration.recommended
    of_scope = recommended.of == "in_scope"
    return Rejection(min_in_scope=recommended.least) if of_scope else Rejection(recommended.least)


def read_threshold(min_score: MinScore | None) -> float | None:
    """Return the least score that a threshold of `Parser.load` means, or None for the recommended one.

    Raises:
        ValueError: It is neither a probability nor ``recommended``.
    """
    if min_score is None:
        return 0.0
    if min_score == "recommended":
        return None
    if isinstance(min_score, str) or not 0.0 <= min_score <= 1.0:
        raise ValueError(f"min_score is {min_score!r}, expected a probability from 0 to 1, or 'recommended'")
    return float(min_score)


def nothing_recommended(where: str, made_by: str) -> str:
    """Return what to say where the recommended threshold is wanted, and there is no calibration.

    Args:
        where: Name of the package or folder.
        made_by: Command that made it.
    """
    return (
        f"{where}: has no calibration, so no threshold is recommended. Give min_score a number, or calibrate the "
        f"parser (`pqrnn calibrate`) and {made_by} it again."
    )
