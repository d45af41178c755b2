"""Files from anybody: no more of them is read than a bound, and nothing that is no file is waited for."""

import errno
import os
import stat

MOST_VALUES = 200_000  # of a document in JSON; the largest package of ours has some 20,000


def read_bounded(path: str | os.PathLike[str], largest: int, *, pipes: bool = False) -> bytes:
    """Return the content of a file.

    What is no file (a pipe, a device, a folder) is refused and not waited for. A file that grows while it is read is
    read to the bound.

    Args:
        path: The file, or a link to one.
        largest: Bytes that it may have.
        pipes: Whether it may be a pipe, as a shell makes one of `<(command)`: what a person named on the command line.

    Raises:
        OSError: It cannot be read, is no file, or is larger; `strerror` says which.
    """
    # Without O_NONBLOCK a pipe that nobody writes would hold this process for good; a file does not know it.
    descriptor = os.open(
        path, os.O_RDONLY | (0 if pipes else getattr(os, "O_NONBLOCK", 0)) | getattr(os, "O_BINARY", 0)
    )
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) and not (pipes and not stat.S_ISDIR(status.st_mode)):
            what = "is a directory" if stat.S_ISDIR(status.st_mode) else "is no file but a pipe, socket or device"
            raise OSError(errno.EINVAL, what, os.fspath(path))
        content = b""
        if status.st_size <= largest:
            with open(descriptor, "rb", closefd=False) as stream:
                content = stream.read(largest + 1)
    finally:
        os.close(descriptor)
    size = max(len(content), status.st_size)
    if size > largest:
        at_least = f"at least {size:,}" if pipes else f"{size:,}"
        raise OSError(errno.EFBIG, f"has {at_least} bytes, and at most {largest:,} are read", os.fspath(path))
    return content


def check_regular(path: str | os.PathLike[str], largest: int) -> int:
    """Return the size of a file that something else is going to read.

    Raises:
        OSError: As `read_bounded`.
    """
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "is no file", os.fspath(path))
    if status.st_size > largest:
        raise OSError(errno.EFBIG, f"has {status.st_size:,} bytes, and at most {largest:,} are read", os.fspath(path))
    return status.st_size


def check_extent(data: bytes, most: int = MOST_VALUES) -> bytes:
    """Return JSON that has no more values than that; each becomes an object, many times as large as in the file.

    What separates and opens values is counted, also inside of texts.

    Raises:
        ValueError: There are more.
    """
    values = sum(map(data.count, (b",", b"[", b"{")))
    if values > most:
        raise ValueError(f"holds {values:,} values, expected at most {most:,}")
    return data


def is_deeper(document: object, depth: int) -> bool:
    """Return whether lists and dicts are nested deeper than that: what reads or writes such a document may fail."""
    level = [document]
    for _ in range(depth):
        level = [
            inner
            for value in level
            if isinstance(value, dict | list)
            for inner in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return False
    return True


def shorten(found: object, most: int = 300) -> str:
    """Return what an error message shows of something that may be of any length."""
    text = str(found)
    return text if len(text) <= most else f"{text[:most]}..."


def why_unreadable(error: OSError) -> str:
    """Return what a message says of an error of `read_bounded`."""
    return error.strerror or str(error)
