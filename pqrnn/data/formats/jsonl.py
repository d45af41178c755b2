"""Our own format: one JSON object for each line.

``{"text": "wake me at seven", "intent": "alarm_set", "slots": [{"start": 11, "end": 16, "label": "time"}], "locale":
"en"}``

``slots`` and ``locale`` may be left out, and so may ``split`` (``train``, ``dev``, ``test``). Offsets count Unicode
code points, the end is exclusive. A slot may carry its own ``text``, which is then compared with what stands there: the
usual way to find out about offsets that count something else. Other keys are allowed and mean nothing here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pqrnn.data.examples import Example, SlotSpan
from pqrnn.data.formats.base import DataFormat, Row, check_slot, check_text, parse_object, read_split, read_string
from pqrnn.data.locales import normalise_locale
from pqrnn.data.textfile import TextFile

_EXPECTED = 'an object with "text", "intent" and, where there are any, "slots"'
_SLOT_EXPECTED = 'slots as [{"start": 0, "end": 4, "label": "name"}, ...], in code points'


def _recognise(_name: str, head: Sequence[str]) -> bool:
    first = head[0].lstrip()
    return first.startswith("{") and '"text"' in first and '"intent"' in first


def _read(file: TextFile) -> Iterator[Row]:
    for number, line in enumerate(file.lines):
        if not line:
            continue
        row = parse_object(file, number, line, _EXPECTED)
        text = read_string(file, number, row, "text", _EXPECTED)
        intent = read_string(file, number, row, "intent", _EXPECTED)
        check_text(file, number, text)
        slots = tuple(_read_slot(file, number, text, each) for each in _read_list(file, number, row.get("slots")))
        locale = read_string(file, number, row, "locale", _EXPECTED) if row.get("locale") else ""
        example = Example(text, intent, slots, normalise_locale(locale) or file.locale, file.locate(number))
        yield Row(example, read_split(file, number, row.get("split")))


def _read_list(file: TextFile, number: int, value: object) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise file.error(number, f'"slots" is {value!r}', _SLOT_EXPECTED)
    return value


def _read_slot(file: TextFile, number: int, text: str, value: object) -> SlotSpan:
    if not isinstance(value, dict):
        raise file.error(number, f"slot {value!r}", _SLOT_EXPECTED)
    start, end, label = value.get("start"), value.get("end"), value.get("label")
    if type(start) is not int or type(end) is not int or not isinstance(label, str):
        raise file.error(number, f"slot {value!r}", _SLOT_EXPECTED)
    slot = SlotSpan(label, start, end)
    check_slot(file, number, text, slot)
    said = value.get("text")
    if said is not None and said != text[start:end]:
        found = f"slot {label!r} says {said!r}, but {text[start:end]!r} stands from {start} to {end}"
        raise file.error(number, found, "the same text", "offsets count Unicode code points, not bytes or UTF-16 units")
    return slot


FORMAT = DataFormat("jsonl", "JSON lines with text, intent and slots in code points", _recognise, _read)
