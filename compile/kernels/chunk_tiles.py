"""Tiles for weights of 4 bits on processors without a dot product of 8 bits.

16 bits hold the products of a whole chunk of steps (`InstructionFamily.chunk`), so that they are widened to 32 bits
once a chunk, where weights of 8 bits need that after two products (`compile.kernels.narrow_tiles`).
"""

from __future__ import annotations

from itertools import product as pairs

from compile.kernels.arithmetic import add_lanes
from compile.kernels.mlir_builder import Value
from compile.kernels.narrow_tiles import ColumnTile, MultiplyAddTile
from compile.kernels.tile import Starts, Step, Tile


class _ChunkTile(Tile):
    """A tile whose loop goes over chunks; a subclass says what a step adds in 16 bits, and how that is widened."""

    def loop(self, sums: list[Value]) -> list[Value]:
        """Add the loop over the depth: whole chunks, and the part of a chunk that is left."""
        depth = self.operands.depth
        whole = depth // self._chunk * self._chunk
        sums = self.code.repeat(0, whole, self._chunk, self._carry(sums), self._whole_chunk)
        if whole == depth:
            return sums
        products, others = sums[: self._accumulators], sums[self._accumulators :]
        return [*self._widen_sums(products, self._last_steps(whole, self._none())), *others]

    @property
    def _chunk(self) -> int:
        """Number of columns of the left side in a chunk."""
        return self.family.chunk * self.family.depth

    def _whole_chunk(self, column: Value, sums: list[Value]) -> list[Value]:
        def steps(offset: Value, halves: list[Value]) -> list[Value]:
            return self._steps(self.code.add(column, offset), halves)

        carried = [(value, self._halves) for value in self._none()]
        return self._widen_sums(sums, self.code.repeat(0, self._chunk, self.family.run, carried, steps))

    def _steps(self, column: Value, halves: list[Value]) -> list[Value]:
        """Add the two steps whose weights lie in the same bytes."""
        first = self._count(column)
        for number in range(self.family.steps):
            left = self._left(self.code.add(column, self.code.index(number * self.family.depth)))
            halves = self._dot(self._step_after(first, number), halves, left)
        return halves

    def _last_steps(self, start: int, halves: list[Value]) -> list[Value]:
        """Add less than a chunk of steps, of which the last may lack columns of the left side."""
        depth, run, step = self.operands.depth, self.family.run, self.family.depth
        done, whole = depth // run * run, depth // step * step
        carried = [(value, self._halves) for value in halves]
        halves = self.code.repeat(start, done, run, carried, self._steps)
        if done < whole:
            halves = self._dot(self._step_at(done), halves, self._left(self.code.index(done)))
        return self._dot(self._step_at(whole), halves, self._rest(whole)) if whole < depth else halves

    def _none(self) -> list[Value]:
        """Return zeros in 16 bits, one for each accumulator."""
        return [self.code.constant(f"dense<0> : {self._halves}")] * self._accumulators

    @property
    def _accumulators(self) -> int:
        return len(self.rows) * len(self.blocks)

    def _widen_sums(self, sums: list[Value], halves: list[Value]) -> list[Value]:
        raise NotImplementedError


class ChunkedMultiplyAddTile(_ChunkTile, MultiplyAddTile):
    """Tiles of x86-64: weights plus 8 are the unsigned side, and 8 times the sum of each row is subtracted.

    In whole chunks a vector of the left side gives a part of its row's sum; of what is left, steps are summed up.
    """

    def begin(self, starts: Starts) -> list[Value]:
        """Return the accumulators: those of the products, and those of the rows' sums."""
        zero = self.code.constant(f"dense<0> : {self.sums}")
        return [*super().begin(starts), *[zero] * len(self.rows)]

    def finish(self, sums: list[Value]) -> dict[tuple[int, int], Value]:
        """Return the sums by position of row and block."""
        products = super().finish(sums[: self._accumulators])
        excess = [add_lanes(self.code, value, self.family.lanes) for value in sums[self._accumulators :]]
        if self.operands.depth % self._chunk:
            steps = range(self.operands.depth // self._chunk * self._chunk, self.operands.depth, self.family.depth)
            excess = self._add_steps(excess, steps)
        return {
            (row, block): self.code.value(f"arith.subi {value}, {excess[row]} : {self.sums}")
            for (row, block), value in products.items()
        }

    def _whole_chunk(self, column: Value, sums: list[Value]) -> list[Value]:
        products = super()._whole_chunk(column, sums[: self._accumulators])
        rows, size = sums[self._accumulators :], 4 * self.family.lanes
        for part in range(0, self._chunk, size):
            start = self.code.add(column, self.code.index(part))
            eight = [self._multiply_bytes(self._eights, self._load(row, start, size)) for row in self.rows]
            rows = self._widen_sums(rows, eight)
        return [*products, *rows]

    def _add_steps(self, excess: list[Value], steps: range) -> list[Value]:
        """Add 8 times the sums of some steps of the rows, in every lane."""
        halves = [self.code.constant(f"dense<0> : {self._halves}")] * len(self.rows)
        for column in steps:
            whole = column + self.family.depth <= self.operands.depth
            left = self._left(self.code.index(column)) if whole else self._rest(column)
            halves = [
                self._add_halves(total, self._multiply_bytes(self._eights, value))
                for total, value in zip(halves, left, strict=True)
            ]
        return self._widen_sums(excess, halves)

    def _dot(self, step: Step, sums: list[Value], left: list[Value]) -> list[Value]:
        weights = [self._weights(step, block) for block in self.blocks]
        return [
            self._add_halves(total, self._multiply_bytes(other, one))
            for total, (one, other) in zip(sums, pairs(left, weights), strict=True)
        ]

    def _take_half(self, both: Value, half: int, kind: str) -> Value:
        """Return one of two weights in each byte, plus 8."""
        if half:
            return self.code.value(f"arith.shrui {both}, {self.code.constant(f'dense<4> : {kind}')} : {kind}")
        return self.code.value(f"arith.andi {both}, {self.code.constant(f'dense<15> : {kind}')} : {kind}")

    @property
    def _eights(self) -> Value:
        return self.code.constant(f"dense<8> : {self.bytes}")

    def _widen_sums(self, sums: list[Value], halves: list[Value]) -> list[Value]:
        return [self._add_widened(total, two) for total, two in zip(sums, halves, strict=True)]


class ChunkedColumnTile(_ChunkTile, ColumnTile):
    """Tiles of ARM: a product adds to eight sums in 16 bits, of which pairs are added to four in 32."""

    @property
    def _accumulators(self) -> int:
        return super()._accumulators * self.family.lanes

    def _take_half(self, both: Value, half: int, kind: str) -> Value:
        """Return one of two weights in each byte."""
        four = self.code.constant(f"dense<4> : {kind}")
        low = both if half else self.code.value(f"arith.shli {both}, {four} : {kind}")
        return self.code.value(f"arith.shrsi {low}, {four} : {kind}")

    def _multiply_halves(self, total: Value, left: list[Value], right: list[Value]) -> Value:
        for one, other in zip(left, right, strict=True):
            two = self.code.value(f"arith.muli {one}, {other} : {self._halves}")
            total = self.code.value(f"arith.addi {total}, {two} : {self._halves}")
        return total

    def _widen_sums(self, sums: list[Value], halves: list[Value]) -> list[Value]:
        return [self._add_pairs(total, two) for total, two in zip(sums, halves, strict=True)]
