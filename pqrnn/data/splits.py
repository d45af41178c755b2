"""The parts that data come in, and their names."""

from __future__ import annotations

import re

from pqrnn.errors import DataNotFoundError

SPLITS = ("train", "dev", "test")
ALL = "all"
OTHER_NAMES = {
    "train": "train",
    "training": "train",
    "dev": "dev",
    "eval": "dev",
    "valid": "dev",
    "val": "dev",
    "validate": "dev",
    "validation": "dev",
    "development": "dev",
    "test": "test",
    "testing": "test",
    "all": ALL,
}
_SEPARATORS = re.compile(r"[._-]")


def normalise_split(name: str) -> str:
    """Return ``train``, ``dev``, ``test`` or ``all`` for any of their usual names.

    Raises:
        DataNotFoundError: ``name`` is none of them.
    """
    try:
        return OTHER_NAMES[name.lower()]
    except KeyError:
        raise DataNotFoundError(f"{name!r} is no split; expected one of {', '.join(OTHER_NAMES)}") from None


def find_split(name: str) -> str:
    """Return the split that a file or folder name carries between dots, hyphens and underscores, or ``""``."""
    pieces = _SEPARATORS.split(name.lower())
    return next((OTHER_NAMES[piece] for piece in pieces if OTHER_NAMES.get(piece, ALL) != ALL), "")
