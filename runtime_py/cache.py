"""The folders of what can be found out, or made, again.

Code is kept there, so nobody else may put anything there: folders are made with mode 0700, and one that belongs to
another user, that others may write to, or that is a link where none belongs is not used.
"""

import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from runtime_py.errors import CacheError

VARIABLE = "PQRNN_CACHE"
_ADVICE = f"Name another folder in ${VARIABLE}."


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


def check_private(folder: Path) -> Path:
    """Return a folder of what is kept after a look that nobody else can put anything there. It need not exist.

    The folder of all that is kept may be a link; those in it may not, which only this program makes.

    Raises:
        CacheError: It, or a folder that it is in, belongs to another user, may be written by others, or is a link.
    """
    for path, state in _levels(folder):
        if not stat.S_ISDIR(state.st_mode) and not stat.S_ISLNK(state.st_mode):
            raise CacheError(f"{path}: nothing can be kept there (it is no folder). {_ADVICE}")
        if reason := _why_foreign(state, folder=True) or _why_open(state):
            raise CacheError(
                f"{path}: {reason}, so that what is kept there may be anybody's. Look what is in it, then: chmod 700 "
                f"{path}; or {_ADVICE[0].lower()}{_ADVICE[1:]}"
            )
    return folder


def make_private(folder: Path) -> None:
    """Make a folder of what is kept, with those that it is in, for this user alone.

    Raises:
        CacheError: As for `check_private`, or it cannot be made.
    """
    check_private(folder)
    try:
        for path in reversed([folder, *folder.parents]):
            if not path.exists():
                path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise _refused(folder, error) from error
    check_private(folder)


def is_own(path: Path) -> bool:
    """Return whether a kept file, or folder, is there, is no link, and was made by this user."""
    try:
        state = path.lstat()
    except OSError:
        return False
    return not _why_foreign(state, folder=stat.S_ISDIR(state.st_mode))


def _levels(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield the folders from that of all that is kept down to one in it, as far as they exist."""
    try:
        root = cache_folder()
    except CacheError:
        root = folder
    parts = folder.relative_to(root).parts if folder.is_relative_to(root) else ()
    path = root if folder.is_relative_to(root) else folder
    for part in ("", *parts):
        try:
            state = (path / part).lstat() if part else path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise _refused(path, error) from error
        path = path / part
        yield path, state


def _why_foreign(state: os.stat_result, folder: bool) -> str:
    """Return why a file or folder was made by somebody else, or is none; empty if it is this user's."""
    right = stat.S_ISDIR(state.st_mode) if folder else stat.S_ISREG(state.st_mode)
    if not right:
        return "is a link" if stat.S_ISLNK(state.st_mode) else f"is no {'folder' if folder else 'file'}"
    if not hasattr(os, "geteuid"):  # Windows: folders in the user's own are the user's
        return ""
    return f"belongs to another user ({state.st_uid})" if state.st_uid != os.geteuid() else ""


def _why_open(state: os.stat_result) -> str:
    open_to_others = os.name == "posix" and state.st_mode & 0o022
    return f"others may write there (mode {stat.S_IMODE(state.st_mode):04o})" if open_to_others else ""


def check_writable(folder: Path) -> None:
    """Make a folder for this user alone if it is missing, and see that a file can be written there.

    Raises:
        CacheError: It cannot be made, not be written to, or others can write to it.
    """
    make_private(folder)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
    except OSError as error:
        raise _refused(folder, error) from error


def _refused(folder: Path, error: OSError) -> CacheError:
    return CacheError(f"{folder}: nothing can be kept there ({error.strerror or error}). {_ADVICE}")


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
