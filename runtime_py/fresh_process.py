"""Commands that run a module of this package in a fresh Python."""

import sys
from pathlib import Path


def fresh_command(module: str, *arguments: str) -> list[str]:
    """Return the command that calls ``main`` of a module in a fresh Python, also where nothing is installed.

    Args:
        module: Full name of the module, such as ``runtime_py.tools.replay``.
        arguments: The command line that ``main`` gets.
    """
    folder = Path(__file__).resolve().parents[1]
    script = f"import sys; sys.path.insert(0, {str(folder)!r}); from {module} import main; sys.exit(main(sys.argv[1:]))"
    return [sys.executable, "-c", script, *arguments]
