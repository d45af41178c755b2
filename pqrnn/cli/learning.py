"""How the verbs that learn tell of it: a progress bar, a line at the end, and what a stop means."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pqrnn.cli.output import print_json, say
from pqrnn.run_folder import STATE

if TYPE_CHECKING:
    from pqrnn.cli.training_bar import TrainingBar
    from pqrnn.training.reporting import TrainingOutcome

    Tell = Callable[..., None]


@contextmanager
def report_training(out: Path, json: bool) -> Iterator[tuple[TrainingBar, Tell]]:
    """Give a reporter for the run, and a function that prints its outcome.

    A stop by a signal says where the run is. Of the processes that `torchrun` started the first one speaks.
    """
    from pqrnn.cli.training_bar import TrainingBar
    from pqrnn.distributed import is_leader, process_group

    def tell(outcome: TrainingOutcome, more: str = "") -> None:
        if not is_leader():
            return
        if json:
            print_json({"folder": str(outcome.folder), "ended": outcome.ended, "metrics": outcome.metrics})
            return
        best = outcome.metrics["dev"]["exact_match"]
        interval = f"[{best['low']:.2%}, {best['high']:.2%}]"
        say(f"{outcome.ended}: development exact match {best['value']:.2%} {interval}{more}, in {outcome.folder}")

    with process_group():
        reporter = TrainingBar(quiet=json or not is_leader())
        try:
            with reporter:
                yield reporter, tell
        except KeyboardInterrupt:
            # Of a team the first process speaks for all.
            raise KeyboardInterrupt(describe_stop(out) if is_leader() else "") from None


def describe_stop(out: Path) -> str:
    """Return what a stopped run left in its folder, and what goes on with it."""
    if (out / STATE).is_file():
        return (
            f"stopped; what was learned is in {out}: the same command goes on from there, with --finish it ends there"
        )
    return "stopped before anything was learned: the same command begins again"
