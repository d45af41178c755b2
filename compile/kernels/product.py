"""The product kernel: int8[rows, depth] times packed weights, to int32 or, scaled, to float32;

or all of it in float32, where there is nothing to scale.

Of a family of float32 everything that is int8 or int32 here has that type, and there are neither offsets nor scales.
Sums start from zero, not from the bias: beside a large one every product would be rounded as coarsely as the bias is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from compile.kernels.arithmetic import Float32Vectors
from compile.kernels.families import InstructionFamily
from compile.kernels.kernel import Buffer
from compile.kernels.memory import allocate_sums, load_vector, store_sums
from compile.kernels.microkernel import Operands, multiply_tile
from compile.kernels.mlir_builder import Code, Value, vector_of
from compile.kernels.tiling import choose_shape, choose_tiling, runs

# Given what is written, the row, the first column, how many columns there are, and their sums: puts them where they
# belong.
Ending = Callable[[Code, Value, Value, int, Value], None]
# Given the first columns of a group's blocks: loads what the ending needs for them.
Preparation = Callable[[Code, Sequence[Value]], Ending]


@dataclass(frozen=True, slots=True)
class Product:
    """A product inside a kernel.

    Attributes:
        operands: What is multiplied.
        offsets: What sums start from, int32; not for float32.
        columns: Of the product; the blocks may have more.
        rows: How many rows of the left side are multiplied, or may be.
        place: Where in `offsets` its first column is.
        count: How many rows really are, 1 to `rows`, where that is known only when the kernel runs.
        filled: Whether there is room for whole blocks where its columns go.
    """

    operands: Operands
    offsets: Buffer
    columns: int
    rows: int
    place: int = 0
    count: Value | None = None
    filled: bool = False

    @property
    def blocks(self) -> int:
        """Blocks of columns in a group."""
        choose = choose_tiling if self.count is None else choose_shape
        return choose(self.operands.family, self.rows, self.operands.blocks).blocks

    @property
    def groups(self) -> int:
        """Groups of blocks of columns."""
        return -(-self.operands.blocks // self.blocks)

    @property
    def even(self) -> bool:
        """Whether the last group is like the others."""
        whole = self.filled or self.columns % self.operands.family.lanes == 0
        return whole and self.operands.blocks % self.blocks == 0


def add_group(
    code: Code, product: Product, group: Value, whole: bool, prepare: Preparation, row: Value | None = None
) -> None:
    """Add a group of blocks:

    `whole`, or the last one, of whose last block only some columns are there; from a row of the left side on.
    """
    operands, lanes = product.operands, product.operands.family.lanes
    count = product.blocks if whole else operands.blocks - (product.groups - 1) * product.blocks
    last = lanes if whole or product.filled else product.columns - (operands.blocks - 1) * lanes
    first = code.times(group, product.blocks)
    numbers = [code.add(first, code.index(block)) for block in range(count)]
    columns = [code.times(number, lanes) for number in numbers]
    starts = [
        load_start(code, operands.family, product.offsets, code.add(column, code.index(product.place)))
        for column in columns
    ]
    end = prepare(code, columns)

    def multiply(begin: Value, height: int) -> Iterator[tuple[int, int, Value]]:
        places = [code.add(code.add(row or code.index(0), begin), code.index(number)) for number in range(height)]
        given = {(number, block): start for number in range(height) for block, start in enumerate(starts)}
        for (number, block), sums in multiply_tile(code, operands, places, numbers, given).items():
            yield number, block, sums

    def finish(place: Value, block: int, sums: Value) -> None:
        end(code, code.add(row or code.index(0), place), columns[block], last if block == count - 1 else lanes, sums)

    if product.count is None:
        _add_known(code, product, multiply, finish)
    else:
        _add_counted(code, product, product.count, count, multiply, finish)


_Multiply = Callable[[Value, int], Iterator[tuple[int, int, Value]]]
_Finish = Callable[[Value, int, Value], None]


def _add_known(code: Code, product: Product, multiply: _Multiply, finish: _Finish) -> None:
    """Add the tiles of a number of rows that is known."""

    def tile(begin: Value, height: int) -> tuple[()]:
        for number, block, sums in multiply(begin, height):
            finish(code.add(begin, code.index(number)), block, sums)
        return ()

    for height, start, stop in runs(choose_tiling(product.operands.family, product.rows, product.operands.blocks).rows):
        code.repeat(start, stop, height, (), lambda begin, _, height=height: tile(begin, height))  # type: ignore[misc]


def _add_counted(code: Code, product: Product, rows: Value, blocks: int, multiply: _Multiply, finish: _Finish) -> None:
    """Add the tiles of a number of rows that is known only when the kernel runs:

    products for every height, and what follows them once.
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
    """Add a loop over tiles of rows whose number is known only when the kernel runs:

    as few as possible, of nearly the same height.

    Args:
        code: Where it is added.
        count: How many rows, at least 1.
        tallest: Rows of the tallest tile.
        multiply: Given the first row of a tile and its height, adds its sums.
        finish: Given these and the values, adds what becomes of the sums, and returns the next values.
        carried: Values from tile to tile, with their types.

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
    code: Code, family: InstructionFamily, scale: Buffer, bias: Buffer, place: int, columns: Sequence[Value]
) -> Callable[[Value, Value], Value]:
    """Load scale and bias of some columns, and return what makes float32 of the sums of a column's block;

    sums of float32 only get the bias.
    """
    vectors = Float32Vectors(code, family.lanes)
    loaded = {
        column: [
            load_vector(code, each, (code.add(column, code.index(place)),), family.lanes)
            for each in ((bias,) if family.float32 else (bias, scale))
        ]
        for column in dict.fromkeys(columns)
    }
    return lambda column, sums: scale_to_f32(vectors, sums, *loaded[column])


def scale_to_f32(vectors: Float32Vectors, sums: Value, bias: Value, scale: Value | None = None) -> Value:
    """Add what makes logits, or gates, of sums: int32 where there is a scale."""
    return vectors.add(sums if scale is None else vectors.multiply(vectors.from_integers(sums), scale), bias)


def load_start(code: Code, family: InstructionFamily, offsets: Buffer, column: Value) -> Value:
    """Add a load of what the sums of a block start from; float32 start from zero."""
    if family.float32:
        return code.constant(f"dense<0.0> : {vector_of(family.lanes, 'f32')}")
    return load_vector(code, offsets, (column,), family.lanes)
