"""Break classes and simple lower case without the shipped table.

They come from Python's `unicodedata`, `str.lower` and the `regex` module.

The table is made from Unicode 15.0. Python 3.11 brings Unicode 14.0 and `regex` a later version, so only code points
that `unicodedata` knows are comparable (`is_known`), and one property that later versions changed is put back
(`_NO_LONGER_PICTOGRAPHS`).
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

import regex

SPACE, LETTER, DIGIT, UNSPACED, SYMBOL, PICTOGRAPH, REGIONAL, EXTEND, JOINER = range(9)

_UNSPACED_SCRIPTS = (
    "Han Hiragana Katakana Bopomofo Yi Tangut Nushu Khitan_Small_Script "
    "Thai Lao Khmer Myanmar Tai_Le New_Tai_Lue Tai_Tham Tai_Viet Ahom"
)
_IS_UNSPACED = regex.compile(
    "[" + "".join(rf"\p{{Script={name}}}" for name in _UNSPACED_SCRIPTS.split()) + "\u30fc\uff70]"
)
_IS_GRAPHEME_TAIL = regex.compile(r"[\p{Grapheme_Cluster_Break=Extend}\p{Grapheme_Cluster_Break=SpacingMark}]")
_IS_PREPENDED = regex.compile(r"\p{Grapheme_Cluster_Break=Prepend}")
_IS_REGIONAL = regex.compile(r"\p{Regional_Indicator}")
_IS_PICTOGRAPH = regex.compile(r"\p{Extended_Pictographic}")

# Extended_Pictographic of Unicode 15 that Unicode 17 withdrew, because they are no emoji: chess, cards, mahjong,
# dingbats, map signs and so on.
_NO_LONGER_PICTOGRAPHS = regex.compile(
    "[\u2388\u2605\u2607-\u2612\u2616-\u2685\u2690-\u2704\u270e-\u2711\u2765-\u2767\U0001f000-\U0001f0f5\U0001f10d-\U0001f10f"
    "\U0001f12f\U0001f16c-\U0001f16f\U0001f1ad\U0001f260-\U0001f3f6\U0001f4fe\U0001f546-\U0001f5f9\U0001f6c6-\U0001f6f2"
    "\U0001f774-\U0001f776\U0001f77b-\U0001f77f\U0001f7d5-\U0001f7d9\U0001f8b0\U0001f8b1\U0001fa00-\U0001fa6d]"
)
_UNICODE_15 = tuple(map(int, unicodedata.unidata_version.split("."))) <= (15, 0, 0)


def is_known(character: str) -> bool:
    """Whether the character's properties are comparable.

    It is assigned in Python's Unicode, or never will be (a noncharacter).
    """
    return (
        unicodedata.category(character) not in ("Cn", "Cs")
        or ord(character) & 0xFFFE == 0xFFFE
        or "\ufdd0" <= character <= "\ufdef"
    )


def is_comparable_python() -> bool:
    """Whether every character that Python knows is one of Unicode 15.0."""
    return _UNICODE_15


@lru_cache(maxsize=1 << 16)
def break_class(character: str) -> int:
    """Class of an assigned code point, by the first rule that applies."""
    category = unicodedata.category(character)
    if category in ("Zs", "Zl", "Zp", "Cc") or character in "\u200b\ufeff":
        return SPACE
    if character == "\u200d":
        return JOINER
    if (category[0] == "M" or category == "Cf" or _IS_GRAPHEME_TAIL.match(character)) and not _IS_PREPENDED.match(
        character
    ):
        return EXTEND
    if _IS_REGIONAL.match(character):
        return REGIONAL
    if _IS_PICTOGRAPH.match(character) or _NO_LONGER_PICTOGRAPHS.match(character):
        return PICTOGRAPH
    if category in ("Nd", "No"):
        return DIGIT
    if category[0] == "L" or category == "Nl":
        return UNSPACED if _IS_UNSPACED.match(character) else LETTER
    return SYMBOL


def lower_case(character: str) -> str:
    """Simple lower case.

    `str.lower` gives the full one, which differs for U+0130 alone: i and a dot above. The simple mapping leaves the dot
    out.
    """
    return character.lower()[0]
