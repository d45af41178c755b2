"""What a build tells while it goes, and how long it may still take."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from pqrnn.building.plan import Stage
from pqrnn.building.state import StageResult
from pqrnn.training.reporting import TrainingReporter

_STEPS_BEFORE_A_RATE = 20  # the first steps are slow: memory is allocated, code is loaded


class BuildReporter(TrainingReporter):
    """Told how a build goes. The default says nothing; the command line draws progress bars."""

    def plan(self, stages: Sequence[Stage], finished: Sequence[str]) -> None:
        """At the start: all stages in order, and the names of those that an earlier call finished."""

    def stage(self, position: int, stage: Stage) -> None:
        """At the start of a stage: its position, counted from 1."""

    def end_stage(self, stage: Stage, result: StageResult) -> None:
        """After a stage, also one that was skipped."""

    def remaining(self, seconds: float, known: bool) -> None:
        """Now and then: seconds that the build may still take; `known` is False where a later stage has no estimate."""

    def compiling(self, step: Any) -> None:
        """At every step of the compilation (`compile.support.progress.Progress`)."""


class Clock(TrainingReporter):
    """Measures what an optimizer step costs in each kind of stage, estimates what is left, and passes everything on."""

    def __init__(self, stages: Sequence[Stage], reporter: BuildReporter) -> None:
        """Begin without any rate.

        Args:
            stages: All stages of the build.
            reporter: Is told everything, and what is left.
        """
        self._stages, self._reporter = list(stages), reporter
        self._rates: dict[str, float] = {}
        self._position = 0
        self._total = self._done = self._first = 0
        self._begun = self._told = 0.0
        self._measuring = False

    def enter(self, stage: Stage) -> None:
        """Note which stage runs."""
        self._position = self._stages.index(stage)
        self._total = self._done = 0

    def note(self, text: str) -> None:
        """Pass a note on."""
        self._reporter.note(text)

    def answers(self, done: int, total: int) -> None:
        """Pass the teacher's progress on."""
        self._reporter.answers(done, total)

    def start(self, total: int, done: int, text: str) -> None:
        """Start measuring."""
        self._total, self._done, self._first, self._measuring = total, done, done, False
        self._reporter.start(total, done, text)

    def step(self, done: int, loss: float) -> None:
        """Measure a step, and tell what is left every second."""
        self._done = done
        now = time.monotonic()
        if self._measuring:
            self._rates[self._stages[self._position].kind] = (now - self._begun) / (done - self._first)
        elif done - self._first >= _STEPS_BEFORE_A_RATE:
            self._first, self._begun, self._measuring = done, now, True
        self._reporter.step(done, loss)
        if now - self._told > 1.0:
            self._told = now
            self._reporter.remaining(*self.estimate())

    def epoch(self, record: dict[str, Any]) -> None:
        """Pass the record on."""
        self._reporter.epoch(record)

    def estimate(self) -> tuple[float, bool]:
        """Return the seconds left, and whether every later stage that takes steps has a measured rate.

        A parser's step costs about the same whatever it learns from, so "train" and "distill" stand in for each other.
        Stages without steps (labelling, compiling) are not counted.
        """
        seconds, known = 0.0, True
        for position, stage in enumerate(self._stages[self._position :], start=self._position):
            steps = self._total - self._done if position == self._position else stage.steps
            other = {"train": "distill", "distill": "train"}.get(stage.kind, "")
            rate = self._rates.get(stage.kind, self._rates.get(other))
            if rate is None:
                known = known and not steps
            else:
                seconds += rate * steps
        return seconds, known
