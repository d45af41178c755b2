"""Raw UTF-8 bytes to words and their ternary features, as one tensor program.

The module below is what training, PyTorch evaluation and every compiled target run; there is no second tokenizer. It is
written in int32 operations that `torch.export` and IREE lower exactly on CPU and GPU: no loops, no 64-bit integers, no
booleans that leave the graph.

Stages (B texts, N bytes, W words):

1. *Decode.* Strict UTF-8 (Unicode 15, table 3-7). Every maximal subpart of an ill-formed sequence is one U+FFFD, as
   `bytes.decode("utf-8", "replace")` has it, and keeps its byte offsets. Zero bytes are the padding: U+0000 separates
   words, so no length is needed.
2. *Fold and classify.* A folded form and a `BreakClass` for every code point, from `pqrnn.features.unicode_table`. In
   version 1 that is the simple lower case; `pqrnn.features.characters` says what version 2 has.
3. *Segment.* A word is a run of letters, or a run of digits, or one grapheme of a script without spaces, or one symbol;
   combining marks stay with what precedes them; pictographs go on after a zero width joiner; regional indicators pair
   up.
4. *Hash.* `h(word) = sum_k g(c_k) * P^k mod 2^32` over the word's folded code points, with `g` the finaliser of
   MurmurHash3; the same for every character n-gram inside the word, with marks for the word's edges; and one hash for
   the word's shape (class and length; capitals in version 1). In version 2 accents add to the hash of their character
   in the word's hash, and n-grams are those of the letters without accents.
5. *Features.* Every 32-bit hash is stretched to as many bits as needed by seeds and the finaliser; two bits make a
   ternary number: 00 and 11 are 0, 01 is +1, 10 is -1, so P(0) = 1/2 and P(+1) = P(-1) = 1/4 (pQRNN, arXiv:2101.08890,
   after PRADO, D19-1506). The first `word_features` columns are the word's own; the others are the sum over its n-grams
   and its shape, clipped to [-1, 1], so ternary again (with fewer zeros: about 0.16 in words of three to ten letters).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from pqrnn.features.characters import CharacterReader, Characters
from pqrnn.features.hashing import (
    ACCENT_SALT,
    CHARACTER_SALT,
    END_MARK,
    FEATURES_PER_HASH,
    MULTIPLIER,
    SHAPE_SALT,
    START_MARK,
    list_powers,
    make_seeds,
    mix,
    mix_number,
    stretch,
    to_int32,
)
from pqrnn.recipes.settings import PROJECTION_VERSIONS, ProjectionConfig


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


class _Members(NamedTuple):
    """Which characters belong to the first W words, int32[B, W, N] each: all of them, and the first of each word."""

    all: Tensor
    first: Tensor


class Projection(nn.Module):
    """The projection of bytes to words and ternary features, as the module's text has it.

    It has no parameters; its tables are buffers outside the state dict.
    """

    word_seeds: Tensor
    ngram_seeds: Tensor
    bits: Tensor

    def __init__(self, config: ProjectionConfig) -> None:
        """Build the tables of `config`.

        Raises:
            ValueError: A number of features is no multiple of 16 (or both are 0), n-grams are shorter than 2 or
                repeated, or the version is one that this module does not compute.
        """
        super().__init__()
        parts = (config.word_features, config.ngram_features)
        if any(part < 0 or part % FEATURES_PER_HASH for part in parts) or not sum(parts):
            raise ValueError(
                f"word_features and ngram_features must be multiples of {FEATURES_PER_HASH}, not both 0: {config}"
            )
        if min(config.ngrams, default=0) < 2 or len(set(config.ngrams)) < len(config.ngrams):
            raise ValueError(f"ngrams must be at least 2 long and all different: {config}")
        if config.version not in PROJECTION_VERSIONS:
            raise ValueError(
                f"these are the versions {PROJECTION_VERSIONS} of the projection, which cannot stand in for version "
                f"{config.version}"
            )
        self.config = config
        self.reader = CharacterReader(config.version)
        self.register_buffer("word_seeds", make_seeds(0, config.word_features), persistent=False)
        self.register_buffer("ngram_seeds", make_seeds(config.word_features, config.ngram_features), persistent=False)
        self.register_buffer("bits", torch.arange(0, 32, 2, dtype=torch.int32), persistent=False)

    def forward(self, text: Tensor, words: int) -> Words:
        """Find the first `words` words of each text and their features.

        Args:
            text: Zero-padded UTF-8, int32[B, N/4], four bytes a lane, the first in the lowest bits
                (`pqrnn.features.utf8.pack_texts`).
            words: W, rows of the result.
        """
        characters, members, spans, count = self._segment(text, words)
        code = characters.folded * (1 - characters.is_accent)
        hashes = mix(code * to_int32(MULTIPLIER) + to_int32(CHARACTER_SALT))
        whole = hashes * characters.step + characters.accents
        if self.config.version > 1:
            own = mix(characters.folded * to_int32(MULTIPLIER) + to_int32(ACCENT_SALT))
            whole = whole + own * characters.is_accent
        features = [self._word_features(whole, characters, members)]
        if self.config.ngram_features:
            features.append(self._ngram_features(hashes, characters, members))
        return Words(torch.cat(features, -1), spans, count)

    def segment(self, text: Tensor, words: int) -> tuple[Tensor, Tensor]:
        """Find words without their features: spans int32[B, W, 2] and count int32[B], as in `Words`."""
        *_, spans, count = self._segment(text, words)
        return spans, count

    def _segment(self, text: Tensor, words: int) -> tuple[Characters, _Members, Tensor, Tensor]:
        characters = self.reader(text)
        position = torch.arange(text.shape[1] * 4, dtype=torch.int32, device=text.device)
        row = torch.arange(1, words + 1, dtype=torch.int32, device=text.device)[:, None]
        member = (characters.owner[:, None, :] == row).to(torch.int32)  # [B, W, N]
        first = member * characters.starts[:, None, :]
        start = (first * position).sum(-1, dtype=torch.int32)
        end = (member * characters.end[:, None, :]).amax(-1)
        count = characters.starts.sum(-1, dtype=torch.int32)
        return characters, _Members(member, first), torch.stack([start, end], -1), count

    def sum_members(self, member: Tensor, value: Tensor) -> Tensor:
        """Sum the values of each word's characters, float32[B, W, N] and float32[B, N, F] to float32[B, W, F].

        The values are small whole numbers, whose sums are exact in float32.
        """
        return torch.matmul(member, value)

    def _word_features(self, hashes: Tensor, characters: Characters, members: _Members) -> Tensor:
        member, first = members
        power, inverse = list_powers(member.shape[-1])
        terms = hashes * functional.embedding(characters.rank, power.to(hashes.device))[..., 0]
        first_rank = (first * characters.rank[:, None, :]).sum(-1, dtype=torch.int32)
        value = (member * terms[:, None, :]).sum(-1, dtype=torch.int32) * functional.embedding(
            first_rank, inverse.to(hashes.device)
        )[..., 0]
        present = first.sum(-1, dtype=torch.int32)
        return (stretch(value, self.word_seeds, self.bits) * present[..., None]).float()

    def _ngram_features(self, hashes: Tensor, characters: Characters, members: _Members) -> Tensor:
        member, first = members
        owner = characters.owner
        inside = (owner > 0).to(torch.int32) * characters.step
        follow = _Follower(characters.step)
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
                total = total + stretch(marked, self.ngram_seeds, self.bits) * valid[..., None]
        sums = self.sum_members(member.float(), total.float())
        size = (member * characters.step[:, None, :]).sum(-1, dtype=torch.int32)
        shape = (first * characters.kind[:, None, :]).sum(-1, dtype=torch.int32) * 65536 + torch.minimum(
            size, torch.full_like(size, 15)
        ) * 4096
        if self.config.version == 1:
            upper = characters.upper[:, None, :]
            more = ((member * upper).sum(-1, dtype=torch.int32) > 1).to(torch.int32)
            shape = shape + (first * upper).sum(-1, dtype=torch.int32) * 2 + more
        hashed = mix(shape * to_int32(MULTIPLIER) + to_int32(SHAPE_SALT))
        present = first.sum(-1, dtype=torch.int32)
        shape_features = stretch(hashed, self.ngram_seeds, self.bits) * present[..., None]
        return torch.clamp(sums + shape_features.float(), -1.0, 1.0)


class _Follower:
    """Takes rows at the next character that counts, zeros where there is none."""

    def __init__(self, step: Tensor) -> None:
        batch, size = step.shape
        position = torch.arange(size, dtype=torch.int32, device=step.device)
        later = (position[None, :] > position[:, None]).to(torch.int32)
        following = size - (((size - position) * step)[:, None, :] * later).amax(-1)
        self._inside = (following < size).to(torch.int32)[..., None]
        row = torch.arange(batch, dtype=torch.int32, device=step.device)[:, None] * size
        self._index = torch.minimum(following, torch.full_like(following, size - 1)) + row

    def __call__(self, value: Tensor) -> Tensor:
        """int32[B, N, C] to the same shape. An embedding: the one gather that takes int32 indices on every target."""
        return functional.embedding(self._index, value.reshape(-1, value.shape[-1])) * self._inside
