"""Hypothesis strategies for texts.

Scripts and their traps, arbitrary Unicode, arbitrary bytes, and UTF-8 that something has damaged.
"""

from __future__ import annotations

import sys

from hypothesis import strategies as st

from oracles.unicode_classes import is_comparable_python, is_known

# Pieces that meet each other in one text, by what they try.
PIECES: dict[str, list[str]] = {
    "latin": ["a", "B", "é", "e\u0301", "İ", "ı", "ß", "ẞ", "ǅ", "ﬁ", "K", "Å", "Wörter", "don't", "co-op"],
    "greek": ["α", "Σ", "σ", "ς", "Ά", "ᾼ", "ὀδός", "ΟΔΥΣΣΕΥΣ"],
    "cyrillic": ["я", "Ж", "й", "и\u0306", "Ѐ", "привет"],
    "georgian": ["ა", "Ა", "Ⴀ", "ⴀ"],
    "arabic": ["ا", "لا", "ـ", "مُحَمَّد", "\u0640\u0651", "٣", "\u0600", "،", "\u200f", "سـلام"],
    "hebrew": ["א", "שָׁלוֹם", "״", "\u200e", "־"],
    "hindi": ["क", "्", "ि", "क्या", "हिन्दी", "क्\u200dष", "क्\u200cष", "।", "३"],
    "thai": ["ก", "่", "เ", "ำ", "น้ำ", "สวัสดี", "๓", "ๆ"],
    "lao khmer myanmar": ["ລາວ", "ນ້ຳ", "ក្រុម", "ខ្មែរ", "မြန်မာ", "၃"],
    "han": ["中", "文", "々", "〇", "葛\U000e0100", "\U00020000", "。", "，"],
    "kana": ["あ", "が", "か\u3099", "ー", "ｰ", "テスト", "ﾞ", "・"],
    "korean": ["한", "국어", "\u1112\u1161\u11ab", "ㅎ"],
    "emoji": [
        "😀",
        "👍🏽",
        "❤\ufe0f",
        "👩\u200d👧",
        "🏴\u200d☠\ufe0f",
        "\u200d",
        "\ufe0f",
        "🏽",
        "©",
        "☎",
        "🏴\U000e0067\U000e007f",
    ],
    "flags": ["🇩", "🇪", "🇩🇪", "🇺🇸🇬", "\u20e3", "1\ufe0f\u20e3"],
    "digits": ["0", "7", "3.14", "1,000", "²", "½", "Ⅳ", "①", "12:30"],
    "punctuation": [".", ",", "!", "?", "'", "’", "-", "—", '"', "«", "_", "@", "#", "&", "/", "€", "+", "\ufffd"],
    "marks": ["\u0301", "\u0308\u0323", "\u0301" * 5, "\u200c", "\u00ad", "\u034f", "\u2060", "\u1ab0"],
    "spaces": [
        " ",
        " ",
        "  ",
        "\t",
        "\n",
        "\r\n",
        "\0",
        "\0\0",
        "\xa0",
        "\u2003",
        "\u200b",
        "\ufeff",
        "\u3000",
        "\x85",
        "\u2028",
    ],
    "edges": [
        "\x7f",
        "\x80",
        "\u07ff",
        "\u0800",
        "\ud7ff",
        "\ue000",
        "\uffff",
        "\U00010000",
        "\U0010fffd",
        "\U0001d400",
        "𐐀",
        "𐐨",
        "𞤀",
    ],
}
# Ill-formed UTF-8: stray and missing continuation bytes, overlong forms, surrogates, past U+10FFFF, bytes that never
# occur.
DAMAGE = [
    bytes.fromhex(sequence)
    for sequence in [
        "80",
        "bf",
        "c080",
        "c1bf",
        "c2",
        "df",
        "e08080",
        "e09fbf",
        "e180",
        "eda080",
        "edbfbf",
        "e282",
        "efbf",
        "f0808080",
        "f08fbfbf",
        "f09080",
        "f09f",
        "f48fbf",
        "f4908080",
        "f5808080",
        "f888808080",
        "fe",
        "ff",
        "c2c280",
        "e180e18080",
        "f180f1808080",
    ]
]


def characters() -> st.SearchStrategy[str]:
    """Any code point whose properties are comparable."""
    # On a Python with later Unicode the alphabet stays in what has not changed: the basic plane's oldest scripts, and
    # the pieces.
    last = sys.maxunicode if is_comparable_python() else 0x17FF
    return st.characters(max_codepoint=last, exclude_categories=("Cn", "Cs"))


def texts(*names: str) -> st.SearchStrategy[str]:
    """Texts made of the pieces of some scripts (of all by default)."""
    pieces = [piece for name in (names or PIECES) for piece in PIECES[name]]
    return st.lists(st.sampled_from(pieces), max_size=24).map("".join)


def damaged_bytes() -> st.SearchStrategy[bytes]:
    """UTF-8 with truncations, deletions, changed bytes and ill-formed sequences in it."""
    part = st.one_of(
        texts().map(str.encode), st.sampled_from(DAMAGE), texts().flatmap(_damage), st.sampled_from(DAMAGE)
    )
    return st.lists(part, min_size=1, max_size=6).map(b"".join)


def _damage(text: str) -> st.SearchStrategy[bytes]:
    data = text.encode()
    index = st.integers(0, max(len(data) - 1, 0))
    return st.one_of(
        index.map(lambda i: data[:i]),
        index.map(lambda i: data[i:]),
        index.map(lambda i: data[:i] + data[i + 1 :]),
        st.tuples(index, st.integers(0, 255)).map(
            lambda change: data[: change[0]] + bytes([change[1]]) + data[change[0] + 1 :]
        ),
    )


def byte_texts(size: int) -> st.SearchStrategy[bytes]:
    """Any text of at most `size` bytes, well-formed or not: the cut at `size` makes one more kind of damage."""
    everything = st.one_of(
        texts().map(str.encode),
        st.sampled_from(sorted(PIECES)).flatmap(lambda name: texts(name, "spaces")).map(str.encode),
        st.text(characters(), max_size=size // 2).map(str.encode),
        st.binary(max_size=size),
        damaged_bytes(),
    )
    return everything.map(lambda data: data[:size]).filter(
        lambda data: all(map(is_known, data.decode("utf-8", "replace")))
    )
