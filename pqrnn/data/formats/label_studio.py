"""Label Studio's JSON export: the choice of a task is its intent, its labelled regions are its slots.

Its offsets count UTF-16 units, as JavaScript does; each region carries its text, which says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pqrnn.data.examples import Example, SlotSpan
from pqrnn.data.formats.base import DataFormat, Row, check_slot, check_text, show
from pqrnn.data.formats.json_scan import scan_json
from pqrnn.data.textfile import TextFile

_EXPECTED = 'tasks {"data": {"text": ...}, "annotations": [{"result": [...]}]}, with labels and one choice'


def _recognise(_name: str, head: Sequence[str]) -> bool:
    start = "".join(head).lstrip()
    return start.startswith("[") and '"annotations"' in start and '"result"' in start and '"data"' in start


def _read(file: TextFile) -> Iterator[Row]:
    for part in scan_json(file, lambda path: not path, _EXPECTED):
        with file.guard_row():
            match part.value:
                case {"data": {**data}, "annotations": [*annotations]}:
                    yield _read_task(file, part.line, data, annotations)
                case _:
                    raise file.error(part.line, f"the task {show(part.value)}", _EXPECTED)


def _read_task(file: TextFile, number: int, data: dict[Any, Any], annotations: Sequence[Any]) -> Row:
    key = file.options.text_column or "text"
    text = data.get(key)
    if not isinstance(text, str):
        keys = ", ".join(map(repr, data)) or "none"
        raise file.error(number, f"no {key!r} in the data; the keys are {keys}", _EXPECTED, "say --text-column KEY")
    check_text(file, number, text)
    kept = [each for each in annotations if isinstance(each, dict) and not each.get("was_cancelled")]
    if not kept or not isinstance(kept[0].get("result"), list):
        raise file.error(number, "a task without an annotation", _EXPECTED, "export the finished tasks")
    intents, slots = [], []
    for each in kept[0]["result"]:
        match each:
            case {"value": {"choices": [str(choice), *_]}}:
                intents.append(choice)
            case {"value": {"start": int(start), "end": int(end), "labels": [str(label), *_], **rest}}:
                slots.append(_place(file, number, text, start, end, label, rest.get("text")))
    if len(intents) != 1 or not intents[0].strip():
        raise file.error(number, f"{len(intents)} choices", f"{_EXPECTED}, which is the intent")
    return Row(Example(text, intents[0], tuple(slots), file.locale, file.locate(number)))


def _place(file: TextFile, number: int, text: str, start: int, end: int, label: str, said: object) -> SlotSpan:
    if not text.isascii():
        points = [0]
        for index, char in enumerate(text, 1):
            points += [index] * (2 if ord(char) > 0xFFFF else 1)
        if 0 <= start <= end < len(points) and (said is None or text[points[start] : points[end]] == said):
            start, end = points[start], points[end]
    slot = SlotSpan(label, start, end)
    check_slot(file, number, text, slot)
    if said is not None and said != text[start:end]:
        found = f"region {label!r} says {show(said)}, but {text[start:end]!r} stands from {start} to {end}"
        raise file.error(number, found, "the same text")
    return slot


FORMAT = DataFormat(
    "label-studio", "Label Studio's JSON export with labels and one choice", _recognise, _read, secondary=True
)
