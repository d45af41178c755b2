"""Unicode as small integer tables: what a code point is for word segmentation, and what it is folded to.

The tables are made from the Unicode Character Database (`pqrnn.features.unicode_database`) and kept beside this file,
so that a model means the same on every Python version. There is one for each version of the projection.

They are a two-stage lookup: `entry = stage2[stage1[code_point >> 7] * 128 + (code_point & 127)]`. An entry has a
`BreakClass` in its low 4 bits, the number of a row of `folds` in the next 9, and `folded - code_point` in the high 19,
signed. All tables are int32, which every GPU has.
"""

from __future__ import annotations

from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

CODE_POINTS = 0x110000
BLOCK_BITS = 7
REPLACEMENT = 0xFFFD
CLASS_BITS = 4
FOLD_BITS = 9
LONGEST_FOLD = 3  # code points
_SHIFT_OF_VERSION_1 = 4  # its file has no rows of folds in the entries


class BreakClass(IntEnum):
    """What a code point does in word segmentation (`pqrnn.features.characters` has the rules).

    The last three occur from version 2 of the projection on, where a joiner is no part of any word either.
    """

    SPACE = 0
    LETTER = 1
    DIGIT = 2
    UNSPACED = 3
    SYMBOL = 4
    PICTOGRAPH = 5
    REGIONAL = 6
    EXTEND = 7
    JOINER = 8
    ACCENT = 9
    IGNORED = 10
    TERMINAL = 11


class UnicodeTable(NamedTuple):
    """The tables of one version.

    Attributes:
        stage1: Number of the block of each range of 128 code points, int32[8704].
        stage2: Entries of all blocks, int32[blocks * 128].
        folds: What else a code point is folded to, int32[rows, 3]: the sum of the hashes of its accents, then the
            second and the third code point, or 0. Row 0 has zeros.
        unicode: Version of Unicode that they were made from.
    """

    stage1: npt.NDArray[np.int32]
    stage2: npt.NDArray[np.int32]
    folds: npt.NDArray[np.int32]
    unicode: str

    def entries(self) -> npt.NDArray[np.int32]:
        """Return the flat table, int32[0x110000]."""
        return self.stage2.reshape(-1, 1 << BLOCK_BITS)[self.stage1].reshape(-1)


def table_file(version: int) -> Path:
    """Return the file that holds the tables of a version of the projection."""
    return Path(__file__).with_name(f"unicode_table_{version}.npz")


@cache
def load_unicode_table(version: int) -> UnicodeTable:
    """Read the tables of a version of the projection, which ship with the package.

    Raises:
        FileNotFoundError: There is no such version.
    """
    with np.load(table_file(version), allow_pickle=False) as file:
        stage1, stage2 = file["stage1"].astype(np.int32), file["stage2"].astype(np.int32)
        if version == 1:
            kind = stage2 & ((1 << CLASS_BITS) - 1)
            stage2 = pack_entries(kind, np.zeros_like(kind), stage2 >> _SHIFT_OF_VERSION_1)
            folds = np.zeros((1, 3), np.int32)
        else:
            folds = file["folds"].astype(np.int32)
        return UnicodeTable(stage1, stage2, folds, str(file["version"]))


def pack_entries(
    kind: npt.NDArray[np.int32], fold: npt.NDArray[np.int32], difference: npt.NDArray[np.int32]
) -> npt.NDArray[np.int32]:
    """Return the entries of code points from their classes, rows of folds, and `folded - code_point`."""
    packed = kind | fold << CLASS_BITS | difference << (CLASS_BITS + FOLD_BITS)
    return packed.astype(np.int32)
