"""What verbs print, and how a missing extra is said."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import typer

from pqrnn.errors import MissingExtraError
from runtime_py.terminal import printable, printable_json

if TYPE_CHECKING:
    from rich.console import Console


def print_json(document: Any) -> None:
    """Print one JSON document on standard output; structs and dataclasses are taken apart."""
    from runtime_py.tools.presentation import json_text

    typer.echo(printable_json(json_text(document)))


def say(text: str, *, color: str | None = None, error: bool = False) -> None:
    """Print text of any origin: what a terminal would obey is shown instead.

    Args:
        text: One or more lines.
        color: Name of a colour, where the stream is a terminal.
        error: Whether it goes to standard error.
    """
    typer.secho(printable(text, lines=True), fg=color, err=error)


def make_console(**options: Any) -> Console:
    """Return a console of `rich` that leaves a closed pipe to the command line; `options` are those of `Console`."""
    from rich.console import Console

    class _Console(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # rich would leave with the status of a failed check

    return _Console(**options)


def require_extra(extra: str, *modules: str) -> None:
    """Say which extra to install where a module is absent.

    Raises:
        MissingExtraError: a module of the extra is not installed.
    """
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise MissingExtraError(
            f"this needs {', '.join(missing)}, which the base install leaves out: pip install 'pqrnn[{extra}]'"
        )


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; in a pipe it is as wide as it needs to be. Cells are text, whatever they hold."""
    from rich.table import Table
    from rich.text import Text

    console = make_console()
    if not console.is_terminal:
        console = make_console(width=200)
    table = Table(title=Text(printable(title)), title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell, lines=True)) for cell in row))
    console.print(table, highlight=False)
