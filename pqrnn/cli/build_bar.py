"""How a build is shown while it runs: a line for every stage, the bars of its trainings, and the time that is left."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from pqrnn.building.plan import Stage
from pqrnn.building.reporting import BuildReporter
from pqrnn.building.state import StageResult
from pqrnn.cli.progress import format_seconds, show_progress
from pqrnn.cli.training_bar import TrainingBar


class BuildBar(BuildReporter, AbstractContextManager[Any]):
    """Passes trainings on to a `TrainingBar`, and adds what concerns the whole build."""

    def __init__(self, *, quiet: bool) -> None:
        """`quiet`: say nothing."""
        self._quiet = quiet
        self._bar = TrainingBar(quiet=quiet)
        self._compiling: Any = None
        self._open = ExitStack()
        self._total = 0

    def __exit__(self, *_: object) -> None:
        """Take the bars away."""
        self._open.close()
        self._bar.clear()

    def plan(self, stages: Sequence[Stage], finished: Sequence[str]) -> None:
        """Say what was finished before."""
        self._total = len(stages)
        if finished:
            self.note(f"{len(finished)} of {len(stages)} stages were finished before")

    def note(self, text: str) -> None:
        """Print a line."""
        self._bar.note(text)

    def stage(self, position: int, stage: Stage) -> None:
        """Name the stage."""
        self.note(f"[{position}/{self._total}] {stage.name}: {stage.text}")
        if stage.kind == "compile":
            self._compiling = self._open.enter_context(show_progress(self._quiet))

    def end_stage(self, stage: Stage, result: StageResult) -> None:
        """Say what the stage gave."""
        self._open.close()
        self._bar.clear()
        self.note(f"      {describe_result(result)}")

    def compiling(self, step: Any) -> None:
        """Show a step of the compilation."""
        if self._compiling is not None:
            self._compiling(step)

    def remaining(self, seconds: float, known: bool) -> None:
        """Show what is left of the whole build; without an estimate for a later stage it is a lower bound."""
        self._bar.more = f"  build: {'' if known else 'more than '}{format_seconds(seconds)} left"

    def start(self, total: int, done: int, text: str) -> None:
        """Draw the bar of a training."""
        self._bar.start(total, done, text)

    def step(self, done: int, loss: float) -> None:
        """Move it."""
        self._bar.step(done, loss)

    def epoch(self, record: dict[str, Any]) -> None:
        """Show the score of an epoch."""
        self._bar.epoch(record)

    def answers(self, done: int, total: int) -> None:
        """Show how many texts the teacher has answered."""
        self._bar.answers(done, total)


def describe_result(result: StageResult) -> str:
    """Return what a stage gave, as one line."""
    parts = []
    if result.skipped:
        parts.append("skipped")
    if result.dev:
        parts.append(f"development exact match {result.exact_match:.2%}")
    if result.note:
        parts.append(result.note)
    if result.seconds:
        parts.append(format_seconds(result.seconds))
    return ", ".join(parts)
