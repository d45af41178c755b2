"""Running a verb, and what becomes of the errors that are raised on purpose."""

from __future__ import annotations

import typer

from pqrnn.cli import verbs  # noqa: F401  (they add themselves)
from pqrnn.cli.app import Escaped, app
from runtime_py.errors import OutputError
from runtime_py.terminal import printable


def run() -> int:
    """Run the verb that the command line names; return the exit code.

    Raises:
        KeyboardInterrupt: A signal stopped it; the argument is what the verb has to say, where it has.
        OSError: The machine refused something.
        OutputError: Standard output cannot be written, or nobody reads it.
    """
    try:
        app(standalone_mode=True)
    except Escaped as escaped:
        raise escaped.error from escaped.error.__cause__
    except OutputError:
        raise
    except Exception as error:
        if not _is_ours(error):
            raise
        typer.secho(f"error: {printable(str(error), lines=True)}", fg="red", err=True)
        return 2
    return 0


def _is_ours(error: Exception) -> bool:
    """Say whether an error was raised on purpose, without importing the packages that may not be installed."""
    bases = {
        ("pqrnn.errors", "PqrnnError"),
        ("compile.support.errors", "CompileError"),
        ("targets.errors", "TargetError"),
        ("runtime_py.errors", "ParserError"),
    }
    return any((kind.__module__, kind.__name__) in bases for kind in type(error).__mro__)
