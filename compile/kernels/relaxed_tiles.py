"""Tiles of WebAssembly with relaxed SIMD, whose dot product of 8 bits takes its second side in 7 bits, without a sign.

`i32x4.relaxed_dot_i8x16_i7x16_add_s(x, y, total)` adds four products to each of four sums. Engines may take `y` with or
without its sign, and may add pairs of products in 16 bits on the way: `vpdpbusd` does one, `sdot` the other, and
`pmaddubsw` adds pairs. Where every number of `y` is 0 to 127 both are the same, and no pair leaves 16 bits, being at
most 2 x 128 x 127 = 32,512: so the answer is one, on every engine (https://github.com/WebAssembly/relaxed-simd). It is
so by construction:

- Weights of 8 bits are `x`, as they are. Activations plus 128 are 0 to 255, and multiplied in two parts: their upper 7
  bits and their lowest bit, each of them a `y` whatever the byte is. Sums of the upper parts are doubled before those
  of the lower are added; that 128 is taken off again is in the offsets (`compile.kernels.packing.offset_sums`).
- Weights of 4 bits lie plus 8, so that a half of a byte is a `y`, 0 to 15 whatever the byte is, and activations are `x`
  as they are. Sums start from -8 times the sum of the row.

All of it is exact: sums are modulo 2^32, and the whole sum is within int32.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from compile.kernels.kernel import Buffer
from compile.kernels.memory import load_spread
from compile.kernels.mlir_builder import Value
from compile.kernels.prepared_rows import dot, fill_up, prepare_row, prepared_buffer, shift_down, sum_row
from compile.kernels.tile import Starts, Step, Tile

_ROWS = 4  # the memory for prepared rows of a tile has a multiple of so many
_IN_FLIGHT, _MOST_PARTS = 12, 4  # products; parts of a sum


class _RelaxedTile(Tile):
    """What both tiles have in common: the loop over whole steps, and the order of products in a step."""

    def _add_steps(self, sums: list[Value], whole: int, left: Callable[[Value], list[Value]]) -> list[Value]:
        """Add the steps of a number of columns, given what a step multiplies of the left side by its first column.

        A product waits for the one before it in the same sum. Few sums are kept in several parts, so that enough
        products are in flight.
        """
        step, count = self.family.depth, len(sums)
        parts = 1 << max(min(_IN_FLIGHT // count, _MOST_PARTS), 1).bit_length() - 1
        together = max(parts, self.family.steps)

        def add(column: Value, values: list[Value]) -> list[Value]:
            first = self._count(column)
            for number in range(together):
                start = number % parts * count
                multiplied = left(self.code.add(column, self.code.index(number * step)))
                values[start : start + count] = self._dot(
                    self._step_after(first, number), values[start : start + count], multiplied
                )
            return values

        zeros = [self.code.constant(f"dense<0> : {self.sums}")] * (count * (parts - 1))
        done = whole // (together * step) * (together * step)
        values = self.code.repeat(0, done, together * step, self._carry([*sums, *zeros]), add)
        while len(values) > count:
            half = len(values) // 2
            values = [
                self.code.value(f"arith.addi {one}, {other} : {self.sums}")
                for one, other in zip(values[:half], values[half:], strict=True)
            ]
        for column in range(done, whole, step):
            values = self._dot(self._step_at(column), values, left(self.code.index(column)))
        return values

    def _dot(self, step: Step, sums: list[Value], left: list[Value]) -> list[Value]:
        """Add a step in an order in which as few registers as possible hold both sides."""
        weights = [self._weights(step, block) for block in self.blocks]
        rows, blocks = range(len(left)), range(len(weights))
        pairs = [(row, block) for row in rows for block in blocks]
        if len(blocks) > len(rows):
            pairs.sort(key=lambda pair: pair[1])
        sums = list(sums)
        for row, block in pairs:
            position = row * len(blocks) + block
            sums[position] = self._multiply(sums[position], left[row], weights[block])
        return sums


class SplitTile(_RelaxedTile):
    """Tiles for weights of 8 bits: the left side has two parts, which are multiplied one after the other."""

    def begin(self, starts: Starts) -> list[Value]:
        """Return zeros: what the sums start from is added when they have been doubled."""
        self.starts = super().begin(starts)
        return [self.code.constant(f"dense<0> : {self.sums}")] * len(self.starts)

    def loop(self, sums: list[Value]) -> list[Value]:
        """Add a loop over the depth for the upper parts, and one for the lower."""
        parts, places = self._prepare()
        half = fill_up(self.operands.depth)

        def load(part: int, column: Value) -> list[Value]:
            start = self.code.add(column, self.code.index(part * half))
            loads = [f"vector.load {parts.name}[{place}, {start}] : {parts.memory}, vector<4xi8>" for place in places]
            return self._join([self.code.value(line) for line in loads])

        sums = self._add_steps(sums, half, partial(load, 0))
        sums = [self.code.value(f"arith.addi {value}, {value} : {self.sums}") for value in sums]
        sums = [
            self.code.value(f"arith.addi {value}, {start} : {self.sums}")
            for value, start in zip(sums, self.starts, strict=True)
        ]
        if parts.shape[1] > half:
            return self._add_steps(sums, half, partial(load, 1))
        whole = self.operands.depth // self.family.depth * self.family.depth
        sums = self._add_steps(sums, whole, lambda column: self._lowest(self._left(column)))
        if whole < self.operands.depth:
            sums = self._dot(self._step_at(whole), sums, self._lowest(self._rest(whole)))
        return sums

    def _lowest(self, left: list[Value]) -> list[Value]:
        one = self.code.constant(f"dense<1> : {self.bytes}")
        return [self.code.value(f"arith.andi {value}, {one} : {self.bytes}") for value in left]

    def _spread(self, word: Value, raise_it: bool = True) -> Value:
        """Put four bytes into every lane, as they are."""
        return super()._spread(word, raise_it=False)

    def _prepare(self) -> tuple[Buffer, list[Value]]:
        """Return where the parts of the rows lie."""
        operands, code = self.operands, self.code
        if operands.prepared is not None:
            return operands.prepared, self.rows
        height = -(-len(self.rows) // _ROWS) * _ROWS
        wanted = prepared_buffer(self.family, height, operands.depth)
        assert wanted is not None
        memory = Buffer(code.share(wanted.shape, wanted.element), wanted.shape, wanted.element)
        places = [code.index(number) for number in range(len(self.rows))]
        for row, place in zip(self.rows, places, strict=True):
            prepare_row(code, self.family, operands.left, operands.depth, row, memory, place)
        return memory, places

    def _multiply(self, total: Value, left: Value, right: Value) -> Value:
        return dot(self.code, total, right, left)


class RaisedTile(_RelaxedTile):
    """Tiles for weights of 4 bits, which lie plus 8."""

    def begin(self, starts: Starts) -> list[Value]:
        """Return the accumulators that the loop begins with: 8 times the sum of a row is taken off."""
        prepared = self.operands.prepared
        excess = [
            sum_row(self.code, self.family, self.operands.left, self.operands.depth, row)
            if prepared is None
            else load_spread(self.code, prepared, (row,), self.family.lanes)
            for row in self.rows
        ]
        return [
            self.code.value(f"arith.subi {total}, {excess[number // len(self.blocks)]} : {self.sums}")
            for number, total in enumerate(super().begin(starts))
        ]

    def loop(self, sums: list[Value]) -> list[Value]:
        """Add a loop over the depth, and what is left of it."""
        whole = self.operands.depth // self.family.depth * self.family.depth
        sums = self._add_steps(sums, whole, self._left)
        return self._dot(self._step_at(whole), sums, self._rest(whole)) if whole < self.operands.depth else sums

    def _take_half(self, both: Value, half: int, kind: str) -> Value:
        """Return one of two weights in each byte, plus 8."""
        if half:  # shifted in 16 bits, because x86-64 shifts no bytes
            both = shift_down(self.code, both, 16, 4)
        return self.code.value(f"arith.andi {both}, {self.code.constant(f'dense<15> : {kind}')} : {kind}")

    def _multiply(self, total: Value, left: Value, right: Value) -> Value:
        return dot(self.code, total, left, right)
