"""Our own format: one JSON object for each line.

``{"text": "wake me at seven", "intent": "alarm_set", "slots": [{"start": 11, "end": 16, "label": "time"}], "locale":
"en"}``

``slots`` and ``locale`` may be left out, and so may ``split`` (``train``, ``dev``, ``test``). Offsets count Unicode
code points, the end is exclusive. A slot may carry its own ``text``, which is then compared with what stands there: the
usual way to find out about offsets that count something else. Other keys are counted and mean
nothing here, but for those that look like one of ours (`pqrnn.data.formats.json_rows`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pqrnn.data.formats.base import DataFormat, Row, parse_object
from pqrnn.data.formats.json_rows import EXPECTED, read_object
from pqrnn.data.reading import ReadOptions
from pqrnn.data.textfile import TextFile

_TEXT, _INTENT = re.compile(r'"(?:text|tokens)"\s*:'), re.compile(r'"intent"\s*:')


def _recognise(_name: str, head: Sequence[str]) -> bool:
    first = head[0].lstrip()
    return first.startswith("{") and _TEXT.search(first) is not None and _INTENT.search(first) is not None


def _recognise_columns(_name: str, head: Sequence[str], options: ReadOptions) -> bool:
    names = options.text_column or "text", options.intent_column or "intent"
    return head[0].lstrip().startswith("{") and all(f'"{name}"' in head[0] for name in names)


def _read(file: TextFile) -> Iterator[Row]:
    for number, line in enumerate(file.lines):
        if not line:
            continue
        with file.guard_row():
            yield read_object(file, number, parse_object(file, number, line, EXPECTED))


FORMAT = DataFormat(
    "jsonl",
    "JSON lines with text, intent and slots in code points",
    _recognise,
    _read,
    recognises_columns=_recognise_columns,
)
