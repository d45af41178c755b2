"""Files that appear whole or not at all."""

import os
import re
from pathlib import Path

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
