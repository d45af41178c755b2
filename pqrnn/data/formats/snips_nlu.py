"""snips-nlu's data sets: JSON with pieces of text, as its benchmark has them, too, and the YAML of before them.

A slot has the name of the slot (``slot_name``), or that of its entity where it has none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from pqrnn.data.examples import Example, SlotSpan
from pqrnn.data.formats.base import DataFormat, Row, check_slot, check_text, show
from pqrnn.data.formats.inline import read_snips_text, unquote
from pqrnn.data.formats.json_scan import Path, scan_json
from pqrnn.data.locales import normalise_locale
from pqrnn.data.textfile import TextFile

_ENTITIES = ("entities", "language", "snips_nlu_version")
_BENCHMARK = re.compile(r'\s*\{\s*"[^"]+"\s*:\s*\[\s*\{\s*"data"\s*:\s*\[')
_DATASET = re.compile(r'"utterances"\s*:\s*\[\s*\{\s*"data"\s*:\s*\[')
_LANGUAGE = re.compile(r'"language"\s*:\s*"([A-Za-z_-]+)"')
_EXPECTED = 'intents with utterances {"data": [{"text": "to "}, {"text": "Paris", "slot_name": "to"}]}'
_YAML_EXPECTED = "`type: intent`, `name: ...` and `utterances:` with lines of a hyphen and a text"


def _recognise(name: str, head: Sequence[str]) -> bool:
    if name.lower().endswith((".yml", ".yaml")):
        return any(re.fullmatch(r"type\s*:\s*intent\s*", line) for line in head)
    start = "\n".join(head)
    return start.lstrip().startswith("{") and (_BENCHMARK.match(start) or _DATASET.search(start)) is not None


def _read(file: TextFile) -> Iterator[Row]:
    first = next((line for line in file.lines if line.strip()), "")
    return _read_json(file) if first.lstrip().startswith("{") else _read_yaml(file)


def _read_json(file: TextFile) -> Iterator[Row]:
    found = next(filter(None, map(_LANGUAGE.search, file.lines)), None)
    locale = file.locale or (normalise_locale(found[1]) if found else "")
    for part in scan_json(file, _opens, _EXPECTED):
        if not part.path or not isinstance(part.path[-1], int):
            continue
        intent = str(part.path[1] if part.path[0] == "intents" else part.path[0])
        with file.guard_row():
            pieces = part.value.get("data") if isinstance(part.value, dict) else None
            if not isinstance(pieces, list) or not all(map(_is_piece, pieces)):
                raise file.error(part.line, f"the utterance {show(part.value)}", _EXPECTED)
            text, slots = "", []
            for piece in pieces:
                label = piece.get("slot_name") or piece.get("entity")
                if label:
                    slots.append(SlotSpan(label, len(text), len(text) + len(piece["text"])))
                text += piece["text"]
            yield _make_row(file, part.line, intent, text, tuple(slots), locale)


def _opens(path: Path) -> bool:
    """Say whether a part is on the way to utterances: ``intents``, its names, ``utterances``; or names alone."""
    return not path or (not isinstance(path[-1], int) and path[0] not in _ENTITIES and len(path) < 4)


def _is_piece(piece: Any) -> bool:
    return (
        isinstance(piece, dict)
        and isinstance(piece.get("text"), str)
        and all(isinstance(piece.get(key, ""), str) for key in ("slot_name", "entity"))
    )


def _read_yaml(file: TextFile) -> Iterator[Row]:
    """Read line by line; each document is an intent or an entity."""
    kind = name = key = ""
    for number, line in enumerate(file.lines):
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        if bare == "---":
            kind = name = key = ""
            continue
        found = re.match(r"(\w+)\s*:\s*(.*)", line)
        if found:
            key = found[1]
            kind = unquote(found[2]) if key == "type" else kind
            name = unquote(found[2]) if key == "name" else name
            continue
        if kind != "intent" or key != "utterances":
            continue
        with file.guard_row():
            item = re.fullmatch(r"\s*-\s+(.*)", line)
            if item is None:
                raise file.error(number, f"{bare!r} without a hyphen before it", _YAML_EXPECTED)
            if not name:
                raise file.error(number, "an utterance before the intent's name", _YAML_EXPECTED)
            text, slots = read_snips_text(unquote(item[1]))
            yield _make_row(file, number, name, text, slots, file.locale)


def _make_row(file: TextFile, number: int, intent: str, text: str, slots: tuple[SlotSpan, ...], locale: str) -> Row:
    check_text(file, number, text)
    check_text(file, number, intent)
    for slot in slots:
        check_slot(file, number, text, slot)
    return Row(Example(text, intent, slots, locale, file.locate(number)))


FORMAT = DataFormat("snips-nlu", "snips-nlu's data sets in JSON or YAML", _recognise, _read, secondary=True)
