"""The progress of a training run; imported when a run starts, since it loads `rich`."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from pqrnn.cli.output import make_console
from pqrnn.training.reporting import TrainingReporter
from pqrnn.training.scores import REWRITTEN, SMALLEST
from runtime_py.terminal import printable

_ALSO = {REWRITTEN: "rewritten", SMALLEST: "smallest part"}  # scores that some runs have, and what they are called
_LOG_SECONDS = 30.0  # between two lines in a log


class TrainingBar(TrainingReporter, AbstractContextManager[Any]):
    """Draws a bar on standard error.

    Where that is no terminal it prints a line every half minute and after every epoch: a log shows no bars, and has to
    say that something goes on.
    """

    def __init__(self, *, quiet: bool) -> None:
        """`quiet`: say nothing."""
        self.console = make_console(stderr=True, quiet=quiet)
        self._draws = self.console.is_terminal and not quiet
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.progress = Progress(*columns, console=self.console, disable=not self._draws, refresh_per_second=2)
        self.more = ""
        self._score = ""
        self._answering: TaskID | None = None
        self._training: TaskID | None = None
        self._rate = _Rate()

    def __exit__(self, *_: object) -> None:
        """Take the bar away."""
        self.clear()

    def clear(self) -> None:
        """End the bars of a stage."""
        self.progress.stop()
        for task in self.progress.task_ids:
            self.progress.remove_task(task)
        self._answering, self.more = None, ""

    def note(self, text: str) -> None:
        """Print a line, which may be long."""
        self.console.print(printable(text, lines=True), highlight=False, markup=False, soft_wrap=True)

    def answers(self, done: int, total: int) -> None:
        """Show how many texts the teacher has answered."""
        if self._answering is None:
            self._answering = self.progress.add_task("the teacher answers", total=total)
            self._rate.begin(total, done)
            self.progress.start()
        self.progress.update(self._answering, completed=done, total=total)
        self._log(done, f"the teacher answers: {done:,} of {total:,} texts")

    def start(self, total: int, done: int, text: str) -> None:
        """Describe the run and draw its bar."""
        self.note(text)
        if done:
            self.note(f"going on at step {done}")
        self._score = ""
        self._training = self.progress.add_task("training", total=total, completed=done)
        self._rate.begin(total, done)
        self.progress.start()

    def step(self, done: int, loss: float) -> None:
        """Move the bar."""
        if self._training is not None:
            self.progress.update(
                self._training, completed=done, description=f"loss {loss:6.3f}{self._score}{self.more}"
            )
        self._log(done, f"step {done:,} of {self._rate.total:,}: loss {loss:.3f}{self._score}{self.more}")

    def epoch(self, record: dict[str, Any]) -> None:
        """Keep the score for the bar; print it where there is none."""
        dev = record["dev"]
        self._score = f"  dev exact match {dev['exact_match']['value']:.2%}"
        more = [f"{title} {dev[name]['value']:.2%}" for name, title in _ALSO.items() if name in dev]
        also = f" ({', '.join(more)})" if more else ""
        if not self._draws:
            self.note(
                f"epoch {record['epoch']}: loss {record['loss']:.3f}, "
                f"dev exact match {dev['exact_match']['value']:.2%}{also}, "
                f"intent {dev['intent_accuracy']['value']:.2%}, slot F1 {dev['slot_f1']['value']:.2%}"
            )

    def _log(self, done: int, text: str) -> None:
        """Print a line where there is no bar, if the last one was long ago."""
        if not self._draws and self._rate.is_due():
            self.note(f"{text}{self._rate.describe(done)}")


class _Rate:
    """How fast something goes on, and when it was last told."""

    def __init__(self) -> None:
        self.total = 0
        self.begin(0, 0)

    def begin(self, total: int, done: int) -> None:
        self.total, self._first = total, done
        self._begun = self._told = time.monotonic()

    def is_due(self) -> bool:
        now = time.monotonic()
        if now - self._told < _LOG_SECONDS:
            return False
        self._told = now
        return True

    def describe(self, done: int) -> str:
        """Return the time that is left, at the rate of this run."""
        if done <= self._first:
            return ""
        left = (time.monotonic() - self._begun) / (done - self._first) * (self.total - done)
        return f", {left:.0f} s left" if left < 90 else f", {left / 60:.0f} min left"
