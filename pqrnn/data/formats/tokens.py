"""What the formats share that give one tag to each word: B-x begins a slot, I-x goes on, O is outside.

Other schemes are turned into this one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pqrnn.data.examples import SlotSpan
from pqrnn.data.textfile import TextFile

TAG = re.compile(r"O|[BIEMLSU][-_].+", re.DOTALL)
"""A tag of any scheme: BIO, IOBES (E ends a slot, S is one word), BILOU (L, U), BMES; with a hyphen or a low line."""
_LAST = frozenset("ELSU")
_FIRST = frozenset("BSU")
_EXPECTED = "O, B-label or I-label"
_HINT = "IOBES, BILOU and B_label are read, too; other schemes are not"


def split_tokens(line: str) -> list[str]:
    """Split at spaces and tabs alone: a no-break space or U+2028 belongs to its word."""
    return [piece for piece in line.replace("\t", " ").split(" ") if piece]


def is_tag(text: str) -> bool:
    """Say whether ``text`` is ``O``, or a label with a mark before it such as ``B-label``."""
    return TAG.fullmatch(text) is not None


def group_tags(file: TextFile, lines: Sequence[int], tags: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """Yield the label, first word and last word (exclusive) of each slot.

    An ``I-x`` with nothing of its label before it begins a slot, as the common scorers have it. The marks of IOBES,
    BILOU and BMES say the same: after the last word of a slot the next one begins another.

    Raises:
        DataFormatError: A tag is none; ``lines`` says where each tag stands.
    """
    label, first = "", 0
    for index, tag in enumerate(tags):
        if not is_tag(tag):
            raise file.error(lines[index], f"tag {tag!r}", _EXPECTED, _HINT)
        if label and (tag == "O" or tag[0] in _FIRST or tag[2:] != label):
            yield label, first, index
            label = ""
        if tag != "O" and not label:
            label, first = tag[2:], index
        if tag[0] in _LAST:
            yield label, first, index + 1
            label = ""
    if label:
        yield label, first, len(tags)


def join_tokens(
    file: TextFile, lines: Sequence[int], words: Sequence[str], tags: Sequence[str]
) -> tuple[str, tuple[SlotSpan, ...]]:
    """Join words with single spaces, and return the text with its slots in code points.

    Raises:
        DataFormatError: A tag is none; ``lines`` says where each tag stands.
    """
    spans, position = [], 0
    for word in words:
        spans.append((position, position + len(word)))
        position += len(word) + 1
    return " ".join(words), place_slots(file, lines, tags, spans)


def find_tokens(text: str, words: Sequence[str]) -> list[tuple[int, int]] | None:
    """Find ``words`` in ``text``, one after the other with nothing but white space between and around them.

    Returns:
        The code points at which each word begins and ends, or None where the text is made of other words.
    """
    spans, position = [], 0
    for word in words:
        start = text.find(word, position)
        if start < 0 or text[position:start].strip():
            return None
        position = start + len(word)
        spans.append((start, position))
    return None if text[position:].strip() else spans


def place_slots(
    file: TextFile, lines: Sequence[int], tags: Sequence[str], spans: Sequence[tuple[int, int]]
) -> tuple[SlotSpan, ...]:
    """Return the slots of tagged words that stand at ``spans`` (code points).

    Raises:
        DataFormatError: A tag is none.
    """
    groups = group_tags(file, lines, tags)
    return tuple(SlotSpan(label, spans[first][0], spans[last - 1][1]) for label, first, last in groups)
