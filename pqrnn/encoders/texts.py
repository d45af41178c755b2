"""The texts that encoders are distilled from: plain ones, and those of data sets but for what is tested on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from pqrnn.data.loader import available_splits, load_examples
from pqrnn.data.textfile import read_lines
from pqrnn.errors import DataError
from pqrnn.features.projection import Projection
from pqrnn.features.segmentation import segment_texts
from pqrnn.recipes.settings import ProjectionConfig

_LONGEST = 1024  # bytes of a piece: finding words takes memory with the square of its bytes


class Corpus(NamedTuple):
    """Texts as words.

    Attributes:
        words: Distinct words.
        texts: The texts, as indices of their words.
        held_out: Texts that are not learned, for telling how well others are understood.
        note: What was read and what was left out, for people.
    """

    words: list[bytes]
    texts: list[tuple[int, ...]]
    held_out: list[tuple[int, ...]]
    note: str


def load_texts(specs: Sequence[str], files: Sequence[Path], locale: str | None = None) -> tuple[list[str], int]:
    """Return the texts of data sets and of plain files, none twice, and how many were left out as tested on.

    Args:
        specs: Specifications of data sets; their test splits are left out, and whatever is a text of one of them.
        files: Plain text, one text a line, also packed with gzip.
        locale: Languages of the data sets.

    Raises:
        DataNotFoundError: There are no such data.
        DataFormatError: A file does not hold what its format promises.
    """
    texts: dict[str, None] = {}
    tested: set[str] = set()
    for spec in specs:
        splits = available_splits(spec, locale=locale)
        for split in splits or ("all",):
            found = (example.text for example in load_examples(spec, split=split, locale=locale))
            if split == "test":
                tested |= {text.lower().strip() for text in found}
            else:
                texts.update(dict.fromkeys(found))
    for file in files:
        texts.update(dict.fromkeys(line.strip() for line in read_lines(file).lines if line.strip()))
    kept = [text for text in texts if text.lower().strip() not in tested]
    return kept, len(texts) - len(kept)


def make_corpus(texts: Iterable[str], longest: int, left_out: int = 0, version: int | None = None) -> Corpus:
    """Cut texts into words, and long ones into pieces; keep one in fifty, and at most 256, out of learning.

    Args:
        texts: The texts.
        longest: Most words of a piece.
        left_out: How many texts were left out before, for the note.
        version: Version of the projection that says what a word is.

    Raises:
        DataError: There is too little to learn from.
    """
    raw = [piece for text in texts for piece in _cut(text.encode("utf-8", "replace"))]
    config = ProjectionConfig() if version is None else ProjectionConfig(version=version)
    index: dict[bytes, int] = {}
    pieces: dict[tuple[int, ...], None] = {}
    with torch.inference_mode():
        spans_of_texts = segment_texts(Projection(config), raw)
    for text, spans in zip(raw, spans_of_texts, strict=True):
        words = [index.setdefault(text[start:end], len(index)) for start, end in spans]
        for first in range(0, len(words), longest):
            pieces[tuple(words[first : first + longest])] = None
    found = list(pieces)
    if len(found) < 2:
        raise DataError(f"{len(found)} texts with words are too few to learn from; give more with --data or --text")
    held = min(max(len(found) // 50, 1), 256)
    step = len(found) // held
    held_out = found[::step][:held]
    kept = [words for position, words in enumerate(found) if position % step or position // step >= held]
    count = sum(map(len, found))
    note = f"{len(found):,} texts of {count:,} words, {len(index):,} of them distinct; {len(held_out)} held out"
    if left_out:
        note += f"; {left_out:,} texts left out because they are tested on"
    return Corpus(list(index), kept, held_out, note)


def _cut(text: bytes) -> list[bytes]:
    """Cut a text into pieces of at most `_LONGEST` bytes, at spaces where there are any."""
    pieces = []
    while len(text) > _LONGEST:
        space = text.rfind(b" ", 1, _LONGEST)
        end = space if space > 0 else _LONGEST
        while end > 1 and end < len(text) and text[end] & 0xC0 == 0x80:  # not inside of a character
            end -= 1
        pieces.append(text[:end])
        text = text[end:]
    return [*pieces, text]
