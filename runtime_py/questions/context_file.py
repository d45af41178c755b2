"""The text that answers, read from a file or from standard input."""

import sys

from runtime_py.bounded_files import read_bounded
from runtime_py.errors import InputError
from runtime_py.questions.limits import LARGEST_CONTEXT

_LARGEST = 4 * LARGEST_CONTEXT + 3  # bytes: a code point has up to four, and a mark may stand before them


def read_context(name: str) -> str:
    """Return a text in UTF-8, without a mark of the byte order.

    Args:
        name: The file, or "-" for standard input.

    Raises:
        InputError: It cannot be read, is too large, or is no UTF-8.
    """
    where = "standard input" if name == "-" else name
    try:
        if name != "-":
            data = read_bounded(name, _LARGEST, pipes=True)
        elif sys.stdin is None:
            raise InputError("standard input is closed: give the text with --context FILE")
        else:
            data = sys.stdin.buffer.read(_LARGEST + 1)
    except OSError as error:
        raise InputError(
            f"{where}: cannot be read ({error.strerror or error}); --context takes a text file of up to "
            f"{LARGEST_CONTEXT:,} characters"
        ) from error
    if len(data) > _LARGEST:
        raise InputError(f"{where}: more than {LARGEST_CONTEXT:,} characters: give the part that is asked about")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where}: no UTF-8 at byte {error.start}: convert it first, as with `iconv -f latin1 -t utf-8`"
        ) from error
