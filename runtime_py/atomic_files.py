"""Files and directories that appear whole or not at all."""

import os
import re
import sys
from pathlib import Path

_AT_FDCWD, _RENAME_EXCHANGE, _RENAME_SWAP = -100, 2, 2
_SCRATCH = re.compile(r"\.(.+)\.[0-9a-f]{8}\Z", re.DOTALL)


def final_name(name: str) -> str:
    """Return the name that a file was to get, of which a kill left an unfinished one; any other name as it is."""
    match = _SCRATCH.match(name)
    return match[1] if match else name


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file in one step: a reader, or a kill, meets the old content or the new one and never a part.

    The content is written under a hidden name beside the file and flushed to the disk before it takes the name.

    Args:
        path: The file. Folders that are missing are made.
        content: All bytes of the file.

    Raises:
        OSError: The file cannot be written; what stood there before stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    # `open` rather than `tempfile`, which makes files that only their owner may read: the mode then is the one that the
    # user's umask gives to every other file, also beside it in a package, and nothing here changes the umask.
    stream = scratch.open("xb")
    try:
        with stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        scratch.replace(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


def replace_directory(fresh: Path, path: Path) -> None:
    """Give a directory its name, where another one may have it.

    Linux and macOS do it in one step. Elsewhere the old directory is moved aside first, and a kill between the two
    steps leaves it under the hidden name.

    Args:
        fresh: The new directory, beside the other one; the old one has its name afterwards, or is gone.
        path: The name.

    Raises:
        OSError: It cannot be done; the old directory stays what it was.
    """
    import shutil

    if not path.exists():
        fresh.rename(path)
        return
    if exchange_names(fresh, path):
        return
    old = path.with_name(f".{path.name}.old.{os.urandom(4).hex()}")
    path.rename(old)
    try:
        fresh.rename(path)
    except BaseException:
        old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def exchange_names(first: Path, second: Path) -> bool:
    """Exchange two names in one step; false where the system cannot, and then nothing has changed."""
    import ctypes  # few need it, and the start of every parser would pay for it

    try:
        library = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "darwin":
            return not library.renamex_np(os.fsencode(first), os.fsencode(second), _RENAME_SWAP)
        names = os.fsencode(first), os.fsencode(second)
        return not library.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE)
    except (OSError, AttributeError, TypeError):
        return False
