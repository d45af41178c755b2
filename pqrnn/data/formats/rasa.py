"""Rasa's training data: YAML with a section ``nlu``, the JSON of ``rasa_nlu_data``, and the Markdown of before.

Of YAML the forms that Rasa documents are read: ``- intent: name`` with ``examples: |`` and a hyphen before each text,
or with a list of texts. Synonyms, lookup tables and regular expressions are no utterances and are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pqrnn.data.examples import Example
from pqrnn.data.formats.base import DataFormat, Row, check_slot, check_text, show
from pqrnn.data.formats.inline import read_rasa_text, unquote
from pqrnn.data.formats.json_rows import read_object
from pqrnn.data.formats.json_scan import scan_json
from pqrnn.data.textfile import TextFile

_ITEM = re.compile(r"(\s*)-\s+(intent|synonym|lookup|regex)\s*:\s*(.*)")
_SECTION = re.compile(r"([A-Za-z_]\w*)\s*:")
_HEADING = re.compile(r"##\s*(intent|synonym|lookup|regex)\s*:\s*(.*)")
_EXAMPLE = re.compile(r"\s*[-*]\s+(.*)")
_TEXT_KEY = re.compile(r"text\s*:\s*(.*)")
_BLOCK = re.compile(r"[|>][-+0-9]*")
_EXPECTED = "`- intent: name` with `examples: |` and lines of a hyphen and a text"
_JSON_EXPECTED = 'an object "rasa_nlu_data" with "common_examples", a list of objects with "text", "intent", "entities"'


def _recognise(name: str, head: Sequence[str]) -> bool:
    if '"rasa_nlu_data"' in "".join(head[:50]):
        return True
    if name.lower().endswith((".yml", ".yaml")):
        return any(re.match(r"nlu\s*:", line) for line in head)
    return name.lower().endswith(".md") and any(re.match(r"##\s*intent\s*:", line) for line in head)


def _read(file: TextFile) -> Iterator[Row]:
    first = next((line for line in file.lines if line.strip()), "")
    if first.lstrip().startswith("{"):
        return _read_json(file)
    return _read_markdown(file) if any(_HEADING.match(line) for line in file.lines) else _read_yaml(file)


def _read_json(file: TextFile) -> Iterator[Row]:
    path_of_rows = ("rasa_nlu_data", "common_examples")
    for part in scan_json(file, lambda path: path == path_of_rows[: len(path)], _JSON_EXPECTED):
        if len(part.path) == 3 and part.path[:2] == path_of_rows:
            with file.guard_row():
                if not isinstance(part.value, dict):
                    raise file.error(part.line, f"the row {show(part.value)}", _JSON_EXPECTED)
                yield read_object(file, part.line, part.value)


def _read_markdown(file: TextFile) -> Iterator[Row]:
    intent = None
    for number, line in enumerate(file.lines):
        heading = _HEADING.fullmatch(line.rstrip())
        if heading:
            intent = heading[2].strip() if heading[1] == "intent" else None
            continue
        example = _EXAMPLE.fullmatch(line.rstrip())
        if intent is not None and example:
            with file.guard_row():
                yield _make_row(file, number, intent, example[1])


def _read_yaml(file: TextFile) -> Iterator[Row]:
    """Read the section ``nlu`` line by line, which keeps the lines and needs no YAML library."""
    section, reader = "", _Examples(file)
    for number, line in enumerate(file.lines):
        bare = line.strip()
        if not bare or bare.startswith("#") or bare == "---":
            continue
        found, item = _SECTION.match(line), _ITEM.fullmatch(line)
        if found:
            section, reader = found[1], _Examples(file)
        elif section == "nlu" and item:
            reader = _Examples(file, unquote(item[3]) if item[2] == "intent" else None)
        elif section == "nlu" and reader.intent is not None:
            with file.guard_row():
                marked = reader.read(number, line)
                if marked:
                    yield _make_row(file, number, reader.intent, marked)


class _Examples:
    """The examples of one intent: a block of lines with hyphens, or a list of texts with further keys."""

    def __init__(self, file: TextFile, intent: str | None = None) -> None:
        self.file, self.intent = file, intent
        self.kind = ""  # "block" or "list" once the examples begin
        self.indent: int | None = None  # of the list's hyphens
        self.text_follows = False  # on the lines below `- text: |`

    def read(self, number: int, line: str) -> str:
        """Return the example on a line, or ""."""
        bare, indent = line.strip(), len(line) - len(line.lstrip())
        if bare.startswith("examples:") and not self.kind:
            rest = bare.removeprefix("examples:").split(" #")[0].strip()
            if rest and not _BLOCK.fullmatch(rest):
                raise self.file.error(number, f"examples {rest!r}", _EXPECTED)
            self.kind = "block" if rest else "list"
            return ""
        example = _EXAMPLE.fullmatch(line)
        if self.kind == "block":
            if example is None:
                raise self.file.error(number, f"{bare!r} without a hyphen before it", _EXPECTED)
            return example[1]
        if self.kind != "list":
            return ""
        if self.text_follows and self.indent is not None and indent > self.indent:
            self.text_follows = False
            return example[1] if example else bare
        if example is None or self.indent not in (None, indent):
            return ""
        self.indent = indent
        key = _TEXT_KEY.fullmatch(example[1])
        self.text_follows = key is not None and _BLOCK.fullmatch(key[1].strip()) is not None
        return "" if self.text_follows else unquote(key[1] if key else example[1])


def _make_row(file: TextFile, number: int, intent: str, marked: str) -> Row:
    if not intent:
        raise file.error(number, "an intent without a name", _EXPECTED)
    text, slots = read_rasa_text(file, number, marked.strip())
    check_text(file, number, text)
    for slot in slots:
        check_slot(file, number, text, slot)
    return Row(Example(text, intent, slots, file.locale, file.locate(number)))


FORMAT = DataFormat(
    "rasa", "Rasa's training data in YAML, JSON or Markdown", _recognise, _read, secondary=True, merges=True
)
