"""How a compilation is shown while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pqrnn.cli.output import make_console
from runtime_py.terminal import printable

if TYPE_CHECKING:
    from compile.support.progress import Progress as Step


@contextmanager
def show_progress(quiet: bool) -> Iterator[Callable[[Step], None]]:
    """Give what shows every step: a line for what targets have in common, and one a target.

    The first says, too, about how long the steps of targets will take that are left; a log, which has no bars, says so
    at every step.
    """
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

    marks = {"running": "[cyan]…[/]", "done": "[green]✓[/]", "failed": "[red]✗[/]"}
    columns = (
        TextColumn("{task.fields[mark]} {task.description}"),
        BarColumn(bar_width=20),
        TimeElapsedColumn(),
        TextColumn("{task.fields[detail]}"),
    )
    console = make_console(stderr=True, quiet=quiet)
    draws = console.is_terminal and not quiet

    def log(text: str) -> None:
        if not draws:  # a log shows no bars
            console.print(printable(text.strip(), lines=True), markup=False, highlight=False, soft_wrap=True)

    def show(text: str) -> str:
        return escape(printable(text))

    with Progress(*columns, console=console, disable=not draws, refresh_per_second=4) as progress:
        common = progress.add_task("preparing", total=None, mark=marks["running"], detail="")
        lines: dict[str, TaskID] = {}
        started: tuple[float, int] | None = None  # when targets began, and how many steps were done then

        def tell(step: Step) -> None:
            nonlocal started
            if not step.target:
                progress.update(
                    common, description=step.stage, completed=step.done, total=step.total, detail=show(step.detail)
                )
                log(f"{step.stage} {step.detail}")
                return
            if step.target not in lines:
                lines[step.target] = progress.add_task(show(step.target), total=2, mark=marks["running"], detail="")
            started = started or (time.monotonic(), step.done)
            left = _tell_left(step, *started)
            progress.update(common, description="targets", completed=step.done, total=step.total, detail=left)
            ended = step.state != "running"
            passed = 2 if step.state == "done" else int(step.stage == "verify")
            progress.update(
                lines[step.target],
                completed=passed,
                mark=marks[step.state],
                detail=show(f"{step.stage} {step.detail}".strip()),
            )
            if ended:
                progress.stop_task(lines[step.target])
            words = (step.stage, step.state if ended else "", step.detail)
            log(f"{step.target}: {' '.join(filter(None, words))}  [{step.done} of {step.total}{left and f', {left}'}]")

        yield tell
        progress.update(common, description="done", mark=marks["done"], detail="")


def format_seconds(seconds: float) -> str:
    """Return a duration as "45 s" or "12 min"."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _tell_left(step: Step, begin: float, before: int) -> str:
    """Return how long the steps that are left take at the pace of those of targets since; nothing before the first."""
    done, left = step.done - before, step.total - step.done
    return f"about {format_seconds((time.monotonic() - begin) / done * left)} left" if done > 0 and left > 0 else ""
