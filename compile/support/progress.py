"""Progress reports of a compilation."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

STAGES = ("plan", "golden", "export", "import", "compile", "verify", "package")
State = Literal["running", "done", "failed"]


@dataclass(frozen=True, slots=True)
class Progress:
    """A progress report.

    Attributes:
        stage: Name of the stage, one of `STAGES`.
        detail: Current work, or how it ended.
        done: Number of steps that are done.
        total: Number of all steps.
        target: Target that the report is about; empty for steps that all targets have in common.
        state: State of that target.
    """

    stage: str
    detail: str
    done: int
    total: int
    target: str = ""
    state: State = "running"


class Reporter:
    """Counts steps and reports them; reports of several threads are made one after the other."""

    def __init__(self, tell: Callable[[Progress], None]) -> None:
        """Report nothing yet.

        Args:
            tell: Called with every report.
        """
        self._tell = tell
        self._lock = threading.Lock()
        self._open: dict[str, int] = {}  # number of steps that are left, by target
        self.done = self.total = 0

    def expect(self, steps: int) -> None:
        """Add to the number of steps that all targets have in common."""
        self.total += steps

    def expect_targets(self, names: Iterable[str]) -> None:
        """Add the steps of targets, two for each: to compile and to verify."""
        self._open = dict.fromkeys(names, 2)
        self.total += sum(self._open.values())

    def step(self, stage: str, detail: str) -> None:
        """Report that another common step begins."""
        with self._lock:
            self._tell(Progress(stage, detail, self.done, max(self.total, self.done)))
            self.done += 1

    def target(self, name: str, stage: str, detail: str, state: State = "running") -> None:
        """Report that a step of a target begins or ends."""
        with self._lock:
            left = 0 if state != "running" else 2 if stage == "compile" else 1
            self.done += self._open[name] - left
            self._open[name] = left
            self._tell(Progress(stage, detail, self.done, self.total, name, state))
