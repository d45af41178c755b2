"""What a data format is, and the checks that all formats share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pqrnn.data.examples import Example, SlotSpan
from pqrnn.data.splits import SPLITS, find_split
from pqrnn.data.textfile import TextFile


class Row(NamedTuple):
    """One example, with the split that the file itself gives it (``train``, ``dev``, ``test``, or ``""``)."""

    example: Example
    split: str = ""


@dataclass(frozen=True, slots=True)
class DataFormat:
    """A way to write labelled utterances down.

    Attributes:
        name: What users type before the colon of ``format:PATH``.
        summary: One line for lists and error messages.
        recognises: Says, from a file's name without ``.gz`` and its first lines, whether the file is of this format.
        read: Reads a whole file; raises :class:`~pqrnn.errors.DataFormatError` at the first wrong line.
        split_is_folder: The files of one split share a folder, and their own names say nothing about it.
    """

    name: str
    summary: str
    recognises: Callable[[str, Sequence[str]], bool]
    read: Callable[[TextFile], Iterator[Row]]
    split_is_folder: bool = False


def check_text(file: TextFile, line: int, text: str) -> None:
    """Raise where ``text`` cannot be an utterance: nothing but white space, or not encodable as UTF-8."""
    if not text or text.isspace():
        raise file.error(line, "an empty utterance", "text with at least one visible character")
    _check_characters(file, line, text)


def check_slot(file: TextFile, line: int, text: str, slot: SlotSpan) -> None:
    """Raise where ``slot`` has no label or does not lie inside ``text``; an empty slot is counted later."""
    if not slot.label.strip():
        raise file.error(line, f"a slot from {slot.start} to {slot.end} without a label", "a label for each slot")
    _check_characters(file, line, slot.label)
    if not 0 <= slot.start <= slot.end <= len(text):
        raise file.error(
            line,
            f"slot {slot.label!r} from {slot.start} to {slot.end} in a text of {len(text)} code points",
            f"0 <= start <= end <= {len(text)}",
            "offsets count Unicode code points, and the end is the one after the last",
        )


def _check_characters(file: TextFile, line: int, text: str) -> None:
    """Raise where ``text`` holds half of a surrogate pair, as a JSON escape can."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            found = f"the lone surrogate U+{ord(text[error.start]):04X} at character {error.start} of {text!a}"
            raise file.error(line, found, "whole Unicode characters") from None


def parse_object(file: TextFile, line: int, written: str, expected: str) -> dict[str, Any]:
    """Parse the JSON object of one line, or raise."""
    try:
        row = json.loads(written)
    except json.JSONDecodeError as error:
        raise file.error(line, f"not JSON: {error.msg} at column {error.colno}", expected) from None
    except (ValueError, RecursionError) as error:
        raise file.error(line, f"not usable JSON: {error}", expected) from None
    if not isinstance(row, dict):
        raise file.error(line, f"a JSON {type(row).__name__}", expected)
    return row


def read_string(file: TextFile, line: int, row: Mapping[str, object], key: str, expected: str) -> str:
    """Return the string at ``key``, which must not be blank, or raise."""
    value = row.get(key)
    if isinstance(value, str) and value.strip():
        _check_characters(file, line, value)
        return value
    if key not in row:
        raise file.error(line, f"no {key!r}; the keys are {', '.join(map(repr, row)) or 'none'}", expected)
    raise file.error(line, f"{key!r} is {value!r}", f"{expected}, with {key!r} a string that is not blank")


def read_split(file: TextFile, line: int, value: object) -> str:
    """Return the split that a row names, or ``""`` for None, or raise."""
    if value is None:
        return ""
    split = find_split(value) if isinstance(value, str) else ""
    if not split:
        raise file.error(line, f"split {value!r}", f"one of {', '.join(SPLITS)}")
    return split
