"""Telling whoever waits where a compilation is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

STAGES = ("plan", "golden", "export", "import", "compile", "verify", "package")
State = Literal["running", "done", "failed"]


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a compilation is.

    Attributes:
        stage: One of `STAGES`.
        detail: What it works on now, or how that ended.
        done: Steps that are behind it.
        total: Steps that there are.
        target: The target that this is about; empty for what all have in common.
        state: What becomes of that target.
    """

    stage: str
    detail: str
    done: int
    total: int
    target: str = ""
    state: State = "running"


class Reporter:
    """Counts steps and tells of them, also from several threads: whoever is told is told one thing after the other."""

    def __init__(self, tell: Callable[[Progress], None]) -> None:
        """Tell of nothing yet."""
        self._tell = tell
        self._lock = threading.Lock()
        self._open: dict[str, int] = {}  # steps that are left, by target
        self.done = self.total = 0

    def expect(self, steps: int) -> None:
        """There are that many more steps that all targets have in common."""
        self.total += steps

    def expect_targets(self, names: Iterable[str]) -> None:
        """There are these targets, each of them with two steps: compiled and verified."""
        self._open = dict.fromkeys(names, 2)
        self.total += sum(self._open.values())

    def step(self, stage: str, detail: str) -> None:
        """Another common step begins."""
        with self._lock:
            self._tell(Progress(stage, detail, self.done, max(self.total, self.done)))
            self.done += 1

    def target(self, name: str, stage: str, detail: str, state: State = "running") -> None:
        """Something begins or ends for a target."""
        with self._lock:
            left = 0 if state != "running" else 2 if stage == "compile" else 1
            self.done += self._open[name] - left
            self._open[name] = left
            self._tell(Progress(stage, detail, self.done, self.total, name, state))
