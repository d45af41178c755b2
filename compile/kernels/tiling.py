"""Cutting a product into tiles, so that its sums stay in registers and few numbers are loaded more than once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compile.kernels.families import InstructionFamily

_TALLEST = 12
_USUAL = 16  # words of an utterance
_LATENCY = 10  # products that have to be in flight at a time: two start in a cycle, and each takes five


@dataclass(frozen=True, slots=True)
class Tiling:
    """A cut of a product with a known number of rows.

    Attributes:
        rows: Number of rows of every tile.
        blocks: Number of blocks of columns in a group, the unit that is handed out to threads.
        groups: Number of groups.
    """

    rows: tuple[int, ...]
    blocks: int
    groups: int


@dataclass(frozen=True, slots=True)
class TileShape:
    """Shape of the tiles that rows are cut into when a kernel runs.

    Attributes:
        height: Number of rows of the tallest tile.
        blocks: Number of blocks of columns in a group.
    """

    height: int
    blocks: int


def choose_tiling(family: InstructionFamily, rows: int, blocks: int) -> Tiling:
    """Choose the cut that takes the fewest cycles by a simple model (`_cost`)."""
    options = [
        _cut(rows, height, blocks, width)
        for height in range(1, min(rows, _TALLEST) + 1)
        if (width := _width(family, height)) > 0
    ]
    return min(options, key=lambda tiling: _cost(family, tiling))


def choose_shape(family: InstructionFamily, rows: int, blocks: int) -> TileShape:
    """Choose tiles for a number of rows that is known only when a kernel runs, and is at most `rows`.

    The shape is the one that is best over the lengths that texts usually have.
    """
    usual = range(1, min(rows, _USUAL) + 1)
    heights = range(1, min(rows, _TALLEST) + 1)
    options = [
        TileShape(height, _cut(height, height, blocks, width).blocks)
        for height in heights
        if (width := _width(family, height)) > 0
    ]
    return min(
        options,
        key=lambda shape: sum(_cost(family, _cut(count, shape.height, blocks, shape.blocks)) for count in usual),
    )


def choose_height(family: InstructionFamily, rows: int, blocks: int) -> int:
    """Return the greatest height of tiles that are `blocks` blocks wide.

    Raises:
        ValueError: That many blocks do not fit into the registers.
    """
    fitting = [height for height in range(1, min(rows, _TALLEST) + 1) if _width(family, height) >= blocks]
    if not fitting:
        raise ValueError(f"{blocks} blocks at a time are more than {family.name} has registers for")
    return fitting[-1]


def runs(heights: Sequence[int]) -> list[tuple[int, int, int]]:
    """Return runs of equal tiles: height, first row, row after the last."""
    result: list[tuple[int, int, int]] = []
    row = 0
    for height in heights:
        if result and result[-1][0] == height:
            result[-1] = (height, result[-1][1], row + height)
        else:
            result.append((height, row, row + height))
        row += height
    return result


def _width(family: InstructionFamily, height: int) -> int:
    """Return how many blocks there are registers for: sums, weights, the left side, and of integers a constant.

    Where every column has a register, a block is multiplied after the other, so that any number will do.
    """
    if family.pair == 1 < family.lanes:
        return _TALLEST * (height <= (family.registers - 2 * family.lanes) // (family.lanes + 1))
    paired = family.pair < family.lanes  # sums of two rows share a register, and a block's weights are in two
    sums = -(-height // 2) * 2 if paired else height
    # Engines of WebAssembly spill a register of tiles of four rows in 4 bits, which are 1.1 times as fast all the same.
    more = family.relaxed and family.bits == 4
    left = height if family.keeps else 1
    return (family.registers + more - (not family.float32) - left) // (sums + 1 + paired)


def cut_rows(rows: int, height: int) -> tuple[int, ...]:
    """Return the heights of as few tiles as possible, of nearly the same height, at most `height`."""
    tiles = -(-rows // height)
    low, more = divmod(rows, tiles)
    return (low + 1,) * more + (low,) * (tiles - more)


def _cut(rows: int, height: int, blocks: int, width: int) -> Tiling:
    groups = -(-blocks // width)
    return Tiling(cut_rows(rows, height), -(-blocks // groups), groups)


def _cost(family: InstructionFamily, tiling: Tiling) -> float:
    """Return the cost of a step over all tiles, in units of one multiplication.

    It is the multiplications, or the wait for the first of them, and half a unit for every load.
    """
    steps = 0.0
    for height in tiling.rows:
        left = height * family.bytes / 16 if family.keeps else height  # what is kept is loaded 16 bytes at a time
        steps += max(height * tiling.blocks, _LATENCY) + (left + tiling.blocks * family.lanes / family.pair) / 2
    return tiling.groups * steps
