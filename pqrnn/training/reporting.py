"""What a training run tells while it goes, and what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple


class TrainingReporter:
    """Told how a run goes. The default says nothing; the command line draws a progress bar."""

    def note(self, text: str) -> None:
        """Something that a person has to know, such as how the data were split."""

    def answers(self, done: int, total: int) -> None:
        """While teachers answer: texts answered so far, and all."""

    def start(self, total: int, done: int, text: str) -> None:
        """`total` steps, of which `done` were made before; `text` describes data and model."""

    def step(self, done: int, loss: float) -> None:
        """After every step: steps done so far and the loss."""

    def epoch(self, record: dict[str, Any]) -> None:
        """After every epoch: its record, as in the log."""


class TrainingOutcome(NamedTuple):
    """What came of a training run.

    Attributes:
        folder: Where the trained parser is.
        metrics: Its development scores, as in a checkpoint.
        ended: Why training ended: "done", "early stop" (patience), "ended early" (a person ended it) or "was finished".
    """

    folder: Path
    metrics: dict[str, Any]
    ended: str
