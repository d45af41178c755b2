"""The application that verbs add themselves to."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import typer

app = typer.Typer(
    name="pqrnn",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="""Labelled text in, tiny compiled parser out.

**train** on your own commands, **compile** for a machine, **check** that it answers like PyTorch, **bench** it,
**parse** with it.
""",
    epilog="""Start here:  `pqrnn train --data home:en --out runs/home`  then
`pqrnn compile runs/home --out home.pqrnn` then  `pqrnn parse home.pqrnn "turn off the kitchen lights"`.""",
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
