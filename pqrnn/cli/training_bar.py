"""The progress bar of a training run; imported when a run starts, since it loads `rich`."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from pqrnn.training.reporting import TrainingReporter


class TrainingBar(TrainingReporter, AbstractContextManager[Any]):
    """Draws a bar on standard error; where that is no terminal it prints a line after every epoch."""

    def __init__(self, *, quiet: bool) -> None:
        """`quiet`: say nothing."""
        self.console = Console(stderr=True, quiet=quiet)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.progress = Progress(*columns, console=self.console, disable=quiet, refresh_per_second=2)
        self.more = ""
        self._score = ""
        self._answering: TaskID | None = None
        self._training: TaskID | None = None

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
        """Print a line."""
        self.console.print(text, highlight=False, markup=False)

    def answers(self, done: int, total: int) -> None:
        """Show how many texts the teacher has answered."""
        if self._answering is None:
            self._answering = self.progress.add_task("the teacher answers", total=total)
            self.progress.start()
        self.progress.update(self._answering, completed=done, total=total)

    def start(self, total: int, done: int, text: str) -> None:
        """Describe the run and draw its bar."""
        self.note(text)
        if done:
            self.note(f"going on at step {done}")
        self._score = ""
        self._training = self.progress.add_task("training", total=total, completed=done)
        self.progress.start()

    def step(self, done: int, loss: float) -> None:
        """Move the bar."""
        if self._training is not None:
            self.progress.update(
                self._training, completed=done, description=f"loss {loss:6.3f}{self._score}{self.more}"
            )

    def epoch(self, record: dict[str, Any]) -> None:
        """Keep the score for the bar; print it where there is none."""
        dev = record["dev"]
        self._score = f"  dev exact match {dev['exact_match']['value']:.2%}"
        if not self.console.is_terminal:
            self.note(
                f"epoch {record['epoch']}: loss {record['loss']:.3f}, "
                f"dev exact match {dev['exact_match']['value']:.2%}, "
                f"intent {dev['intent_accuracy']['value']:.2%}, slot F1 {dev['slot_f1']['value']:.2%}"
            )
