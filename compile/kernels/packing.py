"""Weights in the order in which a kernel reads them, made once at compile time."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from compile.kernels.families import InstructionFamily, find_family

ZERO_POINT = 128


def pack_weights(weights: Tensor, family: InstructionFamily) -> Tensor:
    """Lay weights out for a family.

    Args:
        weights: int8[K, N], or float32 for a family of float32.
        family: Instruction family whose order is wanted, in the form for as many bits as the weights have.

    Returns:
        Packed weights of the same type, [blocks, steps, lanes * depth], filled up with zeros. A step of a block is what
        is multiplied at a time, `pair` columns of `depth` rows one after the other. Multiplying with the zeros changes
        no sum, so a tail needs no other code. Weights of 4 bits are uint8, by which operators tell them from others:
        the lower halves of the bytes are a step, and the upper halves are the next, so that there is half the number of
        steps. Where weights are a side without a sign, each is `family.raised` more than it is.

    Raises:
        ValueError: A weight is beyond what the family multiplies.
    """
    if not family.float32 and not family.least <= int(weights.min()) <= int(weights.max()) <= family.most:
        wrong = int(weights.min()) if int(weights.min()) < family.least else int(weights.max())
        reason = f"{family.name} adds products in 16 bits" if family.bits == 8 else "weights have 4 bits"
        raise ValueError(f"a weight is {wrong}, expected {family.least} to {family.most}: {reason}")
    depth, columns = weights.shape
    rows, blocks = -(-depth // family.run), -(-columns // family.lanes)
    steps = rows * family.steps
    filled = functional.pad(weights, (0, blocks * family.lanes - columns, 0, steps * family.depth - depth))
    parts = filled.reshape(steps, family.depth, blocks, family.lanes // family.pair, family.pair)
    laid = parts.permute(2, 0, 3, 4, 1).reshape(blocks, steps, family.lanes * family.depth).contiguous()
    if family.bits == 8:
        return laid
    low, high = ((laid[:, half::2].to(torch.int32) + family.raised) & 15 for half in (0, 1))
    return (low | high << 4).to(torch.uint8)


def unpack_weights(packed: Tensor, depth: int, columns: int, family: InstructionFamily) -> Tensor:
    """Return the weights [depth, columns] as they are multiplied: `family.factor` times what they are."""
    if family.bits == 4:
        halves = torch.stack([packed & 15, packed >> 4], 2).flatten(1, 2).to(torch.int32)
        packed = (((halves + 8 - family.raised) & 15) - 8).mul(family.factor).to(torch.int8)
    blocks, steps, _ = packed.shape
    parts = packed.reshape(blocks, steps, family.lanes // family.pair, family.pair, family.depth)
    return parts.permute(1, 4, 0, 2, 3).reshape(steps * family.depth, blocks * family.lanes)[:depth, :columns]


def family_of(packed: Tensor, name: str) -> InstructionFamily:
    """Return the form of a family that weights have been packed for."""
    return find_family(name).in_bits(4 if packed.dtype is torch.uint8 else 8)


def offset_sums(weights: Tensor, family: InstructionFamily) -> Tensor:
    """Return the values that the sums of a kernel start from, int32[blocks * lanes].

    A family that takes the left side as unsigned adds 128 to it, so the sums start from `-128 sum(w)`:
    `sum((x + 128) w) - 128 sum(w) = sum(x w)`, exact in int32 for up to 2^31 / (255 * 128) = 65,793 rows of weights.
    Other families start from zero. Sums of weights of 4 bits are `family.factor` times as large.
    """
    columns = weights.shape[1]
    width = -(-columns // family.lanes) * family.lanes
    sums = (
        -ZERO_POINT * family.factor * weights.to(torch.int32).sum(0, dtype=torch.int32)
        if family.shifted
        else torch.zeros(columns, dtype=torch.int32)
    )
    return functional.pad(sums, (0, width - columns))


class PackedTable(NamedTuple):
    """The table of code points in four stages, for kernels.

    A code point is cut into `high`, `RANGE_BITS` of `middle`, `BLOCK_BITS` of `low` and `ENTRY_BITS` of `last`, and its
    entry is found by `page = pages[high]`, `range = ranges[page, middle]`, `block = blocks[range, low]`,
    `entries[block, last]`. Numbers are unsigned. What code points need that come first lies first, so that a text in a
    script touches few lines of the cache.

    Attributes:
        pages: uint8 as int8.
        ranges: uint16 as int16, rows of `2**RANGE_BITS`.
        blocks: uint16 as int16, rows of `2**BLOCK_BITS`.
        entries: int32, rows of `2**ENTRY_BITS` (`pqrnn.features.unicode_table`).
    """

    pages: Tensor
    ranges: Tensor
    blocks: Tensor
    entries: Tensor


RANGE_BITS, BLOCK_BITS, ENTRY_BITS = 5, 3, 2  # of all the smallest for the table of version 2
_PAGES, _MOST = 256, 32_768


def pack_table(stage1: Tensor, stage2: Tensor) -> PackedTable:
    """Make the table of code points (`pqrnn.features.unicode_table`) smaller: equal rows are stored once.

    Args:
        stage1: int32[n, 1], the number of the block of every range of code points.
        stage2: int32[m, 1], the entries of all blocks.

    Raises:
        ValueError: There are too many rows that differ for the numbers of them.
    """
    # The rows of both stages, in the order in which code points need them; all that differs is among them.
    first, places = number_rows(stage1.reshape(-1, 1).numpy())
    rows = stage2.reshape(int(stage1.max()) + 1, -1).numpy()[first.reshape(-1)]
    entries, numbers = number_rows(rows.reshape(-1, 1 << ENTRY_BITS))
    blocks, numbers = number_rows(numbers.reshape(-1, 1 << BLOCK_BITS))
    ranges, pages = number_rows(numbers.reshape(len(rows), -1)[places].reshape(-1, 1 << RANGE_BITS))
    if len(ranges) > _PAGES or max(len(blocks), len(entries)) > _MOST:
        raise ValueError(
            f"{len(ranges)}, {len(blocks)} and {len(entries)} different rows of the table of code points, expected at "
            f"most {_PAGES} of the first and {_MOST:,} of the others"
        )
    return PackedTable(
        torch.from_numpy(pages.astype(np.uint8).view(np.int8)),
        torch.from_numpy(ranges.astype(np.int16).reshape(-1)),
        torch.from_numpy(blocks.astype(np.int16).reshape(-1)),
        torch.from_numpy(entries.astype(np.int32).reshape(-1)),
    )


def number_rows(rows: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the distinct rows in the order in which they come first, and for each row its number among them."""
    distinct, first, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return distinct[order], rank[inverse.reshape(-1)]
