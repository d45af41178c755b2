"""Version 2 of the projection in plain Python, from the text of `pqrnn.features.characters`.

Properties of characters come from Python's `unicodedata` and the `regex` module, not from the shipped table.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import regex

from oracles.projection import (
    BASE,
    CHARACTER_SALT,
    END_MARK,
    MODULUS,
    SHAPE_SALT,
    START_MARK,
    Config,
    Projected,
    decode,
    finalise,
    stretch,
)
from oracles.unicode_classes import (
    DIGIT,
    EXTEND,
    JOINER,
    LETTER,
    PICTOGRAPH,
    REGIONAL,
    SPACE,
    SYMBOL,
    UNSPACED,
    break_class,
)

ACCENT, IGNORED, TERMINAL = 9, 10, 11
ACCENT_SALT = 0x2C1B3C6D
_IGNORABLE = regex.compile(r"\p{Default_Ignorable_Code_Point}")
_TERMINAL = regex.compile(r"[\p{Terminal_Punctuation}\u2025\u2026]")
_DASH = regex.compile(r"[\p{Dash}--\u301c\u3030\u30a0]", regex.VERSION1)
_HALF_WIDTH_VOICING = "\uff9e\uff9f"
_SAME = {"\u0131": "i", **dict.fromkeys("‘’‚‛′ʹʻʼʽ＇`´", "'"), **dict.fromkeys("“”„‟″«»＂", '"'), "‥": ".", "…": "."}


@lru_cache(maxsize=1 << 16)
def own_class(character: str) -> int:
    """The class of a character before it is folded."""
    code = ord(character)
    ignorable = bool(_IGNORABLE.match(character)) and unicodedata.category(character) != "Lo"
    if character == "\u200d":
        return JOINER
    skin_tone = 0x1F3FB <= code <= 0x1F3FF
    if (ignorable or skin_tone or 0xFFF9 <= code <= 0xFFFB) and character != "\u200b":
        return IGNORED
    if character in "¡¿":
        return SPACE
    if unicodedata.combining(character) or character in _HALF_WIDTH_VOICING:
        return ACCENT
    kind = break_class(character)
    return TERMINAL if kind == SYMBOL and _TERMINAL.match(character) else kind


def _casefold(character: str) -> str:
    """NFKC_Casefold."""
    text = character
    for _ in range(3):
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFD", text).casefold())
    return "".join(each for each in text if not _IGNORABLE.match(each))


@lru_cache(maxsize=1 << 16)
def fold(character: str) -> tuple[str, str]:
    """What a character is folded to: bases, and the accents of the last of them."""
    if own_class(character) in (IGNORED, SPACE) or "가" <= character <= "힣":
        return character, ""
    parts = unicodedata.normalize("NFD", character)
    if character in _HALF_WIDTH_VOICING:
        parts = unicodedata.normalize("NFKD", character)
    if all(map(unicodedata.combining, parts)):
        return parts[0], parts[1:]
    lower = parts[0].lower()
    for first in (_fold_base(parts[0]), "i" if parts[0] == "İ" else lower if len(lower) == 1 else parts[0]):
        whole = first + parts[1:]
        bases = "".join(each for each in whole if not unicodedata.combining(each))
        accents = "".join(filter(unicodedata.combining, whole))
        if bases and whole.startswith(bases) and _is_one_word(character, bases):
            return bases, accents
    return character, ""


def _fold_base(base: str) -> str:
    if base in _SAME:
        return _SAME[base]
    if _DASH.match(base):
        return "-"
    if own_class(base) == PICTOGRAPH:
        return base
    whole = "".join(each if "가" <= each <= "힣" else unicodedata.normalize("NFD", each) for each in _casefold(base))
    return "".join(_SAME.get(each, "-" if _DASH.match(each) else each) for each in whole)


def _is_one_word(character: str, bases: str) -> bool:
    kinds = {own_class(base) for base in bases}
    if len(bases) == 1:
        return kinds != {SPACE}
    more = {own_class(base) for base in bases[1:]}
    return len(bases) <= min(3, len(character.encode())) and (
        (len(kinds) == 1 and kinds <= {LETTER, DIGIT, EXTEND}) or more == {EXTEND}
    )


@dataclass
class _Seen:
    """A visible character: its fold, class and bytes; `silent` if it is part of the syllable before it."""

    bases: str
    accents: str
    kind: int
    start: int
    end: int
    after_joiner: bool
    silent: bool = False


@dataclass
class _Word:
    """A word as it grows: characters with the accents of each."""

    characters: list[_Seen] = field(default_factory=list)

    def clusters(self) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        for index, each in enumerate(self.characters):
            if each.silent:
                continue
            if each.kind == ACCENT and index:
                base, accents = found[-1]
                found[-1] = base, accents + each.bases + each.accents
                continue
            if each.kind == ACCENT:
                found.append(("\0", each.bases + each.accents))
                continue
            found += [(base, "") for base in each.bases]
            found[-1] = found[-1][0], each.accents
        return found


def _see(data: bytes) -> list[_Seen]:
    """The visible characters of a text, syllables of Hangul composed."""
    seen: list[_Seen] = []
    characters = decode(data)
    syllable, joined, reach = "", False, -1
    for character in characters:
        kind = own_class(character.text)
        if kind in (JOINER, IGNORED):
            joined, syllable = kind == JOINER, ""
            continue
        composed = (
            unicodedata.normalize("NFC", syllable + character.text) if syllable and reach == character.start else ""
        )
        if len(composed) == 1 and "가" <= composed <= "힣":
            seen[-1 if not seen[-1].silent else -2].bases = syllable = composed
            seen.append(_Seen("", "", EXTEND, character.start, character.end, False, silent=True))
        else:
            bases, accents = fold(character.text)
            if kind not in (ACCENT, SPACE) and bases != character.text:
                kind = own_class(bases[0])
            seen.append(_Seen(bases, accents, kind, character.start, character.end, joined))
            syllable = character.text if regex.match("[\u1100-\u1112가-힣]", character.text) else ""
        joined, reach = False, character.end
    return seen


def segment(data: bytes) -> list[_Word]:
    """Cut a text into words, one character at a time."""
    seen = _see(data)
    words: list[_Word] = []
    is_open = False
    base = before = SPACE
    for each in seen:
        extends = each.kind in (EXTEND, ACCENT)
        if each.kind == SPACE:
            is_open = False
        elif is_open and _goes_on(words[-1], base, before, each):
            words[-1].characters.append(each)
        else:
            words.append(_Word([each]))
            is_open = True
        before = each.kind
        base = base if extends else each.kind
    content = [i for i, each in enumerate(seen) if each.kind not in (SPACE, TERMINAL)]
    # A text of emoji alone is read; after anything else they end a text as marks do.
    content = [i for i in content if seen[i].kind not in (PICTOGRAPH, REGIONAL)] or content
    last = max(content, default=-1)
    final = [each for each in seen[last + 1 :] if each.kind != SPACE]
    kept = [word for word in words if word.characters[0] not in final]
    if final and final[0] is seen[last + 1] and final[0].bases == "." and kept and _is_single(kept, seen[last]):
        kept.append(_Word([final[0]]))
    return kept


def _is_single(words: Sequence[_Word], last: _Seen) -> bool:
    """Whether the last word is one letter, which is no part of a row of unspaced ones."""
    own = words[-1].characters
    if own[0].kind not in (LETTER, UNSPACED) or any(each.kind != ACCENT for each in own[1:]) or len(own[0].bases) != 1:
        return False
    if last is not own[-1]:
        return False
    previous = words[-2].characters if len(words) > 1 else []
    solid = [each for each in previous if each.kind not in (EXTEND, ACCENT)]
    touches = bool(previous) and previous[-1].end == own[0].start
    return not (own[0].kind == UNSPACED and touches and bool(solid) and solid[-1].kind == UNSPACED)


def _goes_on(word: _Word, base: int, before: int, each: _Seen) -> bool:
    if each.kind in (EXTEND, ACCENT):
        return True
    if each.kind in (LETTER, DIGIT):
        return base == each.kind
    if each.kind == PICTOGRAPH:
        return each.after_joiner and base == PICTOGRAPH
    if each.kind == REGIONAL:
        return before == REGIONAL and len(word.characters) == 1
    return False


def _hash_base(base: str) -> int:
    return finalise(ord(base) * BASE + CHARACTER_SALT)


def _hash_accent(accent: str) -> int:
    return finalise(ord(accent) * BASE + ACCENT_SALT)


def hash_clusters(clusters: Sequence[tuple[str, str]]) -> int:
    """The polynomial over the hashes of clusters, each the sum of that of the base and those of its accents."""
    values = [_hash_base(base) + sum(map(_hash_accent, accents)) for base, accents in clusters]
    return sum(value * BASE**index for index, value in enumerate(values)) % MODULUS


def word_features(word: _Word, config: Config) -> list[int]:
    """All features of one word."""
    clusters = word.clusters()
    own, ngram = config.word_features, config.ngram_features
    features = stretch(hash_clusters(clusters), 0, own)
    if not ngram:
        return features
    bases = [(base, "") for base, _ in clusters]
    hashes = []
    for order in config.ngrams:
        for start in range(len(bases) - order + 1):
            value = hash_clusters(bases[start : start + order]) + finalise(order)
            value += START_MARK if start == 0 else 0
            value += END_MARK if start + order == len(bases) else 0
            hashes.append(value % MODULUS)
    kind = word.characters[0].kind
    kind = SYMBOL if kind == TERMINAL else kind
    hashes.append(finalise((kind << 16 | min(len(bases), 15) << 12) * BASE + SHAPE_SALT))
    parts = [stretch(value, own, ngram) for value in hashes]
    return features + [max(-1, min(1, sum(column))) for column in zip(*parts, strict=True)]


def project(data: bytes, rows: int, config: Config) -> Projected:
    """Project a text as `pqrnn.features.projection.Projection` does, cut at `rows` words and filled up with zeros."""
    words = segment(data)
    features = np.zeros((rows, config.word_features + config.ngram_features), np.float32)
    spans = np.zeros((rows, 2), np.int32)
    for row, word in enumerate(words[:rows]):
        features[row] = word_features(word, config)
        spans[row] = word.characters[0].start, max(each.end for each in word.characters)
    return Projected(features, spans, len(words))
