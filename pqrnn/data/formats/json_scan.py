"""Walking through a JSON document so that each part of it keeps its line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Iterator
from typing import Any, NamedTuple

from pqrnn.data.textfile import TextFile

Path = tuple[str | int, ...]
"""Keys and indices from the top of a document to one of its parts."""

_SPACE = re.compile(r"[ \t\n\r]*")


class Part(NamedTuple):
    """A part of a document.

    Attributes:
        line: Its line, counted from 0.
        path: The way to it.
        value: What it holds, as Python has it.
    """

    line: int
    path: Path
    value: Any


def scan_json(file: TextFile, opens: Callable[[Path], bool], expected: str) -> Iterator[Part]:
    """Yield the parts of a file that is one JSON document, as strictly as ``json.loads`` reads it.

    Args:
        file: The file.
        opens: Says whether the object or list at a path is taken apart, instead of being yielded whole.
        expected: What the file should hold, for messages.

    Raises:
        DataFormatError: The file is no JSON document, or one with numbers or a depth that are of no use.
    """
    yield from _Scanner(file, opens, expected).scan()


class _Scanner:
    def __init__(self, file: TextFile, opens: Callable[[Path], bool], expected: str) -> None:
        self._file, self._opens, self._expected = file, opens, expected
        self._text = "\n".join(file.lines)
        self._decoder = json.JSONDecoder()
        self._line = self._counted = 0

    def scan(self) -> Iterator[Part]:
        end = yield from self._parts(self._skip(0), ())
        if end < len(self._text):
            found = f"{self._text[end : end + 20]!r} after the end of the document"
            raise self._file.error(self._line, found, self._expected)

    def _parts(self, position: int, path: Path) -> Generator[Part, None, int]:
        """Yield the parts of the value at a position; return the position after it and the space behind it."""
        if not self._is_open(position, path):
            line = self._line
            value, position = self._decode(position)
            yield Part(line, path, value)
            return self._skip(position)
        mark = self._text[position]
        closing = "}" if mark == "{" else "]"
        position = self._skip(position + 1)
        index = 0
        while index or not self._text.startswith(closing, position):
            key: str | int = index
            if closing == "}":
                if not self._text.startswith('"', position):
                    raise self._wrong(position, "a key in double quotes")
                key, position = self._decode(position)
                position = self._expect(":", self._skip(position))
            below = (*path, key)
            if self._is_open(position, below):
                position = yield from self._parts(position, below)
            else:
                line = self._line
                value, position = self._decode(position)
                yield Part(line, below, value)
                position = self._skip(position)
            index += 1
            if self._text.startswith(closing, position):
                break
            position = self._expect(",", position)
        return self._skip(position + 1)

    def _is_open(self, position: int, path: Path) -> bool:
        return self._text.startswith(("{", "["), position) and self._opens(path)

    def _decode(self, position: int) -> tuple[Any, int]:
        try:
            return self._decoder.raw_decode(self._text, position)
        except json.JSONDecodeError as error:
            found = f"not JSON: {error.msg} at column {error.colno}"
            raise self._file.error(error.lineno - 1, found, self._expected) from None
        except (ValueError, RecursionError) as error:
            raise self._file.error(self._line, f"not usable JSON: {error}", self._expected) from None

    def _skip(self, position: int) -> int:
        found = _SPACE.match(self._text, position)
        position = found.end() if found else position
        self._line += self._text.count("\n", self._counted, position)
        self._counted = max(self._counted, position)
        return position

    def _expect(self, mark: str, position: int) -> int:
        if not self._text.startswith(mark, position):
            raise self._wrong(position, repr(mark))
        return self._skip(position + 1)

    def _wrong(self, position: int, wanted: str) -> Exception:
        found = f"{self._text[position : position + 10]!r} where {wanted} belongs"
        return self._file.error(self._line, found, self._expected)
