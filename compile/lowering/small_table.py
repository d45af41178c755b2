"""The table of code points in three stages of int32, for code of the compiler's own that is to be small.

With two stages (`pqrnn.features.unicode_table`) it has 167 KB for version 2, with three 74 KB, for one look-up more.
This project's kernels have a smaller one still, of int8 and int16 (`compile.kernels.packing`).
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor
from torch.nn import functional

from compile.kernels.packing import number_rows
from pqrnn.features.characters import CharacterReader
from pqrnn.features.hashing import shift_right
from pqrnn.features.unicode_table import BLOCK_BITS
from pqrnn.model.parser import ParserModel

_LOW_BITS, _MIDDLE_BITS = 3, 6  # of all the smallest for the table of version 2


class SmallTableReader(CharacterReader):
    """A `CharacterReader` whose table has three stages: `blocks[ranges[pages[high], middle], low]`."""

    pages: Tensor
    ranges: Tensor
    blocks: Tensor

    def __init__(self, reader: CharacterReader) -> None:
        """Build the stages from those of `reader`."""
        super().__init__(reader.version)
        entries = reader.stage2.reshape(-1, 1 << BLOCK_BITS)[reader.stage1[:, 0]]
        blocks, numbers = number_rows(entries.reshape(-1, 1 << _LOW_BITS).numpy())
        ranges, pages = number_rows(numbers.reshape(-1, 1 << _MIDDLE_BITS))
        for name, stage in (("pages", pages), ("ranges", ranges), ("blocks", blocks)):
            flat = torch.from_numpy(stage).to(torch.int32).reshape(-1, 1)
            self.register_buffer(name, flat, persistent=False)
        del self.stage1, self.stage2

    def look_up(self, code: Tensor) -> Tensor:
        """Return the entries of code points, int32 of any shape."""
        page = functional.embedding(shift_right(code, _LOW_BITS + _MIDDLE_BITS), self.pages)[..., 0]
        middle = torch.bitwise_and(shift_right(code, _LOW_BITS), (1 << _MIDDLE_BITS) - 1)
        block = functional.embedding(page * (1 << _MIDDLE_BITS) + middle, self.ranges)[..., 0]
        low = torch.bitwise_and(code, (1 << _LOW_BITS) - 1)
        return functional.embedding(block * (1 << _LOW_BITS) + low, self.blocks)[..., 0]


def with_small_table(model: ParserModel) -> ParserModel:
    """Return a copy of a parser that reads characters by the smaller table, to the same bits."""
    changed = copy.deepcopy(model)
    changed.projection.reader = SmallTableReader(model.projection.reader)
    return changed
