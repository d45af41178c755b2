"""Weights of 4 bits on disk: two in a byte."""

from __future__ import annotations

import torch
from torch import Tensor

_NONE = 8  # the bits of -8, which is no weight


def pack_nibbles(weights: Tensor) -> Tensor:
    """Put the weights of each row two in a byte, int8[K, N] to uint8[K, ceil(N / 2)].

    The first of two is the lower half of the byte; where N is odd, the upper half of a row's last byte is 0.

    Raises:
        ValueError: A weight is not among -7 to 7.
    """
    if bool(((weights <= -_NONE) | (weights >= _NONE)).any()):
        raise ValueError("a weight of 4 bits is a number from -7 to 7")
    halves = torch.nn.functional.pad(weights, (0, weights.shape[1] % 2)).to(torch.uint8) & 15
    return halves[:, 0::2] | (halves[:, 1::2] << 4)


def unpack_nibbles(packed: Tensor, columns: int) -> Tensor:
    """Return the weights that `pack_nibbles` packed, int8[K, columns].

    Args:
        packed: uint8[K, ceil(columns / 2)].
        columns: How many weights a row has.

    Raises:
        ValueError: Half a byte is -8, or the one that belongs to no weight is not 0.
    """
    halves = torch.stack([packed & 15, packed >> 4], -1).flatten(1).to(torch.int8)
    if bool((halves == _NONE).any()):
        raise ValueError("holds -8, and a weight of 4 bits is a number from -7 to 7")
    if bool(halves[:, columns:].any()):
        raise ValueError(f"holds more than the {columns} weights of a row")
    return torch.where(halves > _NONE, halves - 2 * _NONE, halves)[:, :columns].contiguous()
