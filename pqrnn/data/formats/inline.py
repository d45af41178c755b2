"""Texts with their slots marked inside, and the few forms of YAML that such data are written in.

Rasa writes ``from [Paris](city)``, ``[Paris]{"entity": "city", "role": "from"}`` and ``[Paris](city:PAR)``; snips-nlu
writes ``from [origin:city](Paris)``, the other way round.
"""

from __future__ import annotations

import json
import re
from typing import Any

from pqrnn.data.examples import SlotSpan
from pqrnn.data.formats.base import show
from pqrnn.data.textfile import TextFile

_RASA = re.compile(r"\[(?P<text>[^\]]+)\](?:\((?P<label>[^():]+)(?::[^()]*)?\)|(?P<more>\{[^{}]*\}|\[\{[^\]]*\}\]))")
_SNIPS = re.compile(r"\[(?P<label>[^\]:]+)(?::[^\]]*)?\]\((?P<text>[^)]+)\)")
_RASA_EXPECTED = 'marks such as [Paris](city) or [Paris]{"entity": "city", "role": "from"}'
Marked = tuple[str, tuple[SlotSpan, ...]]


def read_rasa_text(file: TextFile, number: int, marked: str) -> Marked:
    """Return the text without its marks, and the slots; a role is written behind its entity, ``city.from``."""
    text, slots, last = "", [], 0
    for found in _RASA.finditer(marked):
        text += marked[last : found.start()]
        start, end = len(text), len(text) + len(found["text"])
        labels = [found["label"].strip()] if found["label"] else _read_entities(file, number, found["more"])
        slots += [SlotSpan(label, start, end) for label in labels]
        text += found["text"]
        last = found.end()
    return text + marked[last:], tuple(slots)


def read_snips_text(marked: str) -> Marked:
    """Return the text without its marks, and the slots under the names of the slots, not of their entities."""
    text, slots, last = "", [], 0
    for found in _SNIPS.finditer(marked):
        text += marked[last : found.start()]
        slots.append(SlotSpan(found["label"].strip(), len(text), len(text) + len(found["text"])))
        text += found["text"]
        last = found.end()
    return text + marked[last:], tuple(slots)


def name_entity(entity: Any) -> str:
    """Return the label of one of Rasa's entities, or "" where it names none."""
    name, role = entity.get("entity"), entity.get("role")
    if not isinstance(name, str) or not name.strip():
        return ""
    return f"{name}.{role}" if isinstance(role, str) and role else name


def _read_entities(file: TextFile, number: int, written: str) -> list[str]:
    try:
        value = json.loads(written)
    except (ValueError, RecursionError):
        value = None
    entities = value if isinstance(value, list) else [value]
    labels = [name_entity(each) if isinstance(each, dict) else "" for each in entities]
    if not all(labels):
        raise file.error(number, show(written), _RASA_EXPECTED)
    return labels


def unquote(value: str) -> str:
    """Return a YAML scalar without a comment behind it and without its quotes."""
    value = value.strip()
    if value[:1] == '"' and (end := value.rfind('"')) > 0:
        try:
            return str(json.loads(value[: end + 1]))
        except ValueError:
            return value[1:end]
    if value[:1] == "'" and (end := value.rfind("'")) > 0:
        return value[1:end].replace("''", "'")
    return re.split(r"\s#", value, maxsplit=1)[0].strip()
