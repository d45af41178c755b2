"""The application that verbs add themselves to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import typer
from typer.core import TyperGroup


class Escaped(BaseException):
    """Carries an interrupt or an error of the system past typer, which would make exit codes of its own of them."""

    def __init__(self, error: BaseException) -> None:
        """Carry `error`."""
        super().__init__(error)
        self.error = error


class Verbs(TyperGroup):
    """All verbs."""

    def make_context(self, *arguments: Any, **named: Any) -> Any:
        """Read the command line."""
        with _escaping():
            return super().make_context(*arguments, **named)

    def invoke(self, context: Any) -> Any:
        """Run the verb that was named."""
        with _escaping():
            return super().invoke(context)


@contextmanager
def _escaping() -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, OSError) as error:
        raise Escaped(error) from error.__cause__


app = typer.Typer(
    name="pqrnn",
    cls=Verbs,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="""Labelled text in, tiny compiled parser out.

**train** on your own commands, **compile** for a machine, **check** that it answers like PyTorch, **bench** it,
**parse** with it.
""",
    epilog="""Start here:  `pqrnn train --data home:en --out runs/home`  then
`pqrnn compile runs/home --out home.pqrnn` then  `pqrnn parse home.pqrnn "turn off the kitchen lights"`.

Exit codes: 0 good, 1 a check failed (3, 4, 5: numbers, decisions or a goal of `check --reference`), 2 wrong use or an
error that says what to do, 130 interrupted (Ctrl-C), 143 told to end (SIGTERM),
129 the terminal is gone (SIGHUP), 141 nobody reads the output any more.""",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        try:
            typer.echo(f"pqrnn {version('pqrnn')}")
        except PackageNotFoundError:
            typer.echo("pqrnn (not installed)")
        raise typer.Exit


@app.callback()
def _common(
    _version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Show the version and leave."
    ),
) -> None:
    pass
