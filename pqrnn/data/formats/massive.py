"""MASSIVE: one JSON object for each line, with ``utt``, ``intent`` and slots.

The official files (FitzGerald et al. 2022) write slots into ``annot_utt`` as ``wake me at [time : five am]`` and carry
their split in ``partition``. Other editions carry ``slots`` as ``[start, end, label]`` in code points beside it or in
its position; they win, for they say where a repeated value stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from pqrnn.data.examples import Example, SlotSpan
from pqrnn.data.formats.base import (
    DataFormat,
    Row,
    check_slot,
    check_text,
    parse_object,
    read_split,
    read_string,
    show,
    suggest_key,
)
from pqrnn.data.locales import normalise_locale
from pqrnn.data.textfile import TextFile

_ANNOTATION = re.compile(r"\[\s*([^\[\]:]+?)\s*:\s*([^\[\]]*?)\s*\]")
_EXPECTED = 'an object with "utt", "intent" and "annot_utt" or "slots"'
_KEYS = ("utt", "intent", "annot_utt", "slots", "locale", "partition")
# Keys of the official files that say nothing about intent and slots.
_KNOWN = frozenset((*_KEYS, "id", "scenario", "worker_id", "slot_method", "judgments"))
_ALIASES = tuple(
    {
        **dict.fromkeys(("slot", "entity", "entities", "span", "spans", "label", "labels", "tags"), "slots"),
        **dict.fromkeys(("language", "lang"), "locale"),
        "split": "partition",
    }.items()
)
_SLOTS_EXPECTED = '"slots" as [[start, end, "label"], ...], in code points'
_ANNOTATED_EXPECTED = 'an "annot_utt" such as "wake me at [time : five am]" that says the same as "utt"'


def _recognise(_name: str, head: Sequence[str]) -> bool:
    first = head[0].lstrip()
    return first.startswith("{") and '"utt"' in first


def _read(file: TextFile) -> Iterator[Row]:
    for number, line in enumerate(file.lines):
        if not line:
            continue
        with file.guard_row():
            yield _read_row(file, number, parse_object(file, number, line, _EXPECTED))


def _read_row(file: TextFile, number: int, row: dict[str, Any]) -> Row:
    text = read_string(file, number, row, "utt", _EXPECTED)
    intent = read_string(file, number, row, "intent", _EXPECTED)
    check_text(file, number, text)
    if not row.keys() <= _KNOWN:
        _check_keys(file, number, row)
    if row.get("slots") is not None:
        slots = _read_triples(file, number, row["slots"])
    else:
        slots = _find_annotations(file, number, text, read_string(file, number, row, "annot_utt", _EXPECTED))
    for slot in slots:
        check_slot(file, number, text, slot)
    locale = read_string(file, number, row, "locale", _EXPECTED) if row.get("locale") else ""
    example = Example(text, intent, tuple(slots), normalise_locale(locale) or file.locale, file.locate(number))
    return Row(example, read_split(file, number, row.get("partition")))


def _check_keys(file: TextFile, number: int, row: dict[str, Any]) -> None:
    others = [key for key in row if key not in _KNOWN]
    for key in others:
        meant = suggest_key(key, _KEYS, _ALIASES)
        if meant and meant not in row and row[key] not in (None, "", [], {}):
            found = f"the key {key!r} (did you mean {meant!r}?)"
            raise file.error(number, found, f"keys {', '.join(map(repr, _KEYS))}", "rename it, or leave it out")
    file.count_keys(others)


def _read_triples(file: TextFile, number: int, value: Any) -> list[SlotSpan]:
    if not isinstance(value, list):
        raise file.error(number, f'"slots" is {show(value)}', _SLOTS_EXPECTED)
    slots = []
    for each in value:
        match each:
            case [int(start), int(end), str(label)] if type(start) is type(end) is int:
                slots.append(SlotSpan(label, start, end))
            case _:
                raise file.error(number, f"slot {show(each)}", _SLOTS_EXPECTED)
    return slots


def _find_annotations(file: TextFile, number: int, text: str, annotated: str) -> list[SlotSpan]:
    """Take the annotations out of ``annotated`` and place them in ``text``, whatever the white space between words."""
    plain, slots, last = "", [], 0
    for found in _ANNOTATION.finditer(annotated):
        plain += annotated[last : found.start()]
        slots.append(SlotSpan(found[1], len(plain), len(plain) + len(found[2])))
        plain += found[2]
        last = found.end()
    plain += annotated[last:]
    if plain == text:
        return slots
    visible = [index for index, char in enumerate(text) if not char.isspace()]
    if "".join(plain.split()) != "".join(text[index] for index in visible):
        found_text = f'"annot_utt" without its marks is {plain!r}, "utt" is {text!r}'
        raise file.error(number, found_text, _ANNOTATED_EXPECTED)
    moved = []
    for slot in slots:
        first = sum(not char.isspace() for char in plain[: slot.start])
        count = sum(not char.isspace() for char in plain[slot.start : slot.end])
        start = visible[first] if first < len(visible) else len(text)
        moved.append(SlotSpan(slot.label, start, visible[first + count - 1] + 1 if count else start))
    return moved


FORMAT = DataFormat("massive", "MASSIVE JSON lines with utt, intent and annot_utt or slots", _recognise, _read)
