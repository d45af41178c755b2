"""A product inside a kernel: int8[rows, depth] times packed weights, to sums in int32 or, scaled, to float32.

For a family of float32 everything that is int8 or int32 here is float32, and there are neither offsets nor scales. Sums
start from zero, not from the bias: beside a large bias every product would be rounded as coarsely as the bias is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from compile.kernels.arithmetic import Float32Vectors
from compile.kernels.families import InstructionFamily
from compile.kernels.kernel import Buffer
from compile.kernels.memory import allocate_sums, load_vector, store_sums
from compile.kernels.microkernel import multiply_tile
from compile.kernels.mlir_builder import Code, Value, vector_of
from compile.kernels.tile import Operands
from compile.kernels.tiling import choose_shape, choose_tiling, runs

# Stores sums, given the code, their row, their first column, the number of columns, and the sums.
Ending = Callable[[Code, Value, Value, int, Value], None]
# Loads what an ending needs for a group of blocks, given the code and the first column of each block.
Preparation = Callable[[Code, Sequence[Value]], Ending]


@dataclass(frozen=True, slots=True)
class Product:
    """A product inside a kernel.

    Attributes:
        operands: The two sides of the product.
        offsets: int32, the values that sums start from; not used for float32.
        columns: Number of columns of the product; the blocks may have more.
        rows: Number of rows of the left side, or the largest number of rows.
        first: Index of the product's first column in `offsets`.
        count: Number of rows, 1 to `rows`, where it is known only when the kernel runs.
        filled: Whether the memory of the results has room for whole blocks.
        limit: Number of rows that matter, known only when the kernel runs: tiles behind them are left out. Unlike with
            `count` the tiles are those of all rows, so that there is one code for many of them.
    """

    operands: Operands
    offsets: Buffer
    columns: int
    rows: int
    first: int = 0
    count: Value | None = None
    filled: bool = False
    limit: Value | None = None

    @property
    def blocks(self) -> int:
        """Number of blocks of columns in a group."""
        choose = choose_tiling if self.count is None else choose_shape
        return choose(self.operands.family, self.rows, self.operands.blocks).blocks

    @property
    def groups(self) -> int:
        """Number of groups of blocks of columns."""
        return -(-self.operands.blocks // self.blocks)

    @property
    def even(self) -> bool:
        """Whether the last group is as large as the others."""
        whole = self.filled or self.columns % self.operands.family.lanes == 0
        return whole and self.operands.blocks % self.blocks == 0


def add_group(
    code: Code, product: Product, group: Value, whole: bool, prepare: Preparation, row: Value | None = None
) -> None:
    """Add a group of blocks.

    Args:
        code: Function that operations are added to.
        product: The product.
        group: Number of the group.
        whole: Whether the group is whole. Otherwise it is the last, which may have fewer blocks, the last of them with
            fewer columns.
        prepare: Loads what follows the sums needs.
        row: First row of the left side, or None for row 0.
    """
    operands, lanes = product.operands, product.operands.family.lanes
    count = product.blocks if whole else operands.blocks - (product.groups - 1) * product.blocks
    last = lanes if whole or product.filled else product.columns - (operands.blocks - 1) * lanes
    first = code.times(group, product.blocks)
    numbers = [code.add(first, code.index(block)) for block in range(count)]
    columns = [code.times(number, lanes) for number in numbers]
    starts = [
        load_start(code, operands.family, product.offsets, code.add(column, code.index(product.first)))
        for column in columns
    ]
    end = prepare(code, columns)

    def multiply(begin: Value, height: int) -> Iterator[tuple[int, int, Value]]:
        rows = [code.add(code.add(row or code.index(0), begin), code.index(number)) for number in range(height)]
        given = {(number, block): start for number in range(height) for block, start in enumerate(starts)}
        for (number, block), sums in multiply_tile(code, operands, rows, numbers, given).items():
            yield number, block, sums

    def finish(offset: Value, block: int, sums: Value) -> None:
        end(code, code.add(row or code.index(0), offset), columns[block], last if block == count - 1 else lanes, sums)

    if product.count is None:
        _add_known(code, product, multiply, finish)
    else:
        _add_counted(code, product, product.count, count, multiply, finish)


_Multiply = Callable[[Value, int], Iterator[tuple[int, int, Value]]]
_Finish = Callable[[Value, int, Value], None]


def _add_known(code: Code, product: Product, multiply: _Multiply, finish: _Finish) -> None:
    """Add the tiles of a number of rows that is known at compile time."""

    def tile(begin: Value, height: int) -> tuple[()]:
        for number, block, sums in multiply(begin, height):
            finish(code.add(begin, code.index(number)), block, sums)
        return ()

    for height, start, stop in runs(choose_tiling(product.operands.family, product.rows, product.operands.blocks).rows):
        code.repeat_below(start, stop, height, product.limit, partial(tile, height=height))


def _add_counted(code: Code, product: Product, rows: Value, blocks: int, multiply: _Multiply, finish: _Finish) -> None:
    """Add the tiles of a number of rows that is known only when the kernel runs.

    There is code for the products of every height, and the code that follows the sums is there once.
    """
    family = product.operands.family
    shape = choose_shape(family, product.rows, product.operands.blocks)
    kept = allocate_sums(code, family, shape.height, shape.blocks)

    def keep(begin: Value, height: int) -> None:
        for number, block, sums in multiply(begin, height):
            store_sums(code, kept, number, block, sums)

    def tile(begin: Value, height: Value, _: Sequence[Value]) -> tuple[()]:
        def finish_row(number: Value, _: Sequence[Value]) -> tuple[()]:
            for block in range(blocks):
                finish(
                    code.add(begin, number),
                    block,
                    load_vector(code, kept, (number, code.index(block), code.index(0)), family.lanes),
                )
            return ()

        code.loop(code.index(0), height, code.index(1), (), finish_row)
        return ()

    heights = range(1, shape.height + 1)
    add_tiles(
        code, rows, shape.height, lambda begin, height: code.switch(height, heights, partial(keep, begin)), tile, ()
    )


def add_tiles(
    code: Code,
    count: Value,
    tallest: int,
    multiply: Callable[[Value, Value], None],
    finish: Callable[[Value, Value, list[Value]], Sequence[Value]],
    carried: Sequence[tuple[Value, str]],
) -> list[Value]:
    """Add a loop over tiles of a number of rows that is known only when the kernel runs.

    There are as few tiles as possible, of nearly the same height.

    Args:
        code: Function that operations are added to.
        count: Number of rows, at least 1.
        tallest: Number of rows of the tallest tile.
        multiply: Adds the sums of a tile, given its first row and its height.
        finish: Adds the code that follows the sums, given the same and the carried values, and returns the next values.
        carried: Values that are passed from tile to tile, with their types.

    Returns:
        The values after the last tile.
    """
    tiles = code.value(f"arith.ceildivui {count}, {code.index(tallest)} : index")
    low = code.value(f"arith.divui {count}, {tiles} : index")
    more = code.value(f"arith.remui {count}, {tiles} : index")

    def tile(number: Value, values: list[Value]) -> Sequence[Value]:
        begin = code.add(
            code.value(f"arith.muli {number}, {low} : index"), code.value(f"arith.minui {number}, {more} : index")
        )
        taller = code.value(f"arith.cmpi ult, {number}, {more} : index")
        height = code.add(low, code.value(f"arith.select {taller}, {code.index(1)}, {code.index(0)} : index"))
        multiply(begin, height)
        return finish(begin, height, values)

    return code.loop(code.index(0), tiles, code.index(1), carried, tile)


def add_product(code: Code, product: Product, prepare: Preparation, row: Value | None = None) -> None:
    """Add a whole product, group after group."""

    def group(number: Value, _: Sequence[Value]) -> tuple[()]:
        add_group(code, product, number, True, prepare, row)
        return ()

    code.repeat(0, product.groups - 1 + product.even, 1, (), group)
    if not product.even:
        add_group(code, product, code.index(product.groups - 1), False, prepare, row)


def scale_sums(
    code: Code, family: InstructionFamily, scale: Buffer, bias: Buffer, first: int, columns: Sequence[Value]
) -> Callable[[Value, Value], Value]:
    """Add loads of the scale and bias of some columns, and return a function that applies them to sums.

    The function is given the first column of a block and the block's sums, and returns them as float32. Sums of float32
    only get the bias.
    """
    vectors = Float32Vectors(code, family)
    loaded = {
        column: [
            load_vector(code, buffer, (code.add(column, code.index(first)),), family.lanes)
            for buffer in ((bias,) if family.float32 else (bias, scale))
        ]
        for column in dict.fromkeys(columns)
    }
    return lambda column, sums: scale_to_f32(vectors, sums, *loaded[column])


def scale_to_f32(vectors: Float32Vectors, sums: Value, bias: Value, scale: Value | None = None) -> Value:
    """Return sums as float32: int32 sums times a scale, or float32 sums, plus a bias."""
    return vectors.add(sums if scale is None else vectors.multiply(vectors.from_integers(sums), scale), bias)


def load_start(code: Code, family: InstructionFamily, offsets: Buffer, column: Value) -> Value:
    """Add a load of the values that the sums of a block start from; sums of float32 start from zero."""
    if family.float32:
        return code.constant(f"dense<0.0> : {vector_of(family.lanes, 'f32')}")
    return load_vector(code, offsets, (column,), family.lanes)
