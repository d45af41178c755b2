"""Texts that differ in nothing that one hears have the same words and features, from version 2 of the projection on."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

import pytest
import regex
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles.effort import examples
from oracles.texts import texts
from oracles.unicode_classes import is_known

from pqrnn.features.projection import Projection
from pqrnn.features.segmentation import segment_texts
from pqrnn.features.utf8 import pack_texts
from pqrnn.recipes.settings import ProjectionConfig

PROJECTION = Projection(ProjectionConfig(word_features=32, ngram_features=48))
ROWS = 96
FINAL_MARKS = [
    ".",
    "?",
    "!",
    "?!",
    "...",
    "…",
    ",",
    ";",
    ":",
    "。",
    "！",
    "？",
    "؟",
    "।",
    " .",
    " ?",
    ". ",
    "!\n",
    "\u2069.",
    "．",
]
INVISIBLE = [
    *"\u00ad\u034f\u061c\u180e\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2064\u2066\u2067",
    *"\u2068\u2069\u206f\ufe00\ufe0e\ufe0f\ufeff\ufffa\U000e0020\U000e0067\U000e0100",
]


def features(text: str) -> torch.Tensor:
    """Features of all words of a text."""
    data = text.encode("utf-8", "replace")
    found = PROJECTION(pack_texts([data], -(-max(len(data), 1) // 4) * 4), ROWS)
    return found.features[0, : int(found.word_count[0])]


def words(text: str) -> list[str]:
    """Words of a text."""
    data = text.encode()
    return [data[start:end].decode() for start, end in segment_texts(PROJECTION, [data])[0]]


def assert_same(left: str, right: str) -> None:
    first, second = features(left), features(right)
    assert first.shape == second.shape, (ascii(left), ascii(right), words(left), words(right))
    assert torch.equal(first, second), (ascii(left), ascii(right))


_KNOWN = texts().map(lambda text: "".join(filter(is_known, text))[:40])


@examples(300)
@given(_KNOWN)
def test_canonically_equivalent_texts_are_the_same(text: str) -> None:
    """Accents in another order, composed and decomposed letters, jamo and syllables."""
    for form in ("NFC", "NFD"):
        assert_same(text, unicodedata.normalize(form, text))


def test_every_character_is_its_decomposition() -> None:
    """Alone, before a letter and after one: all that Unicode decomposes canonically."""
    pairs = [(chr(code), unicodedata.normalize("NFD", chr(code))) for code in range(0x110000) if is_known(chr(code))]
    pairs = [(one, two) for one, two in pairs if one != two and not "가" <= one <= "힣"]
    pairs += [(one, unicodedata.normalize("NFD", one)) for one in "가각힣뷁"]
    assert len(pairs) > 2000
    for frame in ("{} 0", "a{}b 0"):
        composed, decomposed = (
            pack_texts([frame.format(pair[side]).encode() for pair in pairs], 32) for side in (0, 1)
        )
        left, right = PROJECTION(composed, 4), PROJECTION(decomposed, 4)
        assert torch.equal(left.word_count, right.word_count)
        odd = [pairs[row] for row in (left.features != right.features).flatten(1).any(1).nonzero()[:, 0].tolist()]
        assert not odd, odd[:10]


# A capital of these is no capital of another letter of theirs, or has an iota beside it where they have it below.
_NO_PAIR = "ŉǰΐΰևẖẗẘẙẚὐὒὔὖ"


@examples(200)
@given(_KNOWN)
def test_case_does_not_matter(text: str) -> None:
    plain = "".join(
        each
        for each in text
        if "ͅ" not in unicodedata.normalize("NFD", each) and each not in _NO_PAIR and not regex.match(r"\p{Emoji}", each)
    )
    assert_same(plain, plain.upper())
    assert_same(plain, plain.lower())
    assert_same(plain, plain.title())


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("ｔｕｒｎ　ｏｎ", "turn on"),
        ("ﬁnd the ﬂoor", "find the floor"),
        ("STRASSE", "straße"),
        ("GROẞ", "groß"),
        ("ΟΔΟΣ", "οδος"),
        ("ISPARTA", "ısparta"),
        ("𝐩𝐥𝐚𝐲 ℊ", "play g"),
        ("10²", "102"),
        ("ｶﾞﾊﾟ", "ガパ"),
        ("Ǆ", "ǆ"),
        ("l’heure", "l'heure"),
        ("“jazz” now", '"jazz" now'),
        ("living‑room", "living-room"),
        ("5–6 – now", "5-6 - now"),
        ("¿qué hora es?", "qué hora es"),
        ("5㎏ ok", "5kg ok"),
        ("한국어로", unicodedata.normalize("NFD", "한국어로")),
    ],
)
def test_these_are_the_same(left: str, right: str) -> None:
    assert_same(left, right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("schön", "schon"),
        ("in -3", "in 3"),
        ("a.b", "ab"),
        ("ก", "ก้"),
        ("が", "か"),
        ("no", "not"),
        ("7 - 5", "7 5"),
        ("living-room", "living room"),
    ],
)
def test_these_are_not_the_same(left: str, right: str) -> None:
    first, second = features(left), features(right)
    assert first.shape != second.shape or not torch.equal(first, second)


def test_a_letter_without_its_accent_shares_the_features_of_ngrams() -> None:
    own = PROJECTION.config.word_features
    accented, bare = features("hôtel réservé"), features("hotel reserve")
    assert torch.equal(accented[:, own:], bare[:, own:])
    assert not torch.equal(accented[:, :own], bare[:, :own])


@examples(200)
@given(_KNOWN, st.sampled_from(FINAL_MARKS))
def test_marks_at_the_end_are_no_words(text: str, mark: str) -> None:
    """But for a full stop that belongs to a single letter."""
    kept = text + " x0"
    assert_same(kept, kept + mark)
    assert words(kept + mark) == words(kept)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Play some jazz.", "Play some jazz"),
        ("wake me at 7 p.m.", "wake me at 7 p . m ."),
        ("wake me at 7 p.m.?!", "wake me at 7 p . m ."),
        ("news from b. b. c.", "news from b . b . c ."),
        ("vitamin c?", "vitamin c"),
        ("เวลา 20.45 น.", "เ ว ล า 20 . 45 น ."),
        ("สวัสดี.", "ส วั ส ดี"),
        ("set it to 21.", "set it to 21"),
        ("play jazz. thanks.", "play jazz . thanks"),
        ("jazz-.", "jazz -"),
        ("...", ""),
        ("?", ""),
        ("été.", "été"),
        ("à.", "à ."),
        ("kitchen\u2069.", "kitchen"),
        ("\u200fkitchen\u200f lights", "kitchen lights"),
        ("❤\ufe0f ok", "❤ ok"),
        ("👨\u200d👩\u200d👧 ok", "👨\u200d👩\u200d👧 ok"),
        ("co\u00adop e-mail", "co\u00adop e - mail"),
        ("play jazz 🙂", "play jazz"),
        ("play jazz 🙂 !", "play jazz"),
        ("play jazz! ❤\ufe0f🎉", "play jazz"),
        ("ok 👍🏽", "ok"),
        ("👍🏽 ok", "👍 ok"),
        ("come to 🇫🇷", "come to"),
        ("hi 👨\u200d👩\u200d👧", "hi"),
        ("🙂 hi", "🙂 hi"),
        ("add 🍕 to the list", "add 🍕 to the list"),
        ("at 7 p. 🙂", "at 7 p ."),
        ("👍", "👍"),
        ("👍 🎉!", "👍 🎉"),
        ("?👍", "? 👍"),
        ("it's 5-6 o'clock", "it ' s 5 - 6 o ' clock"),
        ("turn it off - now", "turn it off - now"),
    ],
)
def test_words_of_version_2(text: str, expected: str) -> None:
    assert words(text) == expected.split()


@examples(300)
@given(_KNOWN, st.sampled_from(INVISIBLE), st.data())
def test_invisible_characters_are_read_over(text: str, invisible: str, data: st.DataObject) -> None:
    """Anywhere but between emoji, which a joiner joins, and between jamo, which it keeps apart."""
    text = regex.sub(r"[\p{Extended_Pictographic}\p{Regional_Indicator}\u1100-\u11ff가-힣]", "", text)
    position = data.draw(st.integers(0, len(text)))
    marked = text[:position] + invisible + text[position:]
    assert_same(text, marked)
    remove: Callable[[str], str] = lambda word: "".join(each for each in word if each not in INVISIBLE)  # noqa: E731
    assert list(map(remove, words(marked))) == list(map(remove, words(text)))
    assert all(word[0] not in INVISIBLE and word[-1] not in INVISIBLE for word in words(marked))


@examples(200)
@given(_KNOWN, st.text(st.sampled_from("🙂👍🏽❤\ufe0f🇫🇷👨\u200d👩 !."), min_size=1, max_size=6))
def test_emoji_at_the_end_are_read_over_where_there_is_anything_else(text: str, emoji: str) -> None:
    if words(text) and not regex.search(r"[\p{Extended_Pictographic}\p{Regional_Indicator}.]", text):
        assert_same(text, f"{text} {emoji}")
