"""Which packages answer questions; asking costs no import of what runs them."""

from __future__ import annotations

import os

from runtime_py.package_format.manifest_bytes import ANSWERER, is_file


def answers_questions(path: str | os.PathLike[str]) -> bool:
    """Return whether a package answers questions, and is no parser."""
    return is_file(os.path.join(path, ANSWERER))
