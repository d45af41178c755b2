"""The characters of texts and the words that they form: stages 1 to 3 of `pqrnn.features.projection`.

Version 2 reads texts that differ in nothing that a speaker would hear as the same characters:

- *Canonical forms.* Composed and decomposed letters are one: accents add to the hash of the character before them.
  Conjoining jamo are composed by the arithmetic of Unicode (chapter 3.12).
- *Case and compatibility.* Capitals, full-width letters, ligatures, `ß` and so on are folded by table
  (`pqrnn.features.unicode_database`); one character may become two or three.
- *Invisible characters* (Default_Ignorable_Code_Point) are read over: they are in no hash, and at no edge of a word.
- *Final marks.* Marks that end a text (`.`, `?`, `!`, `,` and others' like) are no words. A full stop after a single
  letter stays, because it belongs to it: `7 p.m.`
- *Final pictographs.* Emoji and flags that end a text are no words either, unless the text has nothing else.
- *Other marks.* Dashes are hyphens, and quotation marks straight ones. Marks that open Spanish sentences are spaces.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from pqrnn.features.hashing import shift_right
from pqrnn.features.unicode_table import BLOCK_BITS, CLASS_BITS, FOLD_BITS, BreakClass, load_unicode_table
from pqrnn.features.utf8 import decode_utf8, unpack_bytes

FULL_STOP = ord(".")
# Conjoining jamo: leading consonants, vowels, and trailing consonants, of which there are 19, 21 and 27.
LEADS, VOWELS, TRAILS = range(0x1100, 0x1113), range(0x1161, 0x1176), range(0x11A8, 0x11C3)
SYLLABLES = range(0xAC00, 0xD7A4)  # in groups of 28 that share all but the trailing consonant
JAMO_BYTES = 3
_PLAIN = 1 << 24  # above every position in a text: sorts content that is no pictograph after all that is


class Characters(NamedTuple):
    """What is known of the character that begins at each byte, int32[B, N] each.

    Attributes:
        folded: Its code point after folding.
        accents: Sum of the hashes of the accents that it is composed with.
        kind: Its `BreakClass`.
        upper: Whether it is upper case; zeros from version 2 on.
        rank: Number of characters before it in the text. An accent has the rank of the character that it belongs to.
        step: Whether it counts as a character: neither invisible, nor an accent of the character before it.
        is_accent: Whether it is an accent. One that begins a word is that of an empty character.
        owner: Its word, from 1; 0 for none.
        starts: Whether it begins that word.
        end: The byte after its last.
    """

    folded: Tensor
    accents: Tensor
    kind: Tensor
    upper: Tensor
    rank: Tensor
    step: Tensor
    is_accent: Tensor
    owner: Tensor
    starts: Tensor
    end: Tensor


class _Decoded(NamedTuple):
    """Characters before words are known: as in `Characters`, and whether a character begins here at all."""

    code: Tensor
    folded: Tensor
    accents: Tensor
    kind: Tensor
    end: Tensor
    present: Tensor
    counted: Tensor


class CharacterReader(nn.Module):
    """Reads the characters of texts and finds their words. It has no parameters; its tables are buffers."""

    stage1: Tensor
    stage2: Tensor
    folds: Tensor

    def __init__(self, version: int) -> None:
        """Load the tables of a version of the projection."""
        super().__init__()
        table = load_unicode_table(version)
        self.version = version
        self.register_buffer("stage1", torch.from_numpy(table.stage1)[:, None], persistent=False)
        self.register_buffer("stage2", torch.from_numpy(table.stage2)[:, None], persistent=False)
        self.register_buffer("folds", torch.from_numpy(table.folds), persistent=False)

    def forward(self, text: Tensor) -> Characters:
        """Read texts, int32[B, N/4] (`pqrnn.features.utf8.pack_texts`)."""
        position = torch.arange(text.shape[1] * 4, dtype=torch.int32, device=text.device)
        decoded = self._decode(text, position)
        visible, kind, starts = self._find_starts(decoded, position)
        is_accent = is_one_of(kind, [BreakClass.ACCENT]) * visible
        step = visible * (1 - is_accent * (1 - starts)) * decoded.counted
        # Words so far in the high half and characters so far in the low half, in one prefix sum.
        sums = prefix_sum(starts * 65536 + step, position)
        inside = visible * (kind != BreakClass.SPACE).to(torch.int32)
        upper = torch.zeros_like(step)
        if self.version == 1:
            upper = decoded.present * (decoded.folded != decoded.code).to(torch.int32)
        return Characters(
            decoded.folded,
            decoded.accents,
            kind,
            upper,
            (torch.bitwise_and(sums, 65535) - 1).clamp(min=0),
            step,
            is_accent,
            shift_right(sums, 16) * inside,
            starts,
            decoded.end,
        )

    def _decode(self, text: Tensor, position: Tensor) -> _Decoded:
        code, length = decode_utf8(unpack_bytes(text))
        present = (length > 0).to(torch.int32)
        counted = torch.ones_like(code)
        if self.version > 1:
            code, counted = compose_hangul(code)
        entry = self.look_up(code)
        kind = torch.bitwise_and(entry, (1 << CLASS_BITS) - 1)
        folded = code + shift_right(entry, CLASS_BITS + FOLD_BITS)
        end = position + length
        accents = torch.zeros_like(code)
        if self.version > 1:
            # Jamo that are part of a syllable extend it.
            kind = kind * counted + (1 - counted) * int(BreakClass.EXTEND)
            row = torch.bitwise_and(shift_right(entry, CLASS_BITS), (1 << FOLD_BITS) - 1)
            found = functional.embedding(row, self.folds)
            accents, second, third = found[..., 0], found[..., 1], found[..., 2]
            # The second and third character of a fold lie at the next bytes, where no character begins.
            is_second, is_third = (_shift(second, 1) > 0).to(torch.int32), (_shift(third, 2) > 0).to(torch.int32)
            folded = folded + _shift(second, 1) + _shift(third, 2)
            # They go on with the word of the first, as letters and digits do; after others they extend it.
            more = kind + is_one_of(kind, [BreakClass.UNSPACED]) * (BreakClass.EXTEND - BreakClass.UNSPACED)
            kind = kind + is_second * _shift(more, 1) + is_third * _shift(more, 2)
            end = end + is_second * (_shift(length, 1) - 1) + is_third * (_shift(length, 2) - 2)
            # Accents belong to the last of them.
            alone = (second == 0).to(torch.int32)
            accents = (
                accents * alone
                + is_second * _shift(accents * (third == 0).to(torch.int32), 1)
                + is_third * _shift(accents, 2)
            )
            present = present + is_second + is_third
        return _Decoded(code, folded, accents, kind, end, present, counted)

    def look_up(self, code: Tensor) -> Tensor:
        """Return the entries of code points (`pqrnn.features.unicode_table`), int32 of any shape."""
        block = functional.embedding(shift_right(code, BLOCK_BITS), self.stage1)[..., 0]
        offset = torch.bitwise_and(code, (1 << BLOCK_BITS) - 1)
        return functional.embedding(block * (1 << BLOCK_BITS) + offset, self.stage2)[..., 0]

    def _find_starts(self, decoded: _Decoded, position: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Find where words begin.

        Returns:
            Whether there is a visible character, its class where marks are symbols or spaces, and whether it begins a
            word: int32[B, N] each.
        """
        kind, end, present = decoded.kind, decoded.end, decoded.present
        visible, extends = present, is_one_of(kind, [BreakClass.EXTEND, BreakClass.JOINER])
        if self.version > 1:
            visible = present * (1 - is_one_of(kind, [BreakClass.JOINER, BreakClass.IGNORED]))
            extends = is_one_of(kind, [BreakClass.EXTEND, BreakClass.ACCENT])
        # The last visible character before each position, and the last that extends nothing: the position of its end
        # and its class in one number.
        key = end * 16 + kind
        solid = visible * (1 - extends)
        before = torch.bitwise_and(prefix_max(key * visible, position), 15)
        base = torch.bitwise_and(prefix_max(key * solid, position), 15)
        last = torch.bitwise_and(prefix_max(key * present, position), 15) if self.version > 1 else before
        regional = visible * is_one_of(kind, [BreakClass.REGIONAL])
        count = prefix_sum(regional, position)
        earlier = prefix_max(count * visible * (1 - regional), position)
        odd = torch.bitwise_and(count - regional - earlier, 1)

        same = (kind == base).to(torch.int32)
        run = same * is_one_of(kind, [BreakClass.LETTER, BreakClass.DIGIT])
        attached = extends * (before != BreakClass.SPACE).to(torch.int32)
        joined = same * is_one_of(kind, [BreakClass.PICTOGRAPH]) * is_one_of(last, [BreakClass.JOINER])
        paired = regional * is_one_of(before, [BreakClass.REGIONAL]) * odd
        goes_on = run + attached + joined + paired
        starts = visible * (kind != BreakClass.SPACE).to(torch.int32) * (goes_on == 0).to(torch.int32)
        if self.version == 1:
            return visible, kind, starts

        mark = visible * is_one_of(kind, [BreakClass.TERMINAL])
        content = visible * (1 - is_one_of(kind, [BreakClass.SPACE, BreakClass.TERMINAL]))
        picture = content * is_one_of(kind, [BreakClass.PICTOGRAPH, BreakClass.REGIONAL])
        # A word that is a single letter, with nothing before it that it could be the end of.
        single = starts * (
            is_one_of(kind, [BreakClass.LETTER])
            + is_one_of(kind, [BreakClass.UNSPACED]) * (base != BreakClass.UNSPACED).to(torch.int32)
        )
        after_single = torch.bitwise_and(prefix_max((position * 2 + 2 + single) * solid, position), 1) * is_one_of(
            before, [BreakClass.LETTER, BreakClass.UNSPACED, BreakClass.ACCENT]
        )
        stays = (decoded.folded == FULL_STOP).to(torch.int32) * after_single
        # The last content that is no pictograph; where a text has nothing else, the last pictograph.
        last_end = torch.bitwise_and((content * end + (content - picture) * _PLAIN).amax(-1, keepdim=True), _PLAIN - 1)
        ends = (mark + picture) * (position >= last_end).to(torch.int32) * (1 - stays * mark)
        kind = (kind * (1 - mark) + mark * int(BreakClass.SYMBOL)) * (1 - ends)
        return visible, kind, starts * (1 - ends)


def compose_hangul(code: Tensor) -> tuple[Tensor, Tensor]:
    """Compose conjoining jamo, as normalization form C does.

    Args:
        code: Code points where a character begins and 0 elsewhere, int32[B, N].

    Returns:
        Code points with syllables in place of their leading consonant, and 0 where a jamo became part of a syllable,
        else 1; int32[B, N] each.
    """
    ahead = functional.pad(code, (0, 2 * JAMO_BYTES))
    size = code.shape[1]
    next1, next2 = (ahead[:, k * JAMO_BYTES : k * JAMO_BYTES + size] for k in (1, 2))
    lead, vowel, trail = (_within(value, jamo) for value, jamo in ((code, LEADS), (next1, VOWELS), (next2, TRAILS)))
    two = lead * vowel
    three = two * trail
    # A syllable without a trailing consonant, and one beside it.
    index = code - SYLLABLES.start
    open_ = _within(code, SYLLABLES) * (index % 28 == 0).to(torch.int32)
    closed = open_ * _within(next1, TRAILS)
    whole = SYLLABLES.start + ((code - LEADS.start) * 21 + next1 - VOWELS.start) * 28
    composed = (
        two * whole
        + three * (next2 - TRAILS.start + 1)
        + closed * (code + next1 - TRAILS.start + 1)
        + (1 - two) * (1 - closed) * code
    )
    taken = _shift(two + closed, JAMO_BYTES) + _shift(three, 2 * JAMO_BYTES)
    return composed * (1 - taken) + code * taken, 1 - taken


def is_one_of(kind: Tensor, classes: Iterable[BreakClass]) -> Tensor:
    """Return 1 where a class is one of some, else 0: int32, shaped like `kind`."""
    # No stack: compiled, that copies.
    return functools.reduce(torch.add, ((kind == int(wanted)).to(torch.int32) for wanted in classes))


def prefix_max(value: Tensor, position: Tensor) -> Tensor:
    """Largest non-negative value strictly before each position: int32[B, N]."""
    earlier = (position[None, :] < position[:, None]).to(torch.int32)
    return (value[:, None, :] * earlier).amax(-1)


def prefix_sum(value: Tensor, position: Tensor) -> Tensor:
    """Sum up to and including each position: int32[B, N]. A masked sum: GPUs lack an int32 cumulative sum in IREE."""
    upto = (position[None, :] <= position[:, None]).to(torch.int32)
    return (value[:, None, :] * upto).sum(-1, dtype=torch.int32)


def _shift(value: Tensor, count: int) -> Tensor:
    """Move values to positions `count` bytes further on; zeros come in."""
    return functional.pad(value, (count, 0))[:, : value.shape[1]]


def _within(value: Tensor, codes: range) -> Tensor:
    return (value >= codes.start).to(torch.int32) * (value < codes.stop).to(torch.int32)
