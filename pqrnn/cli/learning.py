"""How the verbs that learn tell of it: a progress bar, a line at the end, and what a stop means."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from pqrnn.cli.output import print_json

if TYPE_CHECKING:
    from pqrnn.training.reporting import TrainingOutcome

    Tell = Callable[..., None]


@contextmanager
def report_training(out: Path, json: bool) -> Iterator[tuple[Any, Tell]]:
    """Give a reporter for the run, and a function that prints its outcome.

    A stop by Ctrl-C is said and ends with status 130. Of several processes that `torchrun` started the first one speaks.
    """
    from pqrnn.distributed import is_leader, join_process_group

    join_process_group()
    reporter = make_reporter(quiet=json or not is_leader())

    def tell(outcome: TrainingOutcome, more: str = "") -> None:
        if not is_leader():
            return
        if json:
            print_json({"folder": str(outcome.folder), "ended": outcome.ended, "metrics": outcome.metrics})
            return
        best = outcome.metrics["dev"]["exact_match"]
        typer.echo(
            f"{outcome.ended}: development exact match {best['value']:.2%} [{best['low']:.2%}, {best['high']:.2%}]{more}, "
            f"in {outcome.folder}"
        )

    try:
        with reporter:
            yield reporter, tell
    except KeyboardInterrupt:
        typer.secho(
            f"stopped; what was learned is in {out}: the same command goes on from there", fg="yellow", err=True
        )
        raise typer.Exit(130) from None


def make_reporter(*, quiet: bool) -> Any:
    """Return a `pqrnn.training.reporting.TrainingReporter` and context manager that draws a bar, or says nothing."""
    from contextlib import AbstractContextManager

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from pqrnn.training.reporting import TrainingReporter

    class Bar(TrainingReporter, AbstractContextManager[Any]):
        def __init__(self) -> None:
            self.console = Console(stderr=True, quiet=quiet)
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self.progress = Progress(*columns, console=self.console, disable=quiet, refresh_per_second=2)
            self.score = ""
            self.answering: Any = None

        def __exit__(self, *_: object) -> None:
            self.progress.stop()

        def note(self, text: str) -> None:
            self.console.print(text, highlight=False, markup=False)

        def answers(self, done: int, total: int) -> None:
            if self.answering is None:
                self.answering = self.progress.add_task("the teacher answers", total=total)
                self.progress.start()
            self.progress.update(self.answering, completed=done, total=total)

        def start(self, total: int, done: int, text: str) -> None:
            self.console.print(text, highlight=False, markup=False)
            if done:
                self.console.print(f"going on at step {done}", highlight=False)
            self.score = ""
            self.task = self.progress.add_task("training", total=total, completed=done)
            self.progress.start()

        def step(self, done: int, loss: float) -> None:
            self.progress.update(self.task, completed=done, description=f"loss {loss:6.3f}{self.score}")

        def epoch(self, record: dict[str, Any]) -> None:
            dev = record["dev"]
            self.score = f"  dev exact match {dev['exact_match']['value']:.2%}"
            if not self.console.is_terminal:
                self.console.print(
                    f"epoch {record['epoch']}: loss {record['loss']:.3f}, "
                    f"dev exact match {dev['exact_match']['value']:.2%}, "
                    f"intent {dev['intent_accuracy']['value']:.2%}, slot F1 {dev['slot_f1']['value']:.2%}",
                    highlight=False,
                )

    return Bar()
