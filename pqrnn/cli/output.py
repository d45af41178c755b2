"""What verbs print, and how a missing extra is said."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import typer

from pqrnn.errors import MissingExtraError


def print_json(document: Any) -> None:
    """Print one JSON document on standard output; structs and dataclasses are taken apart."""
    from runtime_py.tools.presentation import json_text

    typer.echo(json_text(document))


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


def complain(text: str, color: str = "red") -> None:
    """Print a line on standard error, with escapes for what a terminal would obey."""
    from runtime_py.streams import printable

    typer.secho(printable(text), fg=color, err=True)


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; in a pipe it is as wide as it needs to be."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from runtime_py.streams import printable

    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    # As texts: rich would take what stands in brackets, or between colons, for its own marks.
    table = Table(title=Text(printable(title), style="table.title"), title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(Text(printable(column)), overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    console.print(table, highlight=False)
