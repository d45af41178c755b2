"""How the verbs that learn tell of it: a progress bar, a line at the end, and what a stop means."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pqrnn.cli.output import print_json

if TYPE_CHECKING:
    from pqrnn.cli.training_bar import TrainingBar
    from pqrnn.training.reporting import TrainingOutcome

    Tell = Callable[..., None]


@contextmanager
def report_training(out: Path, json: bool) -> Iterator[tuple[TrainingBar, Tell]]:
    """Give a reporter for the run, and a function that prints its outcome.

    A stop by Ctrl-C is said and ends with status 130. Of the processes that `torchrun` started the first one speaks.
    """
    from pqrnn.cli.training_bar import TrainingBar
    from pqrnn.distributed import is_leader, join_process_group

    join_process_group()
    reporter = TrainingBar(quiet=json or not is_leader())

    def tell(outcome: TrainingOutcome, more: str = "") -> None:
        if not is_leader():
            return
        if json:
            print_json({"folder": str(outcome.folder), "ended": outcome.ended, "metrics": outcome.metrics})
            return
        best = outcome.metrics["dev"]["exact_match"]
        interval = f"[{best['low']:.2%}, {best['high']:.2%}]"
        typer.echo(
            f"{outcome.ended}: development exact match {best['value']:.2%} {interval}{more}, in {outcome.folder}"
        )

    try:
        with reporter:
            yield reporter, tell
    except KeyboardInterrupt:
        typer.secho(
            f"stopped; what was learned is in {out}: the same command goes on from there", fg="yellow", err=True
        )
        raise typer.Exit(130) from None
