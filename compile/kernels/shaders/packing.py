"""Weights as shaders read them: whole numbers of few bits beside each other in int32, which every GPU stores."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

WORD = 32  # bits
COLUMNS = 4  # a thread reads so many columns at once


def weights_in_word(bits: int) -> int:
    """Return how many weights of 8 or 4 bits an int32 holds."""
    return WORD // bits


def pack_words(weights: Tensor, bits: int) -> Tensor:
    """Put the weights of a column beside each other, those of the first rows in the lowest bits.

    Args:
        weights: int8[K, N].
        bits: Number of bits of a weight, 8 or 4.

    Returns:
        int32[ceil(K / weights_in_word(bits)), N rounded up to `COLUMNS`], filled up with zeros.

    Raises:
        ValueError: A weight has more bits.
    """
    least = -(1 << (bits - 1))
    if weights.numel() and not least <= int(weights.min()) <= int(weights.max()) < -least:
        wrong = int(weights.min()) if int(weights.min()) < least else int(weights.max())
        raise ValueError(f"a weight is {wrong}, expected {least} to {-least - 1}: weights have {bits} bits")
    count = weights_in_word(bits)
    rows, columns = weights.shape
    filled = functional.pad(weights, (0, -columns % COLUMNS, 0, -rows % count))
    parts = filled.reshape(-1, count, filled.shape[1]).to(torch.int64) & ((1 << bits) - 1)
    shifts = torch.arange(0, WORD, bits, dtype=torch.int64)[:, None]
    return (parts << shifts).sum(1).to(torch.int32)  # beyond 2^31 it wraps around


def unpack_words(packed: Tensor, bits: int, rows: int, columns: int) -> Tensor:
    """Return the weights that `pack_words` packed, int8[rows, columns]."""
    shifts = torch.arange(WORD - bits, -1, -bits, dtype=torch.int32)[:, None]
    parts = (packed[:, None] << shifts) >> (WORD - bits)
    return parts.flatten(0, 1)[:rows, :columns].to(torch.int8)
