"""The folders of what can be found out, or made, again."""

import os
import sys
import tempfile
from pathlib import Path

from runtime_py.errors import CacheError

VARIABLE = "PQRNN_CACHE"


def cache_folder() -> Path:
    """Return the folder: $PQRNN_CACHE, or `pqrnn` in the user's folder for caches. It need not exist.

    Raises:
        CacheError: The variable is not set, and the user has no home folder.
    """
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE])
    if sys.platform == "win32":
        return (_absolute("LOCALAPPDATA") or _home() / "AppData" / "Local") / "pqrnn"
    if sys.platform == "darwin":
        return _home() / "Library" / "Caches" / "pqrnn"
    return (_absolute("XDG_CACHE_HOME") or _home() / ".cache") / "pqrnn"


def module_folder() -> Path:
    """Return the folder of compiled modules: $PQRNN_CACHE itself, or `compiled` below the user's folder for caches.

    Raises:
        CacheError: As for `cache_folder`.
    """
    return cache_folder() if os.environ.get(VARIABLE) else cache_folder() / "compiled"


def check_writable(folder: Path) -> None:
    """Make a folder if it is missing, and see that a file can be written there.

    Raises:
        CacheError: It cannot be made, or not be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
    except OSError as error:
        raise CacheError(
            f"{folder}: nothing can be kept there ({error.strerror or error}). Name another folder in ${VARIABLE}."
        ) from error


def _absolute(variable: str) -> Path | None:
    """Return the folder that a variable of the system names; a relative one counts as none."""
    path = Path(os.environ.get(variable, ""))
    return path if path.is_absolute() else None


def _home() -> Path:
    try:
        home = Path.home()
    except RuntimeError:
        home = Path()
    if not home.is_absolute():
        raise CacheError(f"this user has no home folder to keep anything in. Name a folder in ${VARIABLE}.")
    return home
