"""What a data format is, and the checks that all formats share."""

from __future__ import annotations

import difflib
import json
import reprlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from pqrnn.data.examples import LONGEST_TEXT, Example, SlotSpan
from pqrnn.data.reading import ReadOptions
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
        read: Reads a whole file. What is wrong with one row is raised as a :class:`~pqrnn.errors.DataFormatError`
            inside of ``file.guard_row()``, so that the other rows can be had; what is wrong with the file outside.
        split_is_folder: The files of one split share a folder, and their own names say nothing about it.
        beside: Names of files that are read together with the one that is recognised.
        secondary: In a folder, files of this format count only where there are none of another: its mark is broad, or
            what it is written by puts other things beside it.
        merges: Several files of one split are parts of one data set.
        recognises_columns: As ``recognises``, where the user has named the columns of the texts and intents; None
            where the format has no names to give.
    """

    name: str
    summary: str
    recognises: Callable[[str, Sequence[str]], bool]
    read: Callable[[TextFile], Iterator[Row]]
    split_is_folder: bool = False
    beside: tuple[str, ...] = ()
    secondary: bool = False
    merges: bool = False
    recognises_columns: Callable[[str, Sequence[str], ReadOptions], bool] | None = None


def check_text(file: TextFile, line: int, text: str) -> None:
    """Raise where ``text`` cannot be an utterance: nothing but white space, not encodable as UTF-8, or too long."""
    if not text or text.isspace():
        raise file.error(line, "an empty utterance", "text with at least one visible character")
    _check_characters(file, line, text)
    if len(text) > LONGEST_TEXT // 4 and (size := len(text.encode())) > LONGEST_TEXT:
        raise file.error(
            line, f"an utterance of {size:,} bytes, {text[:20]!r}...", f"at most {LONGEST_TEXT:,} bytes", "divide it"
        )


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
    hint = "write the names of labels instead of their numbers" if isinstance(value, int | float) else ""
    raise file.error(line, f"{key!r} is {show(value)}", f"{expected}, with {key!r} a string that is not blank", hint)


def read_split(file: TextFile, line: int, value: object) -> str:
    """Return the split that a row names, or ``""`` for None, or raise."""
    if value is None:
        return ""
    split = find_split(value) if isinstance(value, str) else ""
    if not split:
        raise file.error(line, f"split {show(value)}", f"one of {', '.join(SPLITS)}")
    return split


def show(value: object) -> str:
    """Return a value out of a file as Python writes it, cut where it is long or deep."""
    return _SHOWN.repr(value)


@lru_cache(maxsize=1024)  # the same few keys come in every row
def suggest_key(key: str, known: tuple[str, ...], aliases: tuple[tuple[str, str], ...]) -> str:
    """Return the known key that an unknown one is probably meant for, or "".

    It differs in capitals, hyphens and the like alone, is one of the other usual names, or is nearly the same.
    """
    plain = key.casefold().replace("-", "_").replace(" ", "_").strip("_")
    if plain in known:
        return plain
    for name, meant in aliases:
        if name == plain:
            return meant
    near = difflib.get_close_matches(plain, known, n=1, cutoff=0.86)
    return near[0] if near else ""


def _make_shown() -> reprlib.Repr:
    shown = reprlib.Repr()
    shown.maxlevel, shown.maxdict, shown.maxlist, shown.maxstring, shown.maxother = 4, 12, 12, 200, 60
    return shown


_SHOWN = _make_shown()
