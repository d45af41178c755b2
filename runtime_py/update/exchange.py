"""Exchanging a directory for another one, so that its name stands for one of them at every moment.

Linux and macOS can do it in one step; elsewhere the old one is renamed first, and what a kill leaves between the two
steps is put right by the next call (`recover`).
"""

import contextlib
import os
import re
import shutil
import time
from pathlib import Path

from runtime_py.atomic_files import exchange_names

PREVIOUS = ".previous"
_ABANDONED = 24 * 3600.0  # seconds


def previous_of(path: Path) -> Path:
    """Return where the package is kept that the one at a path has replaced."""
    return path.with_name(path.name + PREVIOUS)


def recover(path: Path) -> None:
    """Put right what a kill left of an exchange: the name stands for the package that was there before."""
    if not os.path.lexists(path) and previous_of(path).is_dir():
        previous_of(path).rename(path)


def clear_abandoned(path: Path) -> None:
    """Remove what killed updates have left beside a package, once it is a day old and nobody's any more."""
    pattern = re.compile(rf"\.{re.escape(path.name)}\.[a-z0-9_]{{8}}\Z")
    for each in path.parent.iterdir():
        if pattern.match(each.name) and each.is_dir() and not each.is_symlink():
            with contextlib.suppress(OSError):
                if time.time() - each.stat().st_mtime > _ABANDONED:
                    shutil.rmtree(each)


def exchange(fresh: Path, path: Path) -> None:
    """Give a directory the name of another one, which is kept as the previous one.

    Args:
        fresh: The new directory, beside the other one.
        path: The name; a directory of that name exists.

    Raises:
        OSError: It cannot be done; both stay what they were.
    """
    previous = previous_of(path)
    # What was kept before goes last: until the name stands for the new one, two that work are there.
    if exchange_names(fresh, path):
        old = fresh
        _remove(previous)
        old.rename(previous)
        return
    _remove(previous)
    path.rename(previous)
    try:
        fresh.rename(path)
    except BaseException:
        previous.rename(path)
        raise


def exchange_back(path: Path) -> None:
    """Exchange the package of a name for the one that it has replaced; where there is only that, it gets the name.

    Raises:
        OSError: It cannot be done; both stay what they were.
    """
    previous = previous_of(path)
    if not os.path.lexists(path) or exchange_names(previous, path):
        recover(path)
        return
    aside = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    path.rename(aside)
    try:
        previous.rename(path)
    except BaseException:
        aside.rename(path)
        raise
    aside.rename(previous)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
