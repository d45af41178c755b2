"""Unicode as two small integer tables: what a code point is for word segmentation, and its simple lower case.

The tables are made from the Unicode Character Database and kept beside this file, so that a model means the same on
every Python version:

    python -m pqrnn.features.unicode_table /usr/share/unicode      # Debian package `unicode-data`; writes
    unicode_table.npz

They are a two-stage lookup: `entry = stage2[stage1[code_point >> 7] * 128 + (code_point & 127)]`, where `entry & 15` is
a `BreakClass` and `entry >> 4` is `lower - code_point` (signed). Both tables are int32, which every GPU has.
"""

from __future__ import annotations

import sys
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

CODE_POINTS = 0x110000
BLOCK_BITS = 7
REPLACEMENT = 0xFFFD
_FILE = Path(__file__).with_suffix(".npz")

# Scripts written without spaces between words: every grapheme is a token of its own.
_UNSPACED_SCRIPTS = frozenset(
    [
        "Han",
        "Hiragana",
        "Katakana",
        "Bopomofo",
        "Yi",
        "Tangut",
        "Nushu",
        "Khitan_Small_Script",
        "Thai",
        "Lao",
        "Khmer",
        "Myanmar",
        "Tai_Le",
        "New_Tai_Lue",
        "Tai_Tham",
        "Tai_Viet",
        "Ahom",
    ]
)
# KATAKANA-HIRAGANA PROLONGED SOUND MARK and its half-width form: script Common, yet used inside Japanese only.
_UNSPACED_COMMON = (0x30FC, 0xFF70)
# Invisible characters that do separate words: ZERO WIDTH SPACE and the byte order mark.
_INVISIBLE_SPACES = (0x200B, 0xFEFF)
_ZERO_WIDTH_JOINER = 0x200D


class BreakClass(IntEnum):
    """What a code point does in word segmentation (`pqrnn.features.projection` has the rules)."""

    SPACE = 0
    LETTER = 1
    DIGIT = 2
    UNSPACED = 3
    SYMBOL = 4
    PICTOGRAPH = 5
    REGIONAL = 6
    EXTEND = 7
    JOINER = 8


class UnicodeTable(NamedTuple):
    """`stage1` int32[8704], `stage2` int32[n * 128], and the Unicode version they were made from."""

    stage1: npt.NDArray[np.int32]
    stage2: npt.NDArray[np.int32]
    version: str

    def entries(self) -> npt.NDArray[np.int32]:
        """Return the flat table, int32[0x110000]: `class | (lower - code_point) << 4`."""
        return self.stage2.reshape(-1, 1 << BLOCK_BITS)[self.stage1].reshape(-1)


def load_unicode_table() -> UnicodeTable:
    """Read the tables that ship with the package."""
    with np.load(_FILE, allow_pickle=False) as file:
        return UnicodeTable(file["stage1"].astype(np.int32), file["stage2"].astype(np.int32), str(file["version"]))


def _read_property(path: Path, default: str) -> npt.NDArray[np.object_]:
    """Read a `code[..code] ; value` file of the UCD into one value per code point."""
    values = np.full(CODE_POINTS, default, dtype=object)
    for line in path.read_text(encoding="utf-8").splitlines():
        fields = line.split("#", 1)[0].split(";")
        if len(fields) >= 2:
            first, _, last = fields[0].strip().partition("..")
            values[int(first, 16) : int(last or first, 16) + 1] = fields[1].strip()
    return values


def _read_unicode_data(path: Path) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.int32]]:
    """Read general categories and simple lower-case mappings from UnicodeData.txt."""
    categories = np.full(CODE_POINTS, "Cn", dtype=object)
    lower = np.arange(CODE_POINTS, dtype=np.int32)
    first = 0
    for line in path.read_text(encoding="utf-8").splitlines():
        fields = line.split(";")
        code = int(fields[0], 16)
        if fields[1].endswith(", First>"):
            first = code
        start = first if fields[1].endswith(", Last>") else code
        categories[start : code + 1] = fields[2]
        if fields[13]:
            lower[code] = int(fields[13], 16)
    return categories, lower


def build_unicode_table(ucd: Path) -> UnicodeTable:
    """Make the tables from a folder that holds the Unicode Character Database.

    Raises:
        FileNotFoundError: a file of the database is missing.
    """
    categories, lower = _read_unicode_data(ucd / "UnicodeData.txt")
    scripts = _read_property(ucd / "Scripts.txt", "Unknown")
    graphemes = _read_property(ucd / "auxiliary" / "GraphemeBreakProperty.txt", "Other")
    pictographs = np.zeros(CODE_POINTS, dtype=bool)
    for line in (ucd / "emoji" / "emoji-data.txt").read_text(encoding="utf-8").splitlines():
        fields = line.split("#", 1)[0].split(";")
        if len(fields) == 2 and fields[1].strip() == "Extended_Pictographic":
            start, _, last = fields[0].strip().partition("..")
            pictographs[int(start, 16) : int(last or start, 16) + 1] = True

    classes = np.full(CODE_POINTS, BreakClass.SYMBOL, dtype=np.int32)
    major = np.array([c[0] for c in categories])
    classes[(major == "L") | (categories == "Nl")] = BreakClass.LETTER
    classes[np.isin(scripts, list(_UNSPACED_SCRIPTS)) & ((major == "L") | (categories == "Nl"))] = BreakClass.UNSPACED
    classes[list(_UNSPACED_COMMON)] = BreakClass.UNSPACED
    classes[(categories == "Nd") | (categories == "No")] = BreakClass.DIGIT
    classes[pictographs] = BreakClass.PICTOGRAPH
    classes[graphemes == "Regional_Indicator"] = BreakClass.REGIONAL
    extends = (major == "M") | (categories == "Cf") | np.isin(graphemes, ["Extend", "SpacingMark"])
    classes[extends & (graphemes != "Prepend")] = BreakClass.EXTEND
    classes[_ZERO_WIDTH_JOINER] = BreakClass.JOINER
    classes[np.isin(categories, ["Zs", "Zl", "Zp", "Cc"])] = BreakClass.SPACE
    classes[list(_INVISIBLE_SPACES)] = BreakClass.SPACE

    entries = (classes + np.left_shift(lower - np.arange(CODE_POINTS, dtype=np.int32), 4)).astype(np.int32)
    blocks, index = np.unique(entries.reshape(-1, 1 << BLOCK_BITS), axis=0, return_inverse=True)
    version = (
        (ucd / "Scripts.txt")
        .read_text(encoding="utf-8")
        .splitlines()[0]
        .removeprefix("# Scripts-")
        .removesuffix(".txt")
    )
    return UnicodeTable(index.reshape(-1).astype(np.int32), blocks.reshape(-1).astype(np.int32), version)


if __name__ == "__main__":
    table = build_unicode_table(Path(sys.argv[1] if len(sys.argv) > 1 else "/usr/share/unicode"))
    np.savez_compressed(
        _FILE, stage1=table.stage1.astype(np.int16), stage2=table.stage2, version=np.array(table.version)
    )
    sys.stdout.write(
        f"Unicode {table.version}: {table.stage1.nbytes + table.stage2.nbytes} bytes as int32, wrote {_FILE.name}\n"
    )
