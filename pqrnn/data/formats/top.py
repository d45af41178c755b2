"""TOP and TOPv2: utterances with a bracketed form such as ``[IN:GET_EVENT events [SL:DATE_TIME tonight ] ]``.

The form stands in the last column; before it come the utterance and its words (TOP), or domain and utterance (TOPv2,
whose first line names the columns). A form alone is fine, too. Intent and slots are those of the top level, as in
MTOP: a slot with an intent inside is one slot. Labels keep their ``IN:`` and ``SL:``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pqrnn.data.examples import Example, SlotSpan
from pqrnn.data.formats.base import DataFormat, Row, check_text
from pqrnn.data.formats.tokens import find_tokens
from pqrnn.data.textfile import TextFile

_PIECE = re.compile(r"\[(?:IN|SL):[^\s\[\]]+|\]|[^\s\]]+")
_MOST_COLUMNS = 4
_EXPECTED = "an utterance and, after a tab, its form: [IN:INTENT words [SL:SLOT words ] ]"


def _recognise(_name: str, head: Sequence[str]) -> bool:
    first = head[1] if len(head) > 1 and _is_header(head[0]) else head[0]
    columns = first.split("\t")
    return len(columns) <= _MOST_COLUMNS and columns[-1].lstrip().startswith("[IN:")


def _is_header(line: str) -> bool:
    return "utterance" in line.split("\t") and line.split("\t")[-1] == "semantic_parse"


def _read(file: TextFile) -> Iterator[Row]:
    for number, line in enumerate(file.lines):
        if not line or (number == 0 and _is_header(line)):
            continue
        with file.guard_row():
            *columns, form = line.split("\t")
            intent, words, slots = _parse(file, number, form.strip())
            text, spans = _find_words(file, number, columns, words)
            check_text(file, number, text)
            found = tuple(SlotSpan(label, spans[first][0], spans[last - 1][1]) for label, first, last in slots)
            yield Row(Example(text, intent, found, file.locale, file.locate(number)))


def _parse(file: TextFile, number: int, form: str) -> tuple[str, list[str], list[tuple[str, int, int]]]:
    """Return the intent, the words, and label, first word and last word (exclusive) of each slot of the top level."""
    intent = ""
    words: list[str] = []
    slots: list[tuple[str, int, int]] = []
    depth, label, first = 0, "", 0
    for piece in _PIECE.findall(form):
        opening = piece.startswith(("[IN:", "[SL:"))
        if depth < 1 and (intent or not opening):
            raise file.error(number, f"{piece!r} outside of the form", _EXPECTED)
        depth += opening - (piece == "]")
        if opening and depth == 1:
            intent = piece[1:]
        elif opening and depth == 2:
            label, first = piece[1:], len(words)
        elif piece == "]" and depth == 1 and label.startswith("SL:") and first < len(words):
            slots.append((label, first, len(words)))
        elif piece != "]" and not opening:
            words.append(piece)
    if depth or not intent.startswith("IN:"):
        raise file.error(number, f"a form with {depth} brackets open at its end" if depth else "no form", _EXPECTED)
    return intent, words, slots


def _find_words(
    file: TextFile, number: int, columns: Sequence[str], words: Sequence[str]
) -> tuple[str, list[tuple[int, int]]]:
    """Return the first column that is made of the form's words, and where they stand in it."""
    for text in columns or [" ".join(words)]:
        spans = find_tokens(text, words)
        if spans is not None:
            return text, spans
    raise file.error(
        number,
        f"the words of the form, {' '.join(words)!r}, are not those of {columns[-1]!r}",
        _EXPECTED,
        "a decoupled form does not say where its slots stand",
    )


FORMAT = DataFormat("top", "TOP and TOPv2, a bracketed form in the last column", _recognise, _read, secondary=True)
