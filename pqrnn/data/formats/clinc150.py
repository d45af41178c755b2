"""CLINC150: intents without slots, all splits in one JSON file.

``{"train": [[text, intent], ...], "val": ..., "test": ..., "oos_train": [[text, "oos"], ...], "oos_val": ...,
"oos_test": ...}``

The out-of-scope rows join the split that their key names, with the intent that they carry (``oos``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pqrnn.data.examples import Example
from pqrnn.data.formats.base import DataFormat, Row, check_text, show
from pqrnn.data.formats.json_scan import scan_json
from pqrnn.data.splits import find_split
from pqrnn.data.textfile import TextFile

_SECTION = re.compile(r'"(?:oos_)?(?:train|val|test)"\s*:\s*\[\s*(?:\[|\]|$)')
_EXPECTED = 'an object of "train", "val", "test", "oos_train", "oos_val" and "oos_test", each a list of [text, intent]'


def _recognise(_name: str, head: Sequence[str]) -> bool:
    return head[0].lstrip().startswith("{") and _SECTION.search("\n".join(head)) is not None


def _read(file: TextFile) -> Iterator[Row]:
    for part in scan_json(file, lambda path: len(path) < 2, _EXPECTED):
        key = str(part.path[0]) if part.path else ""
        if len(part.path) != 2 or not isinstance(part.path[1], int):
            where = "'['" if part.path else "'{'"
            raise file.error(part.line, f"{show(part.value)} where {where} belongs", _EXPECTED)
        split = find_split(key)
        if not split or isinstance(part.path[0], int):
            raise file.error(part.line, f"the key {key!r}", _EXPECTED)
        with file.guard_row():
            match part.value:
                case [str(text), str(intent)] if intent.strip():
                    check_text(file, part.line, text)
                    check_text(file, part.line, intent)
                    yield Row(Example(text, intent, (), file.locale, file.locate(part.line)), split)
                case _:
                    raise file.error(part.line, f"the row {show(part.value)}", _EXPECTED)


FORMAT = DataFormat(
    "clinc150", "CLINC150 JSON: intents only, out-of-scope included, all splits in one file", _recognise, _read
)
