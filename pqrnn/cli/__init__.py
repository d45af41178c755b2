"""The command line: one file a verb.

What a verb needs is imported when it runs, so that help stays quick and a board needs no PyTorch.
"""

from __future__ import annotations

from pqrnn.cli.main import main

__all__ = ["main"]
