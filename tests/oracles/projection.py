"""The projection in plain Python, from the text of `pqrnn.features.projection`.

It uses strings, lists and unbounded integers.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from oracles.unicode_classes import DIGIT, EXTEND, JOINER, LETTER, PICTOGRAPH, REGIONAL, SPACE, break_class, lower_case

MODULUS = 1 << 32
# The constants of version 1. They are written out, not imported: other numbers would be another projection.
BASE = 0x9E3779B1
CHARACTER_SALT = 0x27D4EB2F
SHAPE_SALT = 0x7FEB352D
START_MARK = 0x165667B1
END_MARK = 0x2545F491
FEATURES_PER_HASH = 16


class Config(Protocol):
    """What of `pqrnn.recipes.settings.ProjectionConfig` is read here."""

    @property
    def word_features(self) -> int: ...
    @property
    def ngram_features(self) -> int: ...
    @property
    def ngrams(self) -> tuple[int, ...]: ...


class Character(NamedTuple):
    """A decoded character and its bytes in the text, end exclusive."""

    text: str
    start: int
    end: int


class Projected(NamedTuple):
    """`features` float32[words, F], `spans` int32[words, 2], and the number of words in the whole text."""

    features: npt.NDArray[np.float32]
    spans: npt.NDArray[np.int32]
    word_count: int


def decode(data: bytes) -> list[Character]:
    """Decode as `bytes.decode("utf-8", "replace")`, with the bytes of every character.

    Python tells an error handler which bytes it could not decode; whatever lies between is well-formed, and as long as
    its encoding.
    """
    broken: dict[int, int] = {}

    def note(error: UnicodeError) -> tuple[str, int]:
        assert isinstance(error, UnicodeDecodeError)
        broken[error.start] = error.end
        return "\ufffd", error.end

    codecs.register_error("oracle-note", note)
    characters, start = [], 0
    for text in data.decode("utf-8", "oracle-note"):
        end = broken.get(start) or start + len(text.encode())
        characters.append(Character(text, start, end))
        start = end
    assert "".join(c.text for c in characters) == data.decode("utf-8", "replace")
    assert start == len(data)
    return characters


def segment(characters: Sequence[Character]) -> list[list[Character]]:
    """Cut characters into words, one at a time."""
    words: list[list[Character]] = []
    is_open, before = False, SPACE
    for character in characters:
        kind = break_class(character.text)
        if kind == SPACE:
            is_open = False
        elif is_open and _goes_on(words[-1], before, kind):
            words[-1].append(character)
        else:
            words.append([character])
            is_open = True
        before = kind
    return words


def _goes_on(word: list[Character], before: int, kind: int) -> bool:
    """Whether a character of class `kind` goes on with `word`, whose last character has class `before`."""
    if kind in (EXTEND, JOINER):
        return True
    solid = [k for k in (break_class(c.text) for c in word) if k not in (EXTEND, JOINER)]
    if kind in (LETTER, DIGIT):
        return bool(solid) and solid[-1] == kind
    if kind == PICTOGRAPH:
        return before == JOINER and bool(solid) and solid[-1] == PICTOGRAPH
    if kind == REGIONAL:
        return before == REGIONAL and len(word) == 1
    return False


def finalise(value: int) -> int:
    """MurmurHash3's fmix32."""
    value %= MODULUS
    value ^= value >> 16
    value = value * 0x85EBCA6B % MODULUS
    value ^= value >> 13
    value = value * 0xC2B2AE35 % MODULUS
    return value ^ (value >> 16)


@lru_cache(maxsize=1 << 16)
def _hash_character(character: str) -> int:
    return finalise(ord(lower_case(character)) * BASE + CHARACTER_SALT)


def hash_string(text: str) -> int:
    """`sum_k g(c_k) * P^k mod 2^32` over the folded characters."""
    return sum(_hash_character(character) * BASE**index for index, character in enumerate(text)) % MODULUS


def hash_ngrams(word: str, orders: Sequence[int]) -> list[int]:
    """Hashes of the word's character n-grams, told apart by their length and by whether they touch the word's edges."""
    hashes = []
    for order in orders:
        for start in range(len(word) - order + 1):
            value = hash_string(word[start : start + order]) + finalise(order)
            value += START_MARK if start == 0 else 0
            value += END_MARK if start + order == len(word) else 0
            hashes.append(value % MODULUS)
    return hashes


def hash_shape(word: str) -> int:
    """Hash of a word's shape.

    That is its first character's class, its length up to 15, whether the first is a capital, and whether more than one
    is.
    """
    capitals = [lower_case(character) != character for character in word]
    shape = break_class(word[0]) << 16 | min(len(word), 15) << 12 | capitals[0] << 1 | (sum(capitals) > 1)
    return finalise(shape * BASE + SHAPE_SALT)


@lru_cache(maxsize=1 << 18)
def _stretch(value: int, group: int) -> tuple[int, ...]:
    bits = finalise(value ^ finalise(group + 1))
    pairs = [(bits >> 2 * index) & 3 for index in range(FEATURES_PER_HASH)]
    return tuple({0b00: 0, 0b11: 0, 0b01: 1, 0b10: -1}[pair] for pair in pairs)


def stretch(value: int, first: int, features: int) -> list[int]:
    """Ternary features number `first` and following of a hash."""
    groups = range(first // FEATURES_PER_HASH, (first + features) // FEATURES_PER_HASH)
    return [number for group in groups for number in _stretch(value, group)]


def word_features(word: str, config: Config) -> list[int]:
    """All features of one word: of its own hash, then the clipped sums of its n-grams and shape."""
    own, ngram = config.word_features, config.ngram_features
    features = stretch(hash_string(word), 0, own)
    if ngram:
        parts = [stretch(value, own, ngram) for value in (*hash_ngrams(word, config.ngrams), hash_shape(word))]
        features += [max(-1, min(1, sum(column))) for column in zip(*parts, strict=True)]
    return features


def project(data: bytes, rows: int, config: Config) -> Projected:
    """Project a text as `pqrnn.features.projection.Projection` does, cut at `rows` words and filled up with zeros."""
    words = segment(decode(data))
    features = np.zeros((rows, config.word_features + config.ngram_features), np.float32)
    spans = np.zeros((rows, 2), np.int32)
    for row, word in enumerate(words[:rows]):
        features[row] = word_features("".join(c.text for c in word), config)
        spans[row] = word[0].start, word[-1].end
    return Projected(features, spans, len(words))
