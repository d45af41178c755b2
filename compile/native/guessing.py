"""The guess at the number of words (`runtime_py.execute.word_count`) as a table for C: both choose the same bucket."""

from __future__ import annotations

import re
from functools import cache

from runtime_py.execute import word_count

_ALONE, _DIGIT, _BETWEEN = 1, 2, 3


@cache
def guess_ranges() -> str:
    """Return rows of C: first and last code point beyond ASCII, and whether each is a word, of a number, or between."""
    points = "".join(map(chr, [*range(0x80, 0xD800), *range(0xE000, 0x110000)]))
    alone = f"{word_count._ALONE}{word_count._SIGNS}"
    between = f"{word_count._SPACES}{word_count._UNSPACED_BLOCKS}"
    # As in the pattern of a word: what comes first counts.
    pattern = re.compile(
        f"(?P<alone>[{alone}]+)|(?P<digit>[{word_count._DIGIT_RANGES}]+)|(?P<between>[{between}]+?"
        f"(?=[{alone}{word_count._DIGIT_RANGES}]|[^{between}]|\\Z))"
    )
    kinds = {"alone": _ALONE, "digit": _DIGIT, "between": _BETWEEN}
    return ", ".join(
        f"{{0x{ord(match[0][0]):x}, 0x{ord(match[0][-1]):x}, {kinds[str(match.lastgroup)]}}}"
        for match in pattern.finditer(points)
    )
