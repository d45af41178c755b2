"""One word for each line with its tag in the last column, a blank line between utterances, comments before the words.

As xSID (van der Goot et al. 2021) and NorSID have it: ``# intent: x`` (also ``# intent = x`` and ``# intent x``),
columns with tabs between them: number, word, intent, tag. Without numbers the word comes first; without a comment the
intent is taken from the column before the tag. Where ``# text`` is made of the same words, it is the text, with its own
spaces; else the words are joined with single spaces.

Numbers are told from words by ``# text`` where there is one, else by the whole file: ids as CoNLL-U and its relatives
have them (from any number on, ``2-3`` for a word that the next lines take apart, ``1.1`` for one that is not written,
``s1-1``) in the first column of every utterance. A word that is taken apart has the tag of its own line, or that of its
parts where it has none.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import dropwhile

from pqrnn.data.examples import Example
from pqrnn.data.formats.base import DataFormat, Row, check_text
from pqrnn.data.formats.tokens import find_tokens, is_tag, join_tokens, place_slots, split_tokens
from pqrnn.data.textfile import TextFile

_COMMENT = re.compile(r"#\s*([A-Za-z][\w-]*)\s*[:=]?\s*(.*?)\s*", re.DOTALL)
_KEY_COMMENT = re.compile(r"#\s*[\w-]+\s*[:=](?!\S*\t)|#\s+(?:intent|text|id)\s")
_ID = re.compile(r"(?:[A-Za-z]*\d*[-_.:])?\d{1,9}(?:[-.]\d{1,9})?")
_RANGE, _EMPTY = re.compile(r"(\d{1,9})-(\d{1,9})"), re.compile(r"\d{1,9}\.\d{1,9}")
_DOCUMENT = "-DOCSTART-"
_NO_TAGS = frozenset(("_", "-", "*", ""))
_EXPECTED = "columns with tabs or spaces between them: number, word, intent, tag, or at least word and tag"
_INTENT_EXPECTED = "a comment `# intent: name` before the words, or the intent as the column before the tag"
_IDS_EXPECTED = "a number in the first column, as in the other utterances"


@dataclass(frozen=True, slots=True)
class _Block:
    """The lines of one utterance: the numbers of those with words, their columns, and the comments."""

    lines: list[int]
    rows: list[list[str]]
    comments: dict[str, str]

    @property
    def width(self) -> int:
        return len(self.rows[0])

    def has_ids(self) -> bool:
        """Say whether every first column could be an id."""
        return all(_ID.fullmatch(columns[0]) for columns in self.rows)


def _recognise(name: str, head: Sequence[str]) -> bool:
    if head[0].startswith("#") and any(line.startswith("# intent") for line in head[:20]):
        return True
    return name.endswith((".conll", ".conllu", ".iob")) and is_tag(_split(head[0])[-1])


def _read(file: TextFile) -> Iterator[Row]:
    blocks = []
    for lines in _list_blocks(file):
        with file.guard_row():
            block = _make_block(file, lines)
            if block is not None:
                blocks.append(block)
    usual = _find_usual_ids(blocks)
    for block in blocks:
        with file.guard_row():
            yield _read_block(file, block, usual.get(block.width, False))


def _list_blocks(file: TextFile) -> Iterator[list[int]]:
    """Yield the lines between blank lines and marks of documents."""
    block: list[int] = []
    for number, line in enumerate((*file.lines, "")):
        if line.strip(" \t") and not line.startswith(_DOCUMENT):
            block.append(number)
        elif block:
            yield block
            block = []


def _find_usual_ids(blocks: Sequence[_Block]) -> dict[int, bool]:
    """Say for each number of columns whether the first of them has ids: where it could in most utterances."""
    counts: Counter[tuple[int, bool]] = Counter((block.width, block.has_ids()) for block in blocks if block.width > 2)
    return {width: counts[width, True] > counts[width, False] for width, _ in counts}


def _is_comment(line: str, widths: Container[int]) -> bool:
    """Say whether a line at the beginning of a block is a comment; a word may begin with ``#``, as hashtags do."""
    if not line.startswith("#") or line.startswith("#\t"):
        return False
    columns = _split(line)
    return _KEY_COMMENT.match(line) is not None or len(columns) not in widths or not is_tag(columns[-1])


def _split(line: str) -> list[str]:
    return line.split("\t") if "\t" in line else split_tokens(line)


def _make_block(file: TextFile, lines: Sequence[int]) -> _Block | None:
    """Return the utterance of some lines, or None where comments are not about one, as at a file's head."""
    widths = {len(_split(file.lines[number])) for number in lines if not file.lines[number].startswith("#")}
    words = list(dropwhile(lambda number: _is_comment(file.lines[number], widths or {2, 3, 4}), lines))
    comments = _read_comments(file.lines[number] for number in lines[: len(lines) - len(words)])
    if not words:
        if "intent" in comments or "text" in comments:
            raise file.error(lines[-1], "comments without words after them", _EXPECTED)
        return None
    rows = [_split(file.lines[number]) for number in words]
    for number, columns in zip(words, rows, strict=True):
        if len(columns) < 2:
            raise file.error(number, f"one column only: {file.lines[number]!r}", _EXPECTED)
        if len(columns) != len(rows[0]):
            raise file.error(number, f"{len(columns)} columns", f"{len(rows[0])}, as in the utterance's first line")
    return _Block(words, rows, comments)


def _read_block(file: TextFile, block: _Block, usual: bool) -> Row:
    """Return the utterance of one block; ``usual`` says whether blocks like it have ids."""
    numbered = _is_numbered(file, block, usual)
    lines, rows = _join_ranges(file, block) if numbered else (block.lines, block.rows)
    if not rows:
        raise file.error(block.lines[0], "an utterance of words that are not written (such as 1.1)", _EXPECTED)
    words, tags = [columns[numbered] for columns in rows], [columns[-1] for columns in rows]
    if not all(words):
        raise file.error(lines[words.index("")], "an empty word", _EXPECTED)
    comments = block.comments
    intent = comments.get("intent") or _find_intent(file, lines, [columns[numbered + 1 : -1] for columns in rows])
    spans = find_tokens(comments["text"], words) if "text" in comments else None
    if spans is None:
        text, slots = join_tokens(file, lines, words, tags)
    else:
        text, slots = comments["text"], place_slots(file, lines, tags, spans)
    check_text(file, lines[0], text)
    return Row(Example(text, intent, slots, file.locale, file.locate(lines[0])))


def _is_numbered(file: TextFile, block: _Block, usual: bool) -> bool:
    """Say whether the first column has ids and not words."""
    if block.width < 3:
        return False
    if "text" in block.comments:
        for index in (0, 1):
            rows = _join_ranges(file, block)[1] if index and block.has_ids() else block.rows
            if find_tokens(block.comments["text"], [columns[index] for columns in rows]) is not None:
                return index == 1
    if not block.has_ids():
        if usual:
            wrong = next(at for at, columns in enumerate(block.rows) if not _ID.fullmatch(columns[0]))
            raise file.error(block.lines[wrong], f"{block.rows[wrong][0]!r} in the first column", _IDS_EXPECTED)
        return False
    counted = len(block.rows) > 1 and all(columns[0] == str(at) for at, columns in enumerate(block.rows, 1))
    return usual or counted


def _join_ranges(file: TextFile, block: _Block) -> tuple[list[int], list[list[str]]]:
    """Return the lines with words that are written: those taken apart once, and none of the empty ones."""
    lines, rows, parts = [], [], 0
    for at, (number, columns) in enumerate(zip(block.lines, block.rows, strict=True)):
        if _EMPTY.fullmatch(columns[0]):
            continue
        if parts:
            parts -= 1
            continue
        span = _RANGE.fullmatch(columns[0])
        if span and (following := _list_parts(block, at, int(span[1]), int(span[2]))):
            parts = len(following)
            columns = _take_tag(file, number, columns, following)
        lines.append(number)
        rows.append(columns)
    return lines, rows


def _list_parts(block: _Block, at: int, first: int, last: int) -> list[list[str]]:
    """Return the lines that take the word at ``at`` apart, or nothing where the next one is not the first of them."""
    parts: list[list[str]] = []
    for columns in block.rows[at + 1 :]:
        if _EMPTY.fullmatch(columns[0]):
            continue
        if columns[0] != str(first + len(parts)) or first + len(parts) > last:
            break
        parts.append(columns)
    return parts


def _take_tag(file: TextFile, number: int, columns: list[str], parts: Sequence[list[str]]) -> list[str]:
    if columns[-1] not in _NO_TAGS:
        return columns
    tags = [part[-1] for part in parts]
    labels = {tag[2:] for tag in tags}
    if len(labels) > 1:
        found = f"a word whose parts have the tags {', '.join(tags)}"
        raise file.error(number, found, "one tag for each word", "write the tag on the line of the whole word")
    middle = [own if own not in _NO_TAGS else inner for own, inner in zip(columns[2:-1], parts[0][2:-1], strict=True)]
    return [*columns[:2], *middle, tags[0]]


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
