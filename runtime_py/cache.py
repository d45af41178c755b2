"""The folders of what can be found out, or made, again."""

import os
import sys
from pathlib import Path

VARIABLE = "PQRNN_CACHE"


def cache_folder() -> Path:
    """Return the folder: $PQRNN_CACHE, or `pqrnn` in the user's folder for caches. It need not exist."""
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE])
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "pqrnn"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "pqrnn"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pqrnn"


def module_folder() -> Path:
    """Return the folder of compiled modules: $PQRNN_CACHE itself, or `compiled` below the user's folder for caches."""
    return cache_folder() if os.environ.get(VARIABLE) else cache_folder() / "compiled"
