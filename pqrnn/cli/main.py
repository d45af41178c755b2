"""Running the command line, and what becomes of errors."""

from __future__ import annotations

import sys

import typer

from pqrnn.cli import verbs  # noqa: F401  (they add themselves)
from pqrnn.cli.app import app


def main() -> None:
    """Run the command line.

    Exit codes: 0 good, 1 a check failed, 2 wrong use or an error that says what to do, 130 interrupted.
    """
    try:
        app(standalone_mode=True)
    except KeyboardInterrupt:
        typer.secho("interrupted", fg="yellow", err=True)
        sys.exit(130)
    except Exception as error:
        if not _is_ours(error):
            raise
        typer.secho(f"error: {error}", fg="red", err=True)
        sys.exit(2)


def _is_ours(error: Exception) -> bool:
    """Say whether an error was raised on purpose, without importing the packages that may not be installed."""
    bases = {
        ("pqrnn.errors", "PqrnnError"),
        ("compile.support.errors", "CompileError"),
        ("targets.errors", "TargetError"),
        ("runtime_py.errors", "ParserError"),
    }
    return any((kind.__module__, kind.__name__) in bases for kind in type(error).__mro__)
