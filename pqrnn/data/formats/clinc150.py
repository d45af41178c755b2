"""CLINC150: intents without slots, all splits in one JSON file.

``{"train": [[text, intent], ...], "val": ..., "test": ..., "oos_train": [[text, "oos"], ...], "oos_val": ...,
"oos_test": ...}``

The out-of-scope rows join the split that their key names, with the intent that they carry (``oos``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from pqrnn.data.examples import Example
from pqrnn.data.formats.base import DataFormat, Row, check_text
from pqrnn.data.splits import find_split
from pqrnn.data.textfile import TextFile

_SECTION = re.compile(r'"(?:oos_)?(?:train|val|test)"\s*:\s*\[')
_SPACE = re.compile(r"[ \t\n\r]*")
_EXPECTED = 'an object of "train", "val", "test", "oos_train", "oos_val" and "oos_test", each a list of [text, intent]'


def _recognise(_name: str, head: Sequence[str]) -> bool:
    return head[0].lstrip().startswith("{") and _SECTION.search("\n".join(head)) is not None


def _read(file: TextFile) -> Iterator[Row]:
    for number, key, value in _scan(file):
        split = find_split(key)
        if not split:
            raise file.error(number, f"the key {key!r}", _EXPECTED)
        match value:
            case [str(text), str(intent)] if intent:
                check_text(file, number, text)
                yield Row(Example(text, intent, (), file.locale, file.locate(number)), split)
            case _:
                raise file.error(number, f"the row {value!r}", _EXPECTED)


def _scan(file: TextFile) -> Iterator[tuple[int, str, Any]]:
    """Yield line, key and value for each element of the lists: a plain parse would lose the lines."""
    text, decoder = "\n".join(file.lines), json.JSONDecoder()
    line, counted = 0, 0

    def skip(position: int) -> int:
        nonlocal line, counted
        found = _SPACE.match(text, position)
        position = found.end() if found else position
        line += text.count("\n", counted, position)
        counted = position
        return position

    def expect(mark: str, position: int) -> int:
        if not text.startswith(mark, position):
            raise file.error(line, f"{text[position : position + 10]!r} where {mark!r} belongs", _EXPECTED)
        return skip(position + 1)

    try:
        position = expect("{", skip(0))
        while not text.startswith("}", position):
            key, position = decoder.raw_decode(text, position)
            position = expect("[", expect(":", skip(position)))
            while not text.startswith("]", position):
                value, after = decoder.raw_decode(text, position)
                yield line, str(key), value
                position = skip(after)
                position = position if text.startswith("]", position) else expect(",", position)
            position = skip(position + 1)
            position = position if text.startswith("}", position) else expect(",", position)
    except json.JSONDecodeError as error:
        raise file.error(error.lineno - 1, f"not JSON: {error.msg} at column {error.colno}", _EXPECTED) from None


FORMAT = DataFormat(
    "clinc150", "CLINC150 JSON: intents only, out-of-scope included, all splits in one file", _recognise, _read
)
