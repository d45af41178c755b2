"""Raw UTF-8 bytes to words and their ternary features, as one tensor program.

The module below is what training, PyTorch evaluation and every compiled target run; there is no second tokenizer. It is
written in int32 operations that `torch.export` and IREE lower exactly on CPU and GPU: no loops, no 64-bit integers, no
booleans that leave the graph.

Stages (B texts, N bytes, W words):

1. *Decode.* Strict UTF-8 (Unicode 15, table 3-7). Every maximal subpart of an ill-formed sequence is one U+FFFD, as
`bytes.decode("utf-8", "replace")`
   has it, and keeps its byte offsets. Zero bytes are the padding: U+0000 separates words, so no length is needed.
2. *Fold and classify.* Simple lower case and a `BreakClass` for every code point, from `pqrnn.features.unicode_table`.
3. *Segment.* A word is a run of letters, or a run of digits, or one grapheme of a script without spaces, or one symbol;
combining marks,
   format characters and joiners stay with what precedes them; pictographs go on after a zero width joiner; regional
   indicators pair up.
4. *Hash.* `h(word) = sum_k g(c_k) * P^k mod 2^32` over the word's folded code points, with `g` the finaliser of
MurmurHash3; the same for
   every character n-gram inside the word, with marks for the word's edges; and one hash for the word's shape (class,
   length, capitals).
5. *Features.* Every 32-bit hash is stretched to as many bits as needed by seeds and the finaliser; two bits make a
ternary number: 00 and 11 are 0,
   01 is +1, 10 is -1, so P(0) = 1/2 and P(+1) = P(-1) = 1/4 (pQRNN, arXiv:2101.08890, after PRADO, D19-1506). The first
   `word_features` columns are the word's own; the others are the sum over its n-grams and its shape, clipped to
   [-1, 1], so ternary again (with fewer zeros: about 0.16 in words of three to ten letters).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from pqrnn.features.unicode_table import BLOCK_BITS, REPLACEMENT, BreakClass, load_unicode_table
from pqrnn.recipes.settings import PROJECTION_VERSION, ProjectionConfig

FEATURES_PER_HASH = 16
MULTIPLIER = 0x9E3779B1  # odd, so that it has an inverse modulo 2^32
CHARACTER_SALT = 0x27D4EB2F
START_MARK = 0x165667B1
END_MARK = 0x2545F491
SHAPE_SALT = 0x7FEB352D


class _Characters(NamedTuple):
    """What is known of the character that begins at each byte, int32[B, N] each.

    These are its folded code point, its number of bytes (0 where none begins), its break class, whether it is upper
    case, the number of characters before it in the text, its word (from 1; 0 for none) and whether it begins that word.
    """

    folded: Tensor
    length: Tensor
    kind: Tensor
    upper: Tensor
    rank: Tensor
    owner: Tensor
    starts: Tensor


class Words(NamedTuple):
    """What the projection finds in a batch of texts.

    Attributes:
        features: Ternary features, float32[B, W, F]; zero rows past the last word.
        spans: Byte start and end (exclusive) of each word, int32[B, W, 2]; zero past the last word.
        word_count: Words in the text, int32[B], which may be more than W: then the text has been cut at W.
    """

    features: Tensor
    spans: Tensor
    word_count: Tensor


def to_int32(value: int) -> int:
    """Return the signed 32-bit number with the low 32 bits of `value`."""
    return (value + 0x80000000) % 0x100000000 - 0x80000000


def mix(value: Tensor) -> Tensor:
    """Finaliser of MurmurHash3 (fmix32, Appleby 2011) on int32 of any shape, modulo 2^32."""
    value = torch.bitwise_xor(value, _logical_shift_right(value, 16)) * to_int32(0x85EBCA6B)
    value = torch.bitwise_xor(value, _logical_shift_right(value, 13)) * to_int32(0xC2B2AE35)
    return torch.bitwise_xor(value, _logical_shift_right(value, 16))


def mix_number(value: int) -> int:
    """`mix` of one number, unsigned."""
    value = (value ^ value >> 16) * 0x85EBCA6B % 0x100000000
    value = (value ^ value >> 13) * 0xC2B2AE35 % 0x100000000
    return value ^ value >> 16


def pack_texts(texts: list[bytes], size: int) -> Tensor:
    """Zero-pad texts to `size` bytes and view four bytes as one little-endian int32: int32[B, size / 4].

    Raises:
        ValueError: a text is longer than `size`, or `size` is no multiple of four.
    """
    if size % 4 or any(len(text) > size for text in texts):
        raise ValueError(
            f"size must be a multiple of 4 and at least {max(map(len, texts), default=0)} bytes, not {size}"
        )
    joined = b"".join(text.ljust(size, b"\0") for text in texts)
    return torch.frombuffer(bytearray(joined), dtype=torch.int32).reshape(len(texts), size // 4)


class Projection(nn.Module):
    """The projection of bytes to words and ternary features, as the module's text has it.

    It has no parameters; its tables are buffers outside the state dict.
    """

    def __init__(self, config: ProjectionConfig) -> None:
        """Build the tables of `config`.

        Raises:
            ValueError: a number of features is no multiple of 16 (or both are 0), n-grams are shorter than 2 or
                repeated, the limit does not fit int8, or the version is one that this module does not compute.
        """
        super().__init__()
        parts = (config.word_features, config.ngram_features)
        if any(part < 0 or part % FEATURES_PER_HASH for part in parts) or not sum(parts):
            raise ValueError(
                f"word_features and ngram_features must be multiples of {FEATURES_PER_HASH}, not both 0: {config}"
            )
        if min(config.ngrams, default=0) < 2 or len(set(config.ngrams)) < len(config.ngrams):
            raise ValueError(f"ngrams must be at least 2 long and all different: {config}")
        if config.version != PROJECTION_VERSION:
            raise ValueError(
                f"this is version {PROJECTION_VERSION} of the projection, which cannot stand in for version "
                f"{config.version}"
            )
        self.config = config
        table = load_unicode_table()
        self.stage1: Tensor
        self.stage2: Tensor
        self.word_seeds: Tensor
        self.ngram_seeds: Tensor
        self.bits: Tensor
        self.register_buffer("stage1", torch.from_numpy(table.stage1)[:, None], persistent=False)
        self.register_buffer("stage2", torch.from_numpy(table.stage2)[:, None], persistent=False)
        self.register_buffer("word_seeds", _seeds(0, config.word_features), persistent=False)
        self.register_buffer("ngram_seeds", _seeds(config.word_features, config.ngram_features), persistent=False)
        self.register_buffer("bits", torch.arange(0, 32, 2, dtype=torch.int32), persistent=False)

    def forward(self, text: Tensor, words: int) -> Words:
        """Find the first `words` words of each text and their features.

        Args:
            text: Zero-padded UTF-8, int32[B, N/4], four bytes a lane, the first in the lowest bits (`pack_texts`).
            words: W, rows of the result.
        """
        characters, member, first, spans, count = self._segment(text, words)
        hashes = mix(characters.folded * to_int32(MULTIPLIER) + to_int32(CHARACTER_SALT))
        features = [self._word_features(hashes, characters, member, first)]
        if self.config.ngram_features:
            features.append(self._ngram_features(hashes, characters, member, first))
        return Words(torch.cat(features, -1), spans, count)

    def segment(self, text: Tensor, words: int) -> tuple[Tensor, Tensor]:
        """Find words without their features: spans int32[B, W, 2] and count int32[B], as in `Words`."""
        *_, spans, count = self._segment(text, words)
        return spans, count

    def _segment(self, text: Tensor, words: int) -> tuple[_Characters, Tensor, Tensor, Tensor, Tensor]:
        size = text.shape[1] * 4
        position = torch.arange(size, dtype=torch.int32, device=text.device)
        code, length = decode_utf8(unpack_bytes(text))
        entry = self._look_up(code)
        kind = torch.bitwise_and(entry, 15)
        folded = code + shift_right(entry, 4)
        is_character = (length > 0).to(torch.int32)
        starts = self._find_starts(kind, length, is_character, position)
        inside = is_character * (kind != BreakClass.SPACE).to(torch.int32)

        # Words so far in the high half and characters so far in the low half, in one prefix sum.
        sums = _prefix_sum(starts * 65536 + is_character, position)
        word = shift_right(sums, 16)
        rank = torch.bitwise_and(sums, 65535) - is_character  # characters before this one
        row = torch.arange(1, words + 1, dtype=torch.int32, device=text.device)[:, None]
        member = (word[:, None, :] == row).to(torch.int32) * inside[:, None, :]  # [B, W, N]
        first = member * starts[:, None, :]
        start = (first * position).sum(-1, dtype=torch.int32)
        end = (member * (position + length)[:, None, :]).amax(-1)
        characters = _Characters(
            folded, length, kind, is_character * (folded != code).to(torch.int32), rank, word * inside, starts
        )
        return characters, member, first, torch.stack([start, end], -1), starts.sum(-1, dtype=torch.int32)

    def _look_up(self, code: Tensor) -> Tensor:
        block = functional.embedding(shift_right(code, BLOCK_BITS), self.stage1)[..., 0]
        offset = torch.bitwise_and(code, (1 << BLOCK_BITS) - 1)
        return functional.embedding(block * (1 << BLOCK_BITS) + offset, self.stage2)[..., 0]

    def _find_starts(self, kind: Tensor, length: Tensor, is_character: Tensor, position: Tensor) -> Tensor:
        """Return 1 where a character begins a word, else 0: int32[B, N]. The rules are those of stage 3."""
        extends = (kind >= BreakClass.EXTEND).to(torch.int32)
        end = position + length
        # The last character before each position, and the last that extends nothing: the position of its end and its
        # class in one number.
        key = (end * 16 + kind) * is_character
        before = _prefix_max(key, position)
        base = _prefix_max(key * (1 - extends), position)
        other = _prefix_max(end * is_character * (kind != BreakClass.REGIONAL).to(torch.int32), position)
        before_kind, base_kind = torch.bitwise_and(before, 15), torch.bitwise_and(base, 15)
        odd = torch.bitwise_and(
            shift_right(position - other, 2), 1
        )  # regional indicators, four bytes each, since another character

        same = (kind == base_kind).to(torch.int32)
        run = same * ((kind == BreakClass.LETTER).to(torch.int32) + (kind == BreakClass.DIGIT).to(torch.int32))
        attached = extends * (before_kind != BreakClass.SPACE).to(torch.int32)
        joined = (
            same * (kind == BreakClass.PICTOGRAPH).to(torch.int32) * (before_kind == BreakClass.JOINER).to(torch.int32)
        )
        paired = (
            (kind == BreakClass.REGIONAL).to(torch.int32) * (before_kind == BreakClass.REGIONAL).to(torch.int32) * odd
        )
        goes_on = run + attached + joined + paired
        return is_character * (kind != BreakClass.SPACE).to(torch.int32) * (goes_on == 0).to(torch.int32)

    def _word_features(self, hashes: Tensor, characters: _Characters, member: Tensor, first: Tensor) -> Tensor:
        power, inverse = _powers(member.shape[-1])
        terms = hashes * functional.embedding(characters.rank, power.to(hashes.device))[..., 0]
        first_rank = (first * characters.rank[:, None, :]).sum(-1, dtype=torch.int32)
        value = (member * terms[:, None, :]).sum(-1, dtype=torch.int32) * functional.embedding(
            first_rank, inverse.to(hashes.device)
        )[..., 0]
        present = first.sum(-1, dtype=torch.int32)
        return (self._ternary(value, self.word_seeds) * present[..., None]).float()

    def _ngram_features(self, hashes: Tensor, characters: _Characters, member: Tensor, first: Tensor) -> Tensor:
        owner = characters.owner
        inside = (owner > 0).to(torch.int32)
        follow = _Follower(characters.length)
        is_end = inside * (owner != follow(owner[..., None])[..., 0]).to(torch.int32)
        value, end_owner, end_mark = hashes, owner, is_end
        total = torch.zeros((), dtype=torch.int32, device=hashes.device)
        for order in range(2, max(self.config.ngrams) + 1):
            # The n-gram from here is this character and the shorter n-gram from the next one, which ends in the same
            # position.
            next_ = follow(torch.stack([value, end_owner, end_mark], -1))
            value, end_owner, end_mark = hashes + next_[..., 0] * to_int32(MULTIPLIER), next_[..., 1], next_[..., 2]
            if order in self.config.ngrams:
                valid = inside * (owner == end_owner).to(torch.int32)
                marked = (
                    value
                    + characters.starts * to_int32(START_MARK)
                    + end_mark * to_int32(END_MARK)
                    + to_int32(mix_number(order))
                )
                total = total + self._ternary(marked, self.ngram_seeds) * valid[..., None]
        # Sums of small integers are exact in float32.
        sums = torch.matmul(member.float(), total.float())
        size = member.sum(-1, dtype=torch.int32)
        shape = (
            (first * characters.kind[:, None, :]).sum(-1, dtype=torch.int32) * 65536
            + torch.minimum(size, torch.full_like(size, 15)) * 4096
            + (first * characters.upper[:, None, :]).sum(-1, dtype=torch.int32) * 2
            + ((member * characters.upper[:, None, :]).sum(-1, dtype=torch.int32) > 1).to(torch.int32)
        )
        hashed = mix(shape * to_int32(MULTIPLIER) + to_int32(SHAPE_SALT))
        present = first.sum(-1, dtype=torch.int32)
        shape_features = self._ternary(hashed, self.ngram_seeds) * present[..., None]
        return torch.clamp(sums + shape_features.float(), -1.0, 1.0)

    def _ternary(self, value: Tensor, seeds: Tensor) -> Tensor:
        """Stretch int32[...] hashes to int32[..., 16 * seeds] ternary numbers."""
        words = mix(torch.bitwise_xor(value[..., None], seeds))
        pairs = torch.bitwise_right_shift(words[..., None], self.bits)
        ternary = torch.bitwise_and(pairs, 1) - torch.bitwise_and(shift_right(pairs, 1), 1)
        return ternary.reshape(*value.shape, seeds.shape[0] * FEATURES_PER_HASH)


def unpack_bytes(text: Tensor) -> Tensor:
    """int32[B, N/4] lanes to int32[B, N] bytes, lowest bits first."""
    shifts = torch.arange(0, 32, 8, dtype=torch.int32, device=text.device)
    return torch.bitwise_and(torch.bitwise_right_shift(text[..., None], shifts), 255).reshape(text.shape[0], -1)


def decode_utf8(byte: Tensor) -> tuple[Tensor, Tensor]:
    """Decode UTF-8 at every byte at once.

    A lead byte always begins a character, and how many bytes belong to it shows in the three bytes after it; a
    continuation byte begins one (U+FFFD) only if no lead before it claims it. So the whole decoding is local.

    Args:
        byte: Bytes of the texts, int32[B, N] in 0..255.

    Returns:
        The code point that begins at each byte (0 where none begins), int32[B, N],
        and its number of bytes (0 where none begins), int32[B, N].
    """
    size = byte.shape[1]
    ahead = functional.pad(
        byte, (0, 3)
    )  # padded once and sliced: a pad of its own for every shift is a fill and a copy in compiled code
    next1, next2, next3 = (ahead[:, k : k + size] for k in (1, 2, 3))
    lead = [
        (byte >= low).to(torch.int32) * (byte <= high).to(torch.int32)
        for low, high in ((0xC2, 0xDF), (0xE0, 0xEF), (0xF0, 0xF4))
    ]
    # The second byte is bounded more narrowly after E0, ED, F0 and F4 (overlong forms, surrogates, past U+10FFFF).
    low = 0x80 + (byte == 0xE0).to(torch.int32) * 0x20 + (byte == 0xF0).to(torch.int32) * 0x10
    high = 0xBF - (byte == 0xED).to(torch.int32) * 0x20 - (byte == 0xF4).to(torch.int32) * 0x30
    second = (next1 >= low).to(torch.int32) * (next1 <= high).to(torch.int32)
    third = (torch.bitwise_and(next2, 0xC0) == 0x80).to(torch.int32) * second
    fourth = (torch.bitwise_and(next3, 0xC0) == 0x80).to(torch.int32) * third
    two, three, four = lead[0] * second, lead[1] * third, lead[2] * fourth
    # Bytes claimed: the valid sequence, or its longest valid prefix.
    claimed = 1 + lead[0] * second + lead[1] * (second + third) + lead[2] * (second + third + fourth)
    behind = functional.pad(claimed, (3, 0))
    back1, back2, back3 = (behind[:, 3 - k : 3 - k + size] for k in (1, 2, 3))
    begins = 1 - ((back1 > 1).to(torch.int32) + (back2 > 2).to(torch.int32) + (back3 > 3).to(torch.int32)).clamp(max=1)

    tail1, tail2, tail3 = (torch.bitwise_and(b, 63) for b in (next1, next2, next3))
    ascii_ = (byte < 0x80).to(torch.int32)
    good = ascii_ + two + three + four
    code = (
        ascii_ * byte
        + two * (torch.bitwise_and(byte, 31) * 64 + tail1)
        + three * (torch.bitwise_and(byte, 15) * 4096 + tail1 * 64 + tail2)
        + four * (torch.bitwise_and(byte, 7) * 262144 + tail1 * 4096 + tail2 * 64 + tail3)
        + (1 - good) * REPLACEMENT
    )
    return code * begins, claimed * begins


class _Follower:
    """Takes rows at the next character: `x[i + length[i]]`, zero past the end."""

    def __init__(self, length: Tensor) -> None:
        batch, size = length.shape
        position = torch.arange(size, dtype=torch.int32, device=length.device) + length
        self._inside = (position < size).to(torch.int32)[..., None]
        row = torch.arange(batch, dtype=torch.int32, device=length.device)[:, None] * size
        self._index = torch.minimum(position, torch.full_like(position, size - 1)) + row

    def __call__(self, value: Tensor) -> Tensor:
        """int32[B, N, C] to the same shape. An embedding: the one gather that takes int32 indices on every target."""
        return functional.embedding(self._index, value.reshape(-1, value.shape[-1])) * self._inside


def shift_right(value: Tensor, bits: int) -> Tensor:
    """Arithmetic shift of int32. The amount is a tensor: the importer has no form of the operation with a number."""
    return torch.bitwise_right_shift(value, torch.full((), bits, dtype=torch.int32, device=value.device))


def _logical_shift_right(value: Tensor, bits: int) -> Tensor:
    """Logical shift; the operation on signed integers is arithmetic."""
    return torch.bitwise_and(shift_right(value, bits), (1 << (32 - bits)) - 1)


def _prefix_max(value: Tensor, position: Tensor) -> Tensor:
    """Largest non-negative value strictly before each position: int32[B, N]."""
    earlier = (position[None, :] < position[:, None]).to(torch.int32)
    return (value[:, None, :] * earlier).amax(-1)


def _prefix_sum(value: Tensor, position: Tensor) -> Tensor:
    """Sum up to and including each position: int32[B, N]. A masked sum: GPUs lack an int32 cumulative sum in IREE."""
    upto = (position[None, :] <= position[:, None]).to(torch.int32)
    return (value[:, None, :] * upto).sum(-1, dtype=torch.int32)


def _seeds(offset: int, features: int) -> Tensor:
    first, last = offset // FEATURES_PER_HASH, (offset + features) // FEATURES_PER_HASH
    return torch.tensor([to_int32(mix_number(i + 1)) for i in range(first, last)], dtype=torch.int32)


def _powers(count: int) -> tuple[Tensor, Tensor]:
    """Powers of the multiplier and of its inverse modulo 2^32: int32[count, 1] each."""
    inverse = pow(MULTIPLIER, -1, 1 << 32)
    powers = [to_int32(pow(MULTIPLIER, i, 1 << 32)) for i in range(count)]
    inverses = [to_int32(pow(inverse, i, 1 << 32)) for i in range(count)]
    return torch.tensor(powers, dtype=torch.int32)[:, None], torch.tensor(inverses, dtype=torch.int32)[:, None]
