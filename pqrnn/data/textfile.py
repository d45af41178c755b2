"""Text files, plain or gzip, as numbered lines."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

from pqrnn.errors import DataFormatError, DataNotFoundError

_GZIP_MAGIC = b"\x1f\x8b"
_HEAD_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class TextFile:
    """The lines of one UTF-8 file.

    Attributes:
        path: The file, as the user named it.
        lines: Its lines without their ends. Only LF and CRLF end a line: U+2028, U+0085 and the like belong to the
            text. A last line without an end counts, an empty piece after the last end does not.
        locale: The locale that the names of the file and its folders say, or ``""``.
    """

    path: Path
    lines: tuple[str, ...]
    locale: str = ""

    def locate(self, line: int) -> str:
        """Return ``file:line`` for the zero-based ``line``."""
        return f"{self.path}:{line + 1}"

    def error(self, line: int | None, found: str, expected: str, hint: str = "") -> DataFormatError:
        """Return the error for the zero-based ``line``, or for the whole file."""
        return DataFormatError(self.path, None if line is None else line + 1, found, expected, hint)


def read_lines(path: Path, locale: str = "") -> TextFile:
    """Read a UTF-8 file, plain or gzip (told by its first bytes, not by its name).

    Raises:
        DataNotFoundError: The file cannot be opened.
        DataFormatError: It is damaged, or not UTF-8.
    """
    raw = _unpack(path, None)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        found = f"byte 0x{raw[error.start]:02x} at byte {column} of the line is not UTF-8"
        raise DataFormatError(path, line, found, "UTF-8 text, plain or gzip", "convert the file to UTF-8") from None
    return TextFile(path, split_lines(text), locale)


def read_head(path: Path) -> str:
    """Return the beginning of a file, plain or gzip, without failing on what it holds: for guessing its format.

    Raises:
        DataNotFoundError: The file cannot be opened.
        DataFormatError: It is a damaged gzip file.
    """
    text = _unpack(path, _HEAD_BYTES).decode(errors="replace")
    return text.removeprefix("\ufeff")


def split_lines(text: str) -> tuple[str, ...]:
    """Split ``text`` into lines at LF or CRLF alone; a byte-order mark at the beginning is left out."""
    lines = text.removeprefix("\ufeff").split("\n")
    if lines[-1] == "":
        lines.pop()
    if "\r" in text:
        lines = [line.removesuffix("\r") for line in lines]
    return tuple(lines)


def _unpack(path: Path, limit: int | None) -> bytes:
    """Return the content of a plain or gzip file, at most ``limit`` bytes of it."""
    try:
        with path.open("rb") as file:
            packed = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
            file.seek(0)
            if not packed:
                return file.read() if limit is None else file.read(limit)
            with gzip.open(file) as unpacked:
                return unpacked.read() if limit is None else unpacked.read(limit)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataFormatError(
            path, None, f"damaged gzip file ({error})", "a whole gzip file", "fetch it again"
        ) from None
    except OSError as error:
        raise DataNotFoundError(f"{path}: cannot be read: {error.strerror or error}") from None
