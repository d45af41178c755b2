"""One word for each line with its tag in the last column, a blank line between utterances, comments before the words.

As xSID (van der Goot et al. 2021) and NorSID have it: ``# intent: x`` (also ``# intent = x`` and ``# intent x``),
columns with tabs between them: number, word, intent, tag. Without numbers the word comes first; without a comment the
intent is taken from the column before the tag. Where ``# text`` is made of the same words, it is the text, with its own
spaces; else the words are joined with single spaces.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import dropwhile

from pqrnn.data.examples import Example
from pqrnn.data.formats.base import DataFormat, Row, check_text
from pqrnn.data.formats.tokens import find_tokens, is_tag, join_tokens, place_slots, split_tokens
from pqrnn.data.textfile import TextFile

_COMMENT = re.compile(r"#\s*([A-Za-z][\w-]*)\s*[:=]?\s*(.*?)\s*", re.DOTALL)
_EXPECTED = "columns with tabs or spaces between them: number, word, intent, tag, or at least word and tag"
_INTENT_EXPECTED = "a comment `# intent: name` before the words, or the intent as the column before the tag"


def _recognise(name: str, head: Sequence[str]) -> bool:
    if head[0].startswith("#") and any(line.startswith("# intent") for line in head[:20]):
        return True
    return name.endswith((".conll", ".conllu", ".iob")) and is_tag(_split(head[0])[-1])


def _read(file: TextFile) -> Iterator[Row]:
    block: list[int] = []
    for number, line in enumerate((*file.lines, "")):
        if line.strip(" \t"):
            block.append(number)
        elif block:
            yield from _read_block(file, block)
            block = []


def _is_comment(line: str) -> bool:
    """Say whether a line at the beginning of a block is a comment; ``#`` with a tab after it is a word."""
    return line.startswith("#") and not line.startswith("#\t")


def _split(line: str) -> list[str]:
    return line.split("\t") if "\t" in line else split_tokens(line)


def _read_block(file: TextFile, block: Sequence[int]) -> Iterator[Row]:
    """Yield the utterance of one block.

    There is none where a block of comments is not about an utterance, as at a file's head.
    """
    lines = list(dropwhile(lambda number: _is_comment(file.lines[number]), block))
    comments = _read_comments(file.lines[number] for number in block[: len(block) - len(lines)])
    if not lines:
        if "intent" in comments or "text" in comments:
            raise file.error(block[-1], "comments without words after them", _EXPECTED)
        return
    rows = [_split(file.lines[number]) for number in lines]
    for number, columns in zip(lines, rows, strict=True):
        if len(columns) < 2:
            raise file.error(number, f"one column only: {file.lines[number]!r}", _EXPECTED)
        if len(columns) != len(rows[0]):
            raise file.error(number, f"{len(columns)} columns", f"{len(rows[0])}, as in the utterance's first line")
    numbered = len(rows[0]) > 2 and all(columns[0] == str(index) for index, columns in enumerate(rows, 1))
    words, tags = [columns[numbered] for columns in rows], [columns[-1] for columns in rows]
    if not all(words):
        raise file.error(lines[words.index("")], "an empty word", _EXPECTED)
    intent = comments.get("intent") or _find_intent(file, lines, [columns[numbered + 1 : -1] for columns in rows])
    spans = find_tokens(comments["text"], words) if "text" in comments else None
    if spans is None:
        text, slots = join_tokens(file, lines, words, tags)
    else:
        text, slots = comments["text"], place_slots(file, lines, tags, spans)
    check_text(file, lines[0], text)
    yield Row(Example(text, intent, slots, file.locale, file.locate(lines[0])))


def _read_comments(lines: Iterable[str]) -> dict[str, str]:
    found = (_COMMENT.fullmatch(line) for line in lines)
    return {each[1].lower(): each[2] for each in found if each is not None}


def _find_intent(file: TextFile, lines: Sequence[int], middle: Sequence[Sequence[str]]) -> str:
    """Return what stands in the last column between word and tag, which must be the same in the whole utterance."""
    if not middle[0] or not middle[0][-1]:
        raise file.error(lines[0], "an utterance without an intent", _INTENT_EXPECTED)
    intent = middle[0][-1]
    for number, columns in zip(lines, middle, strict=True):
        if columns[-1] != intent:
            found = f"the intents {intent!r} and {columns[-1]!r} in one utterance"
            raise file.error(number, found, "one intent for each utterance")
    return intent


FORMAT = DataFormat(
    "conll", "one word with its tag for each line, `# intent: name` before the words", _recognise, _read
)
