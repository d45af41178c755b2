"""Text files, plain or gzip, as numbered lines."""

from __future__ import annotations

import codecs
import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from pqrnn.data.reading import DEFAULTS, ReadOptions, ReadReport
from pqrnn.errors import DataFormatError, DataNotFoundError

LARGEST_RATIO = 200
"""How many times as large as its file the content of a gzip file may be; text is at most some 50 times as large."""
ALWAYS_UNPACKED = 1 << 26
"""Bytes that a gzip file may unpack to in any case."""

_GZIP_MAGIC = b"\x1f\x8b"
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_HEAD_BYTES = 1 << 16
_CHUNK_BYTES = 1 << 20
_LONGEST_FOUND = 400  # characters of what an error shows of a file


class _RowGuard:
    """Catches what is wrong with one row, where somebody keeps account of it."""

    def __init__(self, report: ReadReport | None) -> None:
        self._report = report

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if self._report is None or not isinstance(error, DataFormatError):
            return False
        self._report.add(error)
        return True


@dataclass(frozen=True, slots=True)
class TextFile:
    """The lines of one UTF-8 file.

    Attributes:
        path: The file, as the user named it.
        lines: Its lines without their ends. Only LF and CRLF end a line: U+2028, U+0085 and the like belong to the
            text. A last line without an end counts, an empty piece after the last end does not.
        locale: The locale that the names of the file and its folders say, or ``""``.
        options: How it is to be read.
        report: Where rows that are wrong are counted; without one, the first of them is raised.
    """

    path: Path
    lines: tuple[str, ...]
    locale: str = ""
    options: ReadOptions = DEFAULTS
    report: ReadReport | None = None

    def locate(self, line: int) -> str:
        """Return ``file:line`` for the zero-based ``line``."""
        return f"{self.path}:{line + 1}"

    def error(self, line: int | None, found: str, expected: str, hint: str = "") -> DataFormatError:
        """Return the error for the zero-based ``line``, or for the whole file."""
        if len(found) > _LONGEST_FOUND:
            found = f"{found[: _LONGEST_FOUND // 2]} … {found[-_LONGEST_FOUND // 4 :]}"
        return DataFormatError(self.path, None if line is None else line + 1, found, expected, hint)

    def guard_row(self) -> _RowGuard:
        """Return a context for reading one row: what is wrong with it is counted in the report, if there is one."""
        return _RowGuard(self.report)

    def count_keys(self, names: list[str]) -> None:
        """Count keys of a row that mean nothing to its format."""
        if self.report is not None and self.report.counting:
            self.report.keys.update(names)


def read_lines(
    path: Path, locale: str = "", options: ReadOptions = DEFAULTS, report: ReadReport | None = None
) -> TextFile:
    """Read a UTF-8 file, plain or gzip (told by its first bytes, not by its name); UTF-16 needs its mark in front.

    Args:
        path: The file.
        locale: The locale that its name says.
        options: How it is to be read; where bad rows are left out, lines that are not UTF-8 are such rows.
        report: Where such rows are counted.

    Raises:
        DataNotFoundError: The file cannot be opened.
        DataFormatError: It is damaged, or not UTF-8.
    """
    raw = _unpack(path, None)
    try:
        text = _decode(raw)
    except UnicodeDecodeError as error:
        if raw.startswith(_UTF16_MARKS):
            raise DataFormatError(
                path, None, f"damaged UTF-16 text ({error.reason})", "UTF-8 text", "convert the file to UTF-8"
            ) from None
        problem = _not_utf8(path, raw.count(b"\n", 0, error.start), raw, error)
        if report is None:
            raise problem from None
        # The line and those like it are counted; what is left of them is refused as text, so no row is made of it.
        text = "\n".join(_decode_lines(path, raw, report))
    return TextFile(path, split_lines(text), locale, options, report)


def read_head(path: Path) -> str:
    """Return the beginning of a file, plain or gzip, without failing on what it holds: for guessing its format.

    Raises:
        DataNotFoundError: The file cannot be opened.
        DataFormatError: It is a damaged gzip file.
    """
    raw = _unpack(path, _HEAD_BYTES)
    text = raw.decode("utf-16" if raw.startswith(_UTF16_MARKS) else "utf-8", errors="replace")
    return text.removeprefix("\ufeff")


def split_lines(text: str) -> tuple[str, ...]:
    """Split ``text`` into lines at LF or CRLF alone; a byte-order mark at the beginning is left out."""
    lines = text.removeprefix("\ufeff").split("\n")
    if lines[-1] == "":
        lines.pop()
    if "\r" in text:
        lines = [line.removesuffix("\r") for line in lines]
    return tuple(lines)


def _decode(raw: bytes) -> str:
    return raw.decode("utf-16") if raw.startswith(_UTF16_MARKS) else raw.decode()


def _decode_lines(path: Path, raw: bytes, report: ReadReport) -> list[str]:
    lines = []
    for number, line in enumerate(raw.split(b"\n")):
        try:
            lines.append(line.decode())
        except UnicodeDecodeError as error:
            report.add(_not_utf8(path, number, line, error))
            lines.append(line.decode(errors="surrogateescape"))
    return lines


def _not_utf8(path: Path, line: int, raw: bytes, error: UnicodeDecodeError) -> DataFormatError:
    column = error.start - raw.rfind(b"\n", 0, error.start)
    found = f"byte 0x{raw[error.start]:02x} at byte {column} of the line is not UTF-8"
    return DataFormatError(path, line + 1, found, "UTF-8 text, plain or gzip", "convert the file to UTF-8")


def _unpack(path: Path, limit: int | None) -> bytes:
    """Return the content of a plain or gzip file, at most ``limit`` bytes of it."""
    try:
        with path.open("rb") as file:
            packed = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
            file.seek(0)
            if not packed:
                return file.read() if limit is None else file.read(limit)
            with gzip.open(file) as unpacked:
                return _unpack_all(path, unpacked) if limit is None else unpacked.read(limit)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataFormatError(
            path, None, f"damaged gzip file ({error})", "a whole gzip file", "fetch it again"
        ) from None
    except OSError as error:
        raise DataNotFoundError(f"{path}: cannot be read: {error.strerror or error}") from None


def _unpack_all(path: Path, unpacked: gzip.GzipFile) -> bytes:
    """Return all of a gzip file, but for one that is made to fill the memory."""
    size = path.stat().st_size
    limit = max(ALWAYS_UNPACKED, LARGEST_RATIO * size)
    chunks, total = [], 0
    while chunk := unpacked.read(_CHUNK_BYTES):
        chunks.append(chunk)
        total += len(chunk)
        if total > limit:
            found = f"a gzip file of {size:,} bytes that unpacks to more than {limit:,}"
            raise DataFormatError(path, None, found, "text, which packs far less", "unpack it if it is meant so")
    return b"".join(chunks)
