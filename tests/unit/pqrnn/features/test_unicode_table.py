"""The shipped table against Python's `unicodedata`, `str.lower` and the `regex` module, over all of Unicode."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from oracles.projection_2 import fold, own_class
from oracles.unicode_classes import break_class, is_comparable_python, is_known, lower_case

from pqrnn.features.hashing import hash_accent, to_int32
from pqrnn.features.unicode_table import BLOCK_BITS, CODE_POINTS, BreakClass, load_unicode_table


def test_tables_have_the_shape_that_the_lookup_needs() -> None:
    table = load_unicode_table(1)
    assert table.unicode == "15.0.0"
    assert table.stage1.dtype == table.stage2.dtype == np.int32
    assert table.stage1.shape == (CODE_POINTS >> BLOCK_BITS,)
    assert table.stage2.size == (table.stage1.max() + 1) << BLOCK_BITS
    assert set(np.unique(table.entries() & 15)) == set(range(BreakClass.ACCENT))


@pytest.mark.slow
def test_every_code_point_agrees_with_the_sources() -> None:
    entries = load_unicode_table(1).entries().tolist()
    compared, wrong = 0, []
    for code, entry in enumerate(entries):
        character = chr(code)
        if not is_known(character):
            continue
        compared += 1
        kind, lower = break_class(character), lower_case(character)
        if (entry & 15, code + (entry >> 13)) != (kind, ord(lower)):
            wrong.append(
                f"U+{code:04X}: table {BreakClass(entry & 15).name} {code + (entry >> 13):04X}, "
                f"sources {BreakClass(kind).name} {ord(lower):04X}"
            )
    assert compared > 280_000
    if not is_comparable_python():
        # Python knows characters that Unicode 15.0 had not: the table has them as symbols (or reserved pictographs)
        # without case.
        wrong = [
            line
            for line in wrong
            if entries[int(line[2 : line.index(":")], 16)] not in (BreakClass.SYMBOL, BreakClass.PICTOGRAPH)
        ]
    assert not wrong, wrong[:20]


def test_code_points_without_a_character_are_symbols() -> None:
    entries = load_unicode_table(1).entries()
    for code in (*range(0xD800, 0xE000), *range(0xFDD0, 0xFDF0), 0xFFFE, 0xFFFF, 0x1FFFE, 0x10FFFF):
        assert entries[code] == BreakClass.SYMBOL, hex(code)


def test_lower_case_is_final() -> None:
    """Lower-casing twice changes nothing more, stays in Unicode, and keeps the class.

    The exception is the emoji that is a circled letter.
    """
    entries = load_unicode_table(1).entries()
    codes = np.arange(CODE_POINTS)
    lower = codes + (entries >> 13)
    assert lower.min() >= 0 and lower.max() < CODE_POINTS
    np.testing.assert_array_equal(lower[lower], lower)
    assert codes[(entries[lower] & 15) != (entries & 15)].tolist() == [ord("Ⓜ")]
    changed = codes[lower != codes]
    assert len(changed) > 1400
    assert {unicodedata.category(chr(code)) for code in changed.tolist()} <= {"Lu", "Lt", "Nl", "So", "Cn"}


# Properties that Unicode 15.0 had not, which the `regex` module knows of later versions.
_LATER = {0x836, 0x2CF9, 0x2CFA, 0x2CFB}


@pytest.mark.slow
def test_every_fold_agrees_with_the_sources() -> None:
    table = load_unicode_table(2)
    compared, wrong = 0, []
    for code, entry in enumerate(table.entries().tolist()):
        character = chr(code)
        if not is_known(character) or code in _LATER:
            continue
        compared += 1
        bases, accents = fold(character)
        kind = own_class(character)
        if kind not in (BreakClass.ACCENT, BreakClass.IGNORED, BreakClass.SPACE) and bases != character:
            kind = own_class(bases[0])
        first, second, third = (*map(ord, bases), 0, 0)[:3]
        wanted = (kind, first, to_int32(sum(map(hash_accent, map(ord, accents)))), second, third)
        found = (entry & 15, code + (entry >> 13), *table.folds[entry >> 4 & 511].tolist())
        if wanted != found and (is_comparable_python() or found[0] != BreakClass.SYMBOL):
            wrong.append(f"U+{code:04X}: table {found}, sources {wanted}")
    assert compared > 280_000
    assert not wrong, wrong[:20]
