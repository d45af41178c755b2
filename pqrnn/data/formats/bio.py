"""One utterance for each line, as ``word:tag word:tag ... <=> intent``.

The word ends at the last colon that a tag follows, so ``::I-datetime`` is a colon with a tag.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pqrnn.data.examples import Example
from pqrnn.data.formats.base import DataFormat, Row, check_text
from pqrnn.data.formats.tokens import TAG, join_tokens, split_tokens
from pqrnn.data.textfile import TextFile

_ARROW = "<=>"
_ITEM = re.compile(r"(.+):(O|[BI]-.+)", re.DOTALL)
_OTHER_ITEM = re.compile(rf"(.+):({TAG.pattern})", re.DOTALL)
_EXPECTED = "word:tag word:tag ... <=> intent, with a tag of O, B-label or I-label"


def _recognise(_name: str, head: Sequence[str]) -> bool:
    words, arrow, _ = head[0].rpartition(_ARROW)
    return bool(arrow) and ":" in words


def _read(file: TextFile) -> Iterator[Row]:
    for number, line in enumerate(file.lines):
        if not line:
            continue
        with file.guard_row():
            yield _read_line(file, number, line)


def _read_line(file: TextFile, number: int, line: str) -> Row:
    tagged, arrow, intent = line.rpartition(_ARROW)
    if not arrow:
        raise file.error(number, f"no {_ARROW} in the line", _EXPECTED)
    if not intent.strip(" \t"):
        raise file.error(number, "an empty intent", _EXPECTED)
    words, tags = [], []
    for item in split_tokens(tagged):
        found = _ITEM.fullmatch(item) or _OTHER_ITEM.fullmatch(item)
        if found is None:
            raise file.error(number, f"{item!r}", _EXPECTED)
        words.append(found[1])
        tags.append(found[2])
    text, slots = join_tokens(file, [number] * len(tags), words, tags)
    check_text(file, number, text)
    return Row(Example(text, intent.strip(" \t"), slots, file.locale, file.locate(number)))


FORMAT = DataFormat("bio", "lines of word:tag ... <=> intent", _recognise, _read)
