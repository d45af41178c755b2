"""The inner loop: sums of products of int8 or float32, for a tile of rows and blocks of columns, in registers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product as pairs

from compile.kernels.chunk_tiles import ChunkedColumnTile, ChunkedMultiplyAddTile
from compile.kernels.families import InstructionFamily
from compile.kernels.kernel import Buffer
from compile.kernels.memory import load_vector, store_vector
from compile.kernels.mlir_builder import Code, Value, vector_of
from compile.kernels.narrow_tiles import ColumnTile, MultiplyAddTile, WideningTile
from compile.kernels.relaxed_tiles import RaisedTile, SplitTile
from compile.kernels.tile import Operands, Starts, Step, Tile


def multiply_tile(
    code: Code, operands: Operands, rows: Sequence[Value], blocks: Sequence[Value], starts: Starts, ahead: int = 0
) -> dict[tuple[int, int], Value]:
    """Add the sums of a tile.

    Args:
        code: Function that operations are added to.
        operands: The two sides of the product.
        rows: Rows of the left side.
        blocks: Blocks of the weights.
        starts: Values that the sums start from, vector<lanes x i32> or vector<lanes x f32>, by position in `rows` and
            in `blocks`.
        ahead: Number of blocks by which weights are prefetched; 0 for no prefetching.

    Returns:
        The sums, vectors as in `starts`, by position in `rows` and in `blocks`.
    """
    kind = _choose_tile(operands.family)
    if issubclass(kind, ColumnTile) and len(blocks) > 1:
        return _multiply_by_block(code, kind, operands, rows, blocks, starts)
    tile = kind(code, operands, rows, blocks, ahead)
    return tile.finish(tile.loop(tile.begin(starts)))


def _multiply_by_block(
    code: Code,
    kind: type[Tile],
    operands: Operands,
    rows: Sequence[Value],
    blocks: Sequence[Value],
    starts: Starts,
) -> dict[tuple[int, int], Value]:
    """Add the sums of a tile one block after the other, with one piece of code; the blocks follow each other."""
    lanes = operands.family.lanes
    shape = (len(blocks), len(rows), lanes)
    kept = Buffer(code.share(shape, operands.family.total), shape, operands.family.total)
    zero = code.constant(f"dense<0> : {vector_of(lanes, operands.family.total)}")

    def multiply(number: Value, _: Sequence[Value]) -> tuple[()]:
        tile = kind(code, operands, rows, [code.add(blocks[0], number)], 0)
        sums = tile.finish(tile.loop(tile.begin({(row, 0): zero for row in range(len(rows))})))
        for (row, _block), value in sums.items():
            store_vector(code, value, kept, (number, code.index(row), code.index(0)), lanes, lanes)
        return ()

    code.repeat(0, len(blocks), 1, (), multiply)
    vector = vector_of(lanes, operands.family.total)
    results = {}
    for row, block in pairs(range(len(rows)), range(len(blocks))):
        sums = load_vector(code, kept, (code.index(block), code.index(row), code.index(0)), lanes)
        results[row, block] = code.value(f"arith.addi {starts[row, block]}, {sums} : {vector}")
    return results


def _choose_tile(family: InstructionFamily) -> type[Tile]:
    if family.float32:
        return _Float32Tile
    if family.narrow:
        if family.bits == 4:
            return ChunkedColumnTile if family.pair == 1 else ChunkedMultiplyAddTile
        return ColumnTile if family.pair == 1 else MultiplyAddTile
    if family.relaxed:
        return RaisedTile if family.bits == 4 else SplitTile
    return {"i8mm": _PairedTile, "dot128": WideningTile}.get(family.name, Tile)


class _PairedTile(Tile):
    """Two rows of the left side for each accumulator: 2 x 8 numbers times 8 x 2.

    An odd last row is multiplied twice, and one of the results is dropped.
    """

    def __init__(
        self, code: Code, operands: Operands, rows: Sequence[Value], blocks: Sequence[Value], ahead: int
    ) -> None:
        super().__init__(code, operands, rows, blocks, ahead)
        self.couples = [(self.rows[n], self.rows[min(n + 1, len(rows) - 1)]) for n in range(0, len(rows), 2)]

    def begin(self, starts: Starts) -> list[Value]:
        # [row 0 column 0, row 0 column 1, row 1 column 0, row 1 column 1]
        results = []
        for row, block in pairs(range(0, len(self.rows), 2), range(len(self.blocks))):
            one, other = starts[row, block], starts[min(row + 1, len(self.rows) - 1), block]
            results += [
                self.code.value(f"vector.shuffle {one}, {other} [{picks}] : {self.sums}, {self.sums}")
                for picks in ("0, 1, 4, 5", "2, 3, 6, 7")
            ]
        return results

    def finish(self, sums: list[Value]) -> dict[tuple[int, int], Value]:
        results = {}
        for number, (couple, block) in enumerate(pairs(range(len(self.couples)), range(len(self.blocks)))):
            low, high = sums[2 * number : 2 * number + 2]
            for row, picks in ((2 * couple, "0, 1, 4, 5"), (2 * couple + 1, "2, 3, 6, 7")):
                if row < len(self.rows):
                    results[row, block] = self.code.value(
                        f"vector.shuffle {low}, {high} [{picks}] : {self.sums}, {self.sums}"
                    )
        return results

    def _wide(self) -> int:
        return 16

    def _wide_step(self, column: Value, sums: list[Value]) -> list[Value]:
        loaded = {row: self._load(row, column, 16) for row in dict.fromkeys(self.rows)}
        first = self._count(column)
        for half in (0, 1):
            picks = ", ".join(str(16 * which + 8 * half + byte) for which in (0, 1) for byte in range(8))
            left = [
                self.code.value(
                    f"vector.shuffle {loaded[one]}, {loaded[other]} [{picks}] : vector<16xi8>, vector<16xi8>"
                )
                for one, other in self.couples
            ]
            sums = self._dot(self._step_after(first, half), sums, left)
        return sums

    def _left(self, column: Value) -> list[Value]:
        return self._join([self._load(row, column, 8) for row in self.rows])

    def _join(self, rows: list[Value]) -> list[Value]:
        picks = ", ".join(map(str, range(16)))
        couples = [(rows[n], rows[min(n + 1, len(rows) - 1)]) for n in range(0, len(rows), 2)]
        return [
            self.code.value(f"vector.shuffle {one}, {other} [{picks}] : vector<8xi8>, vector<8xi8>")
            for one, other in couples
        ]

    def _dot(self, step: Step, sums: list[Value], left: list[Value]) -> list[Value]:
        weights = [self._weights(step, block, part) for block in self.blocks for part in (0, 1)]
        return [
            self._multiply(total, one, other) for total, (one, other) in zip(sums, pairs(left, weights), strict=True)
        ]


class _Float32Tile(Tile):
    """Products of float32: one number of a row in every lane, times `lanes` columns."""

    # With fewer rows the code only waits for weights, and the processor's own prefetching is faster: 75 us against 93
    # for one word.
    least = 4

    def _wide(self) -> int:
        return 4 if self.family.keeps else 1

    def _wide_step(self, column: Value, sums: list[Value]) -> list[Value]:
        if not self.family.keeps:
            return self._step(column, sums)
        # One load of four numbers a row, of which the instruction itself picks one: LLVM makes `fmla v, v, v.s[lane]`
        # of a splat lane.
        loaded = [self._load_f32(row, column, 4) for row in self.rows]
        for lane in range(4):
            picks = ", ".join([str(lane)] * 4)
            left = [
                self.code.value(f"vector.shuffle {value}, {value} [{picks}] : {self.sums}, {self.sums}")
                for value in loaded
            ]
            sums = self._dot(self._step_after(column, lane), sums, left)
        return sums

    def _count(self, column: Value) -> Value:
        return column

    def _left(self, column: Value) -> list[Value]:
        ones = [self._load_f32(row, column, 1) for row in self.rows]
        return [self.code.value(f"vector.broadcast {one} : vector<1xf32> to {self.sums}") for one in ones]

    def _load_f32(self, row: Value, column: Value, size: int) -> Value:
        return self.code.value(
            f"vector.load {self.operands.left.name}[{row}, {column}] : {self.operands.left.memory}, "
            f"{vector_of(size, 'f32')}"
        )

    def _multiply(self, total: Value, left: Value, right: Value) -> Value:
        return self.code.value(f"vector.fma {left}, {right}, {total} : {self.sums}")
