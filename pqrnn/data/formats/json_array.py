"""JSON arrays of objects, as many tools export them: ``[{"text": ..., "intent": ...}, ...]``.

The array may be one of several under the names of splits, ``{"train": [...], "test": [...]}``, or stand under
``data``, ``examples`` or ``rows``. An object is what a line of our JSON lines is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pqrnn.data.formats.base import DataFormat, Row, show
from pqrnn.data.formats.json_rows import EXPECTED, read_object
from pqrnn.data.formats.json_scan import scan_json
from pqrnn.data.reading import DEFAULTS, ReadOptions
from pqrnn.data.splits import OTHER_NAMES, find_split
from pqrnn.data.textfile import TextFile

_HOLDERS = ("data", "examples", "rows", "utterances", "samples", "items")
# An object of lists, not the first of many lines with an object each: before the list come values of no account.
_LISTS = re.compile(
    r'\{(?:\s*"(?!text"|intent")[^"]*"\s*:\s*(?:"[^"]*"|[\d.]+|null|true|false)\s*,)*'
    rf'\s*"(?:{"|".join((*_HOLDERS, *OTHER_NAMES))})"\s*:\s*\[\s*\{{'
)
_EXPECTED = f'a list of objects, each {EXPECTED}, or an object of such lists named "train", "dev" and "test" or "data"'


def _recognise(name: str, head: Sequence[str]) -> bool:
    return _recognise_columns(name, head, DEFAULTS)


def _recognise_columns(_name: str, head: Sequence[str], options: ReadOptions) -> bool:
    names = re.escape(options.text_column) or "(?:text|tokens)", re.escape(options.intent_column) or "intent"
    start = "".join(head).lstrip()
    return (start.startswith("[") or _LISTS.match(start) is not None) and all(
        re.search(rf'"{name}"\s*:', start) for name in names
    )


def _read(file: TextFile) -> Iterator[Row]:
    for part in scan_json(file, lambda path: not path or (len(path) == 1 and isinstance(path[0], str)), _EXPECTED):
        key = part.path[0] if part.path else ""
        if not part.path or (len(part.path) == 2 and isinstance(part.path[1], str)):
            raise file.error(part.line, show(part.value), _EXPECTED)
        if len(part.path) == 1 and isinstance(key, str):
            file.count_keys([key])  # a version, a description
            continue
        split = find_split(key) if isinstance(key, str) else ""
        if isinstance(key, str) and not split and key.lower() not in _HOLDERS:
            raise file.error(part.line, f"a list under the key {key!r}", _EXPECTED)
        with file.guard_row():
            value = part.value
            if isinstance(value, dict) and isinstance(value.get("row"), dict):
                value = value["row"]
            if not isinstance(value, dict):
                raise file.error(part.line, f"the row {show(value)}", EXPECTED)
            example, named = read_object(file, part.line, value)
            yield Row(example, named or split)


FORMAT = DataFormat(
    "json-array",
    "JSON lists of objects with text, intent and slots",
    _recognise,
    _read,
    secondary=True,
    recognises_columns=_recognise_columns,
)
