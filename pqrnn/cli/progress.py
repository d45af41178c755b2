"""How a compilation is shown while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compile.support.progress import Progress as Step


@contextmanager
def show_progress(quiet: bool) -> Iterator[Callable[[Step], None]]:
    """Give what shows every step: a line for what targets have in common, and one a target."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

    marks = {"running": "[cyan]…[/]", "done": "[green]✓[/]", "failed": "[red]✗[/]"}
    columns = (
        TextColumn("{task.fields[mark]} {task.description}"),
        BarColumn(bar_width=20),
        TimeElapsedColumn(),
        TextColumn("{task.fields[detail]}"),
    )
    console = Console(stderr=True, quiet=quiet)
    with Progress(*columns, console=console, disable=quiet, refresh_per_second=4) as progress:
        common = progress.add_task("preparing", total=None, mark=marks["running"], detail="")
        lines: dict[str, TaskID] = {}

        def tell(step: Step) -> None:
            if not step.target:
                progress.update(
                    common, description=step.stage, completed=step.done, total=step.total, detail=escape(step.detail)
                )
                return
            if step.target not in lines:
                lines[step.target] = progress.add_task(escape(step.target), total=2, mark=marks["running"], detail="")
            progress.update(common, description="targets", completed=step.done, total=step.total, detail="")
            ended = step.state != "running"
            passed = 2 if step.state == "done" else int(step.stage == "verify")
            progress.update(
                lines[step.target],
                completed=passed,
                mark=marks[step.state],
                detail=escape(f"{step.stage} {step.detail}".strip()),
            )
            if ended:
                progress.stop_task(lines[step.target])
                if not console.is_terminal:  # a log shows no bars
                    console.print(
                        f"{step.target}: {step.stage} {step.state} {step.detail}".strip(), markup=False, highlight=False
                    )

        yield tell
        progress.update(common, description="done", mark=marks["done"], detail="")
