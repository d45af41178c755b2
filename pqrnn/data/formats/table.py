"""Tables: comma-, semicolon- or tab-separated values with named columns, and ``text<TAB>intent`` without names.

The first line names the columns. Texts stand in ``text`` (or ``utterance``, ``utt``, ``query``, ``sentence``), intents
in ``intent`` (or ``intent_name``, ``category``, ``label``); other names are given with ``--text-column`` and
``--intent-column``, or numbers from 1 where a file names no columns. ``slots`` (our JSON), ``locale`` and ``split`` are
read where there are such columns, others are counted. A cell of a comma-separated file may hold line ends.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pqrnn.data.formats.base import DataFormat, Row, show
from pqrnn.data.formats.json_rows import read_object
from pqrnn.data.formats.tokens import is_tag
from pqrnn.data.reading import DEFAULTS, ReadOptions
from pqrnn.data.textfile import TextFile

_NAMES = {
    "text": ("text", "utterance", "utt", "query", "sentence"),
    "intent": ("intent", "intent_name", "category", "label"),
    "slots": ("slots",),
    "entities": ("entities",),
    "spans": ("spans",),
    "locale": ("locale", "language", "lang"),
    "split": ("split", "partition"),
}
_SPAN_ROLES = frozenset(("slots", "entities", "spans"))
_DELIMITERS = "\t,;|"
_SUFFIXES = re.compile(r"\.(csv|tsv|tab|txt)|[^.]*", re.IGNORECASE)
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_COLUMN = re.compile(r"[1-9][0-9]{0,2}")
_SEPARATOR = re.compile(r"sep=.", re.IGNORECASE)  # a line of Excel's before the names
_SURE_LINES = 20
_EXPECTED = "a first line that names the columns, with one for the texts and one for the intents"
_HINT = "say which columns they are with --text-column and --intent-column"


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a table is laid out: its delimiter, whether a line of names comes first, and which column has which role."""

    delimiter: str
    named: bool
    columns: tuple[str, ...]
    roles: dict[str, int]


def list_columns(head: Sequence[str]) -> tuple[str, ...]:
    """Return the names that the first line of a table gives its columns, for a hint; nothing where it is no table."""
    delimiter = max(_DELIMITERS, key=head[0].count)
    return tuple(_split(head[0], delimiter)) if delimiter in head[0] else ()


def _recognise(_name: str, head: Sequence[str]) -> bool:
    return _find_layout(head[_find_start(head)], DEFAULTS) is not None


def _recognise_columns(_name: str, head: Sequence[str], options: ReadOptions) -> bool:
    return not head[0].lstrip().startswith(("{", "[")) and _find_layout(head[_find_start(head)], options) is not None


def _recognise_pairs(name: str, head: Sequence[str]) -> bool:
    """Say whether lines are a text and an intent: two columns, of which the second repeats itself and is no tag."""
    suffix = name[name.rfind(".") :] if "." in name else ""
    rows = [line.split("\t") for line in head[:_SURE_LINES]]
    if not _SUFFIXES.fullmatch(suffix) or any(
        len(row) != 2 or not row[0].strip() or not row[1].strip() for row in rows
    ):
        return False
    tags = sum(is_tag(row[1]) for row in rows)
    spaced = sum(" " in row[0].strip() for row in rows) + sum(" " in row[1].strip() for row in rows)
    return tags < len(rows) and spaced > 0 and (len(rows) < _SURE_LINES or len({row[1] for row in rows}) < len(rows))


def _find_start(lines: Sequence[str]) -> int:
    """Return the number of the first line that says something of the table."""
    return next((at for at, line in enumerate(lines) if line.strip() and not _SEPARATOR.fullmatch(line.strip())), 0)


def _find_layout(first: str, options: ReadOptions) -> _Layout | None:
    """Return the layout that the first line names, or that the options give by numbers."""
    for delimiter in _DELIMITERS:
        cells = _split(first, delimiter)
        roles = _find_roles(cells, options) if len(cells) > 1 else {}
        if {"text", "intent"} <= roles.keys():
            return _Layout(delimiter, True, tuple(cells), roles)
    numbers = [_column_number(name) for name in (options.text_column, options.intent_column)]
    delimiter = max(_DELIMITERS, key=first.count)
    if all(number is not None for number in numbers) and delimiter in first:
        text, intent = (number for number in numbers if number is not None)
        return _Layout(delimiter, False, (), {"text": text, "intent": intent})
    return None


def _find_roles(cells: Sequence[str], options: ReadOptions) -> dict[str, int]:
    plain = [cell.casefold().strip().replace(" ", "_") for cell in cells]
    roles = {}
    for role, names in _NAMES.items():
        chosen = {"text": options.text_column, "intent": options.intent_column}.get(role, "")
        if chosen:
            if chosen in cells:
                roles[role] = cells.index(chosen)
            continue
        index = next((plain.index(name) for name in names if name in plain), None)
        if index is not None:
            roles[role] = index
    return roles


def _column_number(name: str) -> int | None:
    return int(name) - 1 if _COLUMN.fullmatch(name) else None


def _read(file: TextFile) -> Iterator[Row]:
    start = _find_start(file.lines)
    first = file.lines[start] if file.lines else ""
    layout = _find_layout(first, file.options)
    if layout is None:
        columns = list_columns([first]) if first else ()
        found = f"columns {', '.join(map(repr, columns))}" if columns else f"the line {first!r}"
        raise file.error(start, found, _EXPECTED, _HINT)
    yield from _read_rows(file, start, layout)


def _read_pairs(file: TextFile) -> Iterator[Row]:
    start = _find_start(file.lines)
    first = file.lines[start] if file.lines else ""
    layout = _find_layout(first, file.options)
    if layout is None:
        if file.options.text_column or file.options.intent_column:
            raise file.error(start, f"columns {', '.join(map(repr, first.split(chr(9))))}", _EXPECTED, _HINT)
        layout = _Layout("\t", False, (), {"text": 0, "intent": 1})
        _check_order(file)
    yield from _read_rows(file, start, layout)


def _check_order(file: TextFile) -> None:
    """Refuse a file whose first column looks like the intent: fewer different values, none with a space."""
    rows = [line.split("\t") for line in file.lines if line.count("\t") == 1]
    texts, intents = {row[0] for row in rows}, {row[1] for row in rows}
    if (
        len(texts) < len(intents)
        and not any(" " in text for text in texts)
        and any(" " in intent for intent in intents)
    ):
        found = f"{len(texts)} different texts without a space, and {len(intents)} different intents with spaces"
        hint = "if the intent comes first, say --text-column 2 --intent-column 1"
        raise file.error(None, found, "lines of text, tab, intent", hint)


def _read_rows(file: TextFile, start: int, layout: _Layout) -> Iterator[Row]:
    # What the user has named stands in `layout` now; the row itself has our keys.
    plain = replace(file, options=replace(file.options, text_column="", intent_column=""))
    for number, cells in _read_cells(file, start + layout.named, layout.delimiter):
        with file.guard_row():
            if isinstance(cells, str):
                raise file.error(number, cells, "values with commas between them, those with quotes or commas quoted")
            if not any(cell.strip() for cell in cells):
                continue
            width = len(layout.columns) if layout.named else max(2, 1 + max(layout.roles.values()))
            if len(cells) != width and (layout.named or len(cells) < width or not file.options.text_column):
                hint = "a value with the delimiter in it stands in double quotes" if layout.delimiter != "\t" else ""
                raise file.error(number, f"{len(cells)} columns", f"{width}", hint)
            row = {role: cells[index] for role, index in layout.roles.items()}
            if layout.named:
                used = set(layout.roles.values())
                file.count_keys([name for index, name in enumerate(layout.columns) if index not in used])
            if not row["text"].strip():
                raise file.error(number, "an empty text", "a text and an intent on each line")
            if not row["intent"].strip():
                raise file.error(number, "an empty intent", "a text and an intent on each line")
            yield read_object(plain, number, _to_object(file, number, row))


def _to_object(file: TextFile, number: int, row: dict[str, str]) -> dict[str, object]:
    made: dict[str, object] = {name: value.strip() or None for name, value in row.items()}
    made["text"] = row["text"]
    for name in _SPAN_ROLES & made.keys():
        written = made[name]
        if isinstance(written, str):
            try:
                made[name] = json.loads(written)
            except (ValueError, RecursionError):
                expected = f'{name} as JSON, such as [{{"start": 0, "end": 4, "label": "name"}}]'
                raise file.error(number, f"{name} {show(written)}", expected) from None
    return made


def _read_cells(file: TextFile, start: int, delimiter: str) -> Iterator[tuple[int, list[str] | str]]:
    """Yield the first line of each row and its cells, or what is wrong with it."""
    if delimiter == "\t":
        for number in range(start, len(file.lines)):
            if file.lines[number]:
                yield number, _split(file.lines[number], delimiter)
        return
    reader = csv.reader((f"{line}\n" for line in file.lines[start:]), delimiter=delimiter, strict=True)
    while True:
        number = start + reader.line_num
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield number, f"no row of a table: {error}"
            continue
        if cells:
            yield number, cells


def _split(line: str, delimiter: str) -> list[str]:
    """Split one line that holds a whole row."""
    if delimiter == "\t":
        cells = line.split("\t")
        return [cell[1:-1].replace('""', '"') if _QUOTED.fullmatch(cell) else cell for cell in cells]
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter))]
    except (csv.Error, StopIteration):
        return [line]


FORMAT = DataFormat(
    "csv",
    "tables (comma, semicolon or tab) whose first line names a column of texts and one of intents",
    _recognise,
    _read,
    secondary=True,
    recognises_columns=_recognise_columns,
)
PAIRS = DataFormat("tsv", "lines of text, tab, intent", _recognise_pairs, _read_pairs, secondary=True)
