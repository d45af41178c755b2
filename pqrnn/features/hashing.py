"""Hashes of characters and words modulo 2^32, and the ternary features that they are stretched to.

Everything is int32 arithmetic that wraps around, the same in PyTorch, in compiled code and on every device.
"""

from __future__ import annotations

import torch
from torch import Tensor

FEATURES_PER_HASH = 16
MULTIPLIER = 0x9E3779B1  # odd, so that it has an inverse modulo 2^32
CHARACTER_SALT = 0x27D4EB2F
ACCENT_SALT = 0x2C1B3C6D  # for what is added to a character's hash
START_MARK = 0x165667B1
END_MARK = 0x2545F491
SHAPE_SALT = 0x7FEB352D


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


def hash_accent(code: int) -> int:
    """Return the hash that an accent adds to the character before it."""
    return mix_number((code * MULTIPLIER + ACCENT_SALT) % 0x100000000)


def stretch(value: Tensor, seeds: Tensor, bits: Tensor) -> Tensor:
    """Stretch int32[...] hashes to int32[..., 16 * seeds] ternary numbers; `bits` is 0, 2, ... 30."""
    words = mix(torch.bitwise_xor(value[..., None], seeds))
    pairs = torch.bitwise_right_shift(words[..., None], bits)
    ternary = torch.bitwise_and(pairs, 1) - torch.bitwise_and(shift_right(pairs, 1), 1)
    return ternary.reshape(*value.shape, seeds.shape[0] * FEATURES_PER_HASH)


def shift_right(value: Tensor, bits: int) -> Tensor:
    """Arithmetic shift of int32. The amount is a tensor: the importer has no form of the operation with a number."""
    return torch.bitwise_right_shift(value, torch.full((), bits, dtype=torch.int32, device=value.device))


def _logical_shift_right(value: Tensor, bits: int) -> Tensor:
    """Logical shift; the operation on signed integers is arithmetic."""
    return torch.bitwise_and(shift_right(value, bits), (1 << (32 - bits)) - 1)


def make_seeds(offset: int, features: int) -> Tensor:
    """Return the seeds of `features` features, of which the first has the number `offset`: int32[features / 16]."""
    first, last = offset // FEATURES_PER_HASH, (offset + features) // FEATURES_PER_HASH
    return torch.tensor([to_int32(mix_number(i + 1)) for i in range(first, last)], dtype=torch.int32)


def list_powers(count: int) -> tuple[Tensor, Tensor]:
    """Powers of the multiplier and of its inverse modulo 2^32: int32[count, 1] each."""
    inverse = pow(MULTIPLIER, -1, 1 << 32)
    powers = [to_int32(pow(MULTIPLIER, i, 1 << 32)) for i in range(count)]
    inverses = [to_int32(pow(inverse, i, 1 << 32)) for i in range(count)]
    return torch.tensor(powers, dtype=torch.int32)[:, None], torch.tensor(inverses, dtype=torch.int32)[:, None]
