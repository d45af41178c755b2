"""Running the command line, and what becomes of errors."""

from __future__ import annotations

import sys

import typer

from pqrnn.cli.shadowing import find_shadow


def main() -> None:
    """Run the command line.

    Exit codes: 0 good, 1 a check failed, 2 wrong use or an error that says what to do, 130 interrupted, 141 whoever
    read the output has gone.
    """
    shadow = find_shadow()
    if shadow:
        typer.secho(f"error: {shadow}", fg="red", err=True)
        sys.exit(2)
    from pqrnn.cli import verbs  # noqa: F401  (they add themselves)
    from pqrnn.cli.app import app
    from pqrnn.cli.output import complain
    from runtime_py.errors import OutputError
    from runtime_py.streams import flush_output, open_streams, output_exit_code

    open_streams()
    try:
        try:
            app(standalone_mode=True)
        finally:
            flush_output()
    except KeyboardInterrupt:
        complain("interrupted", "yellow")
        sys.exit(130)
    except OutputError as error:
        sys.exit(output_exit_code(error))
    except Exception as error:
        if not _is_ours(error):
            raise
        complain(f"error: {error}")
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
