"""Texts as tensors of bytes, and their decoding: all bytes at once, without a loop."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from pqrnn.features.unicode_table import REPLACEMENT


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
