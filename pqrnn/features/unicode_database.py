"""Makes the tables of code points (`pqrnn.features.unicode_table`) from the Unicode Character Database.

    python -m pqrnn.features.unicode_database /usr/share/unicode      # Debian package `unicode-data`

What a code point is folded to, and why:

- *Canonical equivalence.* It is decomposed. Accents, which are all marks that Unicode may reorder (combining class not
  0), are no characters of their own in version 2: their hashes are added to that of the character before them, so
  neither their order nor their composition matters.
- *Case and compatibility.* What is left is replaced by its NFKC_Casefold: full-width and mathematical letters,
  ligatures, superscripts, capitals, `ß` as `ss`, final sigma; pictographs stay. A result of up to three characters
  fits where the code point has as many bytes and all of them are letters, or digits, or parts of a grapheme; others
  stay as they are.
- *Ours beyond Unicode.* The dotless i is an i, for its capital is that of i. Quotation marks and apostrophes are the
  straight ones, and dashes are the hyphen.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pqrnn.features.hashing import hash_accent, to_int32
from pqrnn.features.unicode_table import (
    BLOCK_BITS,
    CODE_POINTS,
    FOLD_BITS,
    LONGEST_FOLD,
    BreakClass,
    UnicodeTable,
    pack_entries,
    table_file,
)

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
_ZERO_WIDTH_SPACE, _BYTE_ORDER_MARK, _ZERO_WIDTH_JOINER = 0x200B, 0xFEFF, 0x200D
_SKIN_TONES = slice(0x1F3FB, 0x1F400)
_OPENING_MARKS = (0xA1, 0xBF)  # of Spanish sentences
_ELLIPSES = (0x2025, 0x2026)
_WAVES = (0x301C, 0x3030, 0x30A0)  # dashes in name, letters' companions in use
_HANGUL = range(0xAC00, 0xD7A4)  # composed by rule (`pqrnn.features.characters`), not by table
_SAME_AS = {
    0x131: ord("i"),
    **dict.fromkeys(map(ord, "‘’‚‛′ʹʻʼʽ＇`´"), ord("'")),
    **dict.fromkeys(map(ord, "“”„‟″«»＂"), ord('"')),
}
_WHOLE = (BreakClass.LETTER, BreakClass.DIGIT, BreakClass.EXTEND)  # classes whose runs are inside one word


class _Database(NamedTuple):
    """What is read of the database, one element for each code point."""

    category: npt.NDArray[np.object_]
    combining_class: npt.NDArray[np.int32]
    lower: npt.NDArray[np.int32]
    decomposition: dict[int, tuple[int, ...]]
    script: npt.NDArray[np.object_]
    grapheme: npt.NDArray[np.object_]
    pictograph: npt.NDArray[np.bool_]


def build_unicode_table(ucd: Path, version: int) -> UnicodeTable:
    """Make the tables of a version from a folder that holds the Unicode Character Database.

    Raises:
        FileNotFoundError: A file of the database is missing.
    """
    database = _read_database(ucd)
    kind = _classify(database)
    numbers = np.arange(CODE_POINTS, dtype=np.int32)
    if version == 1:
        return _compress(
            ucd, pack_entries(kind, np.zeros_like(kind), database.lower - numbers), np.zeros((1, 3), np.int32)
        )
    _classify_further(ucd, database, kind)
    folded, rows, fold = _Folder(ucd, database, kind).fold()
    # What is folded is classed as what it is folded to; accents stay accents.
    same = np.isin(kind, (BreakClass.ACCENT, BreakClass.IGNORED, BreakClass.SPACE)) | (folded == numbers)
    kind = np.where(same, kind, kind[folded])
    return _compress(ucd, pack_entries(kind, fold, folded - numbers), rows)


def _classify(database: _Database) -> npt.NDArray[np.int32]:
    """Return the classes of version 1."""
    category, grapheme = database.category, database.grapheme
    kind = np.full(CODE_POINTS, BreakClass.SYMBOL, dtype=np.int32)
    major = np.array([name[0] for name in category])
    letter = (major == "L") | (category == "Nl")
    kind[letter] = BreakClass.LETTER
    kind[letter & np.isin(database.script, list(_UNSPACED_SCRIPTS))] = BreakClass.UNSPACED
    kind[list(_UNSPACED_COMMON)] = BreakClass.UNSPACED
    kind[(category == "Nd") | (category == "No")] = BreakClass.DIGIT
    kind[database.pictograph] = BreakClass.PICTOGRAPH
    kind[grapheme == "Regional_Indicator"] = BreakClass.REGIONAL
    extends = (major == "M") | (category == "Cf") | np.isin(grapheme, ["Extend", "SpacingMark"])
    kind[extends & (grapheme != "Prepend")] = BreakClass.EXTEND
    kind[_ZERO_WIDTH_JOINER] = BreakClass.JOINER
    kind[np.isin(category, ["Zs", "Zl", "Zp", "Cc"])] = BreakClass.SPACE
    kind[[_ZERO_WIDTH_SPACE, _BYTE_ORDER_MARK]] = BreakClass.SPACE
    return kind


def _classify_further(ucd: Path, database: _Database, kind: npt.NDArray[np.int32]) -> None:
    """Change the classes to those of version 2."""
    ignorable = _read_flag(ucd / "DerivedCoreProperties.txt", "Default_Ignorable_Code_Point")
    # Not the fillers of Hangul, which are letters; and interlinear annotation, which is as invisible as the rest.
    ignorable &= ~np.isin(database.category, ["Lo"])
    ignorable[0xFFF9:0xFFFC] = True
    ignorable[_SKIN_TONES] = True
    ignorable[[_ZERO_WIDTH_SPACE, _ZERO_WIDTH_JOINER]] = False
    accent = (database.combining_class != 0) & ~ignorable
    accent[[0xFF9E, 0xFF9F]] = True  # half-width voicing marks, whose compatible forms are accents
    kind[accent] = BreakClass.ACCENT
    kind[ignorable] = BreakClass.IGNORED
    terminal = _read_flag(ucd / "PropList.txt", "Terminal_Punctuation")
    terminal[list(_ELLIPSES)] = True
    kind[terminal & (kind == BreakClass.SYMBOL)] = BreakClass.TERMINAL
    kind[list(_OPENING_MARKS)] = BreakClass.SPACE


class _Folder:
    """Finds what code points are folded to, and keeps the rows of folds."""

    def __init__(self, ucd: Path, database: _Database, kind: npt.NDArray[np.int32]) -> None:
        self._database, self._kind = database, kind
        self._casefold = _read_casefold(ucd / "DerivedNormalizationProps.txt")
        self._same_as = {**_SAME_AS, **dict.fromkeys(np.flatnonzero(_read_dashes(ucd)).tolist(), ord("-"))}
        self._same_as |= dict.fromkeys(_ELLIPSES, ord("."))
        self._rows: dict[tuple[int, int, int], int] = {(0, 0, 0): 0}

    def fold(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Return what code points are folded to: the first code point, the rows of folds, and the number of the row.

        Raises:
            ValueError: There are more rows than an entry can name.
        """
        folded = np.arange(CODE_POINTS, dtype=np.int32)
        row = np.zeros(CODE_POINTS, np.int32)
        kept = ~np.isin(self._database.category, ["Cn", "Cs", "Co"])
        kept &= ~np.isin(self._kind, [BreakClass.IGNORED, BreakClass.SPACE])
        kept[_HANGUL.start : _HANGUL.stop] = False
        for code in np.flatnonzero(kept).tolist():
            folded[code], (accents, second, third) = self._find(code)
            row[code] = self._rows.setdefault((to_int32(accents), second, third), len(self._rows))
        if len(self._rows) > 1 << FOLD_BITS:
            raise ValueError(f"{len(self._rows)} rows of folds, more than the {1 << FOLD_BITS} that an entry can name")
        return folded, np.array(list(self._rows), np.int32), row

    def _find(self, code: int) -> tuple[int, tuple[int, int, int]]:
        """Return the first code point of a fold; and the hashes of its accents, its second and third code point."""
        parts = self._decompose(code)
        if all(map(self._is_accent, parts)) or self._kind[code] == BreakClass.ACCENT:
            own = parts[0] if self._is_accent(parts[0]) else self._casefold[parts[0]][0]
            return own, (sum(map(hash_accent, parts[1:])), 0, 0)
        for first in (self._fold_base(parts[0]), (int(self._database.lower[parts[0]]),)):
            whole = (*first, *parts[1:])
            bases = [part for part in whole if not self._is_accent(part)]
            if self._fits(code, whole, bases):
                second, third = (*bases[1:], 0, 0)[:2]
                return bases[0], (sum(map(hash_accent, filter(self._is_accent, whole))), second, third)
        return code, (0, 0, 0)

    def _fits(self, code: int, whole: tuple[int, ...], bases: list[int]) -> bool:
        """Say whether a fold is one word, has room at the bytes of its code point, and its accents come last."""
        if not bases or list(whole[: len(bases)]) != bases:
            return False
        kinds = {int(self._kind[base]) for base in bases}
        if BreakClass.SPACE in kinds:  # signs such as the macron are spaces with an accent to Unicode, and none here
            return False
        room = min(len(chr(code).encode()), LONGEST_FOLD)
        one = len(kinds) == 1 and kinds <= set(_WHOLE)
        grapheme = {int(self._kind[base]) for base in bases[1:]} == {BreakClass.EXTEND}
        return len(bases) == 1 or (len(bases) <= room and (one or grapheme))

    def _fold_base(self, base: int) -> tuple[int, ...]:
        if base in self._same_as:
            return (self._same_as[base],)
        if self._kind[base] == BreakClass.PICTOGRAPH:
            return (base,)
        whole = [part for one in self._casefold.get(base, (base,)) for part in self._decompose(one)]
        return tuple(self._same_as.get(part, part) for part in whole)

    def _decompose(self, code: int) -> tuple[int, ...]:
        parts = self._database.decomposition.get(code, (code,))
        return parts if parts == (code,) else tuple(part for one in parts for part in self._decompose(one))

    def _is_accent(self, code: int) -> bool:
        return bool(self._database.combining_class[code])


def _compress(ucd: Path, entries: npt.NDArray[np.int32], folds: npt.NDArray[np.int32]) -> UnicodeTable:
    blocks, index = np.unique(entries.reshape(-1, 1 << BLOCK_BITS), axis=0, return_inverse=True)
    first = (ucd / "Scripts.txt").read_text(encoding="utf-8").splitlines()[0]
    unicode = first.removeprefix("# Scripts-").removesuffix(".txt")
    return UnicodeTable(index.reshape(-1).astype(np.int32), blocks.reshape(-1), folds, unicode)


def _read_database(ucd: Path) -> _Database:
    category = np.full(CODE_POINTS, "Cn", dtype=object)
    combining_class = np.zeros(CODE_POINTS, np.int32)
    lower = np.arange(CODE_POINTS, dtype=np.int32)
    decomposition: dict[int, tuple[int, ...]] = {}
    first = 0
    for line in (ucd / "UnicodeData.txt").read_text(encoding="utf-8").splitlines():
        fields = line.split(";")
        code = int(fields[0], 16)
        if fields[1].endswith(", First>"):
            first = code
        start = first if fields[1].endswith(", Last>") else code
        category[start : code + 1] = fields[2]
        combining_class[start : code + 1] = int(fields[3])
        if fields[5] and not fields[5].startswith("<"):
            decomposition[code] = tuple(int(part, 16) for part in fields[5].split())
        if fields[13]:
            lower[code] = int(fields[13], 16)
    return _Database(
        category,
        combining_class,
        lower,
        decomposition,
        _read_property(ucd / "Scripts.txt", "Unknown"),
        _read_property(ucd / "auxiliary" / "GraphemeBreakProperty.txt", "Other"),
        _read_flag(ucd / "emoji" / "emoji-data.txt", "Extended_Pictographic"),
    )


def _read_rows(path: Path) -> list[tuple[slice, list[str]]]:
    """Read a file of rows `code[..code] ; field ; field`: the code points of each row, and its fields."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        codes, *fields = (field.strip() for field in line.split("#", 1)[0].split(";"))
        if fields:
            first, _, last = codes.partition("..")
            rows.append((slice(int(first, 16), int(last or first, 16) + 1), fields))
    return rows


def _read_property(path: Path, default: str) -> npt.NDArray[np.object_]:
    values = np.full(CODE_POINTS, default, dtype=object)
    for codes, fields in _read_rows(path):
        values[codes] = fields[0]
    return values


def _read_flag(path: Path, name: str) -> npt.NDArray[np.bool_]:
    values = np.zeros(CODE_POINTS, dtype=bool)
    for codes, fields in _read_rows(path):
        if fields == [name]:
            values[codes] = True
    return values


def _read_dashes(ucd: Path) -> npt.NDArray[np.bool_]:
    dashes = _read_flag(ucd / "PropList.txt", "Dash")
    dashes[list(_WAVES)] = False
    return dashes


def _read_casefold(path: Path) -> dict[int, tuple[int, ...]]:
    """Read NFKC_Casefold, where it is another text than the character."""
    mapping = {}
    for codes, fields in _read_rows(path):
        if fields[0] == "NFKC_CF":
            whole = tuple(int(part, 16) for part in fields[1].split())
            mapping.update(dict.fromkeys(range(codes.start, codes.stop), whole))
    return mapping


def main(ucd: Path) -> None:
    """Make the tables of every version and write them beside this file."""
    for version in (1, 2):
        table = build_unicode_table(ucd, version)
        stage1, stage2, unicode = table.stage1.astype(np.int16), table.stage2, np.array(table.unicode)
        if version == 1:  # as the first release wrote it
            stage2 = (stage2 & 15) | (stage2 >> 13) << 4
            np.savez_compressed(table_file(version), stage1=stage1, stage2=stage2, version=unicode)
        else:
            np.savez_compressed(table_file(version), stage1=stage1, stage2=stage2, folds=table.folds, version=unicode)
        sys.stdout.write(
            f"version {version}, Unicode {table.unicode}: {table.stage1.size} + {table.stage2.size} entries, "
            f"{len(np.unique(table.stage2))} of them distinct, {len(table.folds)} folds\n"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "/usr/share/unicode"))
