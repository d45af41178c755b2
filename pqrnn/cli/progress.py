"""How a compilation is shown while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pqrnn.cli.output import make_console
from runtime_py.terminal import printable

if TYPE_CHECKING:
    from compile.support.progress import Progress as Step


@contextmanager
def show_progress(quiet: bool) -> Iterator[Callable[[Step], None]]:
    """Give what shows every step: a line for what targets have in common, and one a target."""
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

        def tell(step: Step) -> None:
            if not step.target:
                progress.update(
                    common, description=step.stage, completed=step.done, total=step.total, detail=show(step.detail)
                )
                log(f"{step.stage} {step.detail}")
                return
            if step.target not in lines:
                lines[step.target] = progress.add_task(show(step.target), total=2, mark=marks["running"], detail="")
            progress.update(common, description="targets", completed=step.done, total=step.total, detail="")
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
                log(f"{step.target}: {step.stage} {step.state} {step.detail}")

        yield tell
        progress.update(common, description="done", mark=marks["done"], detail="")
