"""Temporary folders: what a kill left behind is removed by the next one, and a full disk is called that."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from compile.support.errors import PackagingError, ScratchError

try:
    import fcntl
except ImportError:  # of Windows, where nothing is known to be abandoned but by its age
    fcntl = None  # type: ignore[assignment]

FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_LOCK = ".lock"
_NAME = re.compile(r"pqrnn-[a-z]+-\w{8}")
_ABANDONED = 24 * 3600.0  # seconds after which a folder without a lock is nobody's


@contextmanager
def scratch_folder(purpose: str) -> Iterator[Path]:
    """Give a temporary folder that is removed at the end of the block.

    Folders of earlier processes that were killed are removed first: each living one holds a lock, which the system
    takes away from the dead.

    Args:
        purpose: What it is for, in lower case, as part of its name.

    Raises:
        ScratchError: There is no room for temporary files, here or in the block.
    """
    try:
        temporary = tempfile.TemporaryDirectory(prefix=f"pqrnn-{purpose}-", ignore_cleanup_errors=True)
    except FileNotFoundError as error:
        raise ScratchError(f"temporary files cannot be written: {_explain(error)}") from error
    with temporary as name:
        folder = Path(name)
        try:
            remove_abandoned(folder.parent)
            with _locked(folder):
                yield folder
        except Exception as error:  # whoever wrote there may have made an error of its own kind of it
            if isinstance(error, ScratchError) or not (_says_full(error, folder) or is_full(folder)):
                raise
            raise full_disk(folder) from error


def full_disk(folder: Path) -> ScratchError:
    """Return the error that says that the disk of a temporary folder is full."""
    return ScratchError(
        f"{folder.parent}: no space is left for temporary files; free some, or set TMPDIR to a folder on a larger disk"
    )


def is_full(folder: Path) -> bool:
    """Say whether nothing can be written into a folder because its disk is full."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0" * 65536)
            file.flush()
    except OSError as error:
        return error.errno in FULL
    return False


def remove_abandoned(place: Path) -> None:
    """Remove the folders of processes that are dead from a folder of temporary files; whatever cannot be stays."""
    with suppress(OSError):
        for folder in place.iterdir():
            if _NAME.fullmatch(folder.name) and _is_abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which nobody ever sees unlocked: it is locked before it has its name."""
    if fcntl is None:
        yield
        return
    with open(folder / f"{_LOCK}.new", "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.rename(file.name, folder / _LOCK)
        yield


def _is_abandoned(folder: Path) -> bool:
    try:
        state = folder.lstat()
        if not stat.S_ISDIR(state.st_mode) or (hasattr(os, "getuid") and state.st_uid != os.getuid()):
            return False
        if fcntl is None or not (folder / _LOCK).exists():
            return time.time() - state.st_mtime > _ABANDONED
        with open(folder / _LOCK, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # lasts until the file is closed
    except OSError:  # locked, or removed meanwhile
        return False
    return True


def _says_full(error: BaseException | None, folder: Path) -> bool:
    """Say whether an error, or one that it came of, is that of a full disk and about this folder, or about no file.

    The package lies elsewhere, and its writer names it.
    """
    while error is not None and not isinstance(error, PackagingError):
        if isinstance(error, OSError) and error.errno in FULL:
            name = error.filename
            return name is None or Path(os.fsdecode(name)).is_relative_to(folder)
        error = error.__cause__ or error.__context__
    return False


def _explain(error: OSError) -> str:
    """Return why none of the usual folders can be used."""
    reasons = []
    for name in dict.fromkeys(filter(None, [os.environ.get("TMPDIR"), "/tmp", "/var/tmp"])):
        path = Path(name)
        if not path.is_dir():
            reasons.append(f"{name} does not exist")
        elif is_full(path):
            reasons.append(f"{name} is full")
        elif not os.access(path, os.W_OK):
            reasons.append(f"{name} is not writable")
    return f"{'; '.join(reasons) or error}; free space there, or set TMPDIR to a folder that can be written"
