"""The product kernel: int8[rows, depth] times packed weights, to int32 or, scaled, to float32;

or all of it in float32, where there is nothing to scale.

Of a family of float32 everything that is int8 or int32 here has that type, and there are neither offsets nor scales.
Sums start from zero, not from the bias: beside a large one every product would be rounded as coarsely as the bias is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from compile.kernels.families import InstructionFamily
from compile.kernels.functions import Real
from compile.kernels.kernel import Buffer, Kernel
from compile.kernels.microkernel import Operands, multiply_tile
from compile.kernels.mlir_builder import Code, Value, memory_of, vector_of
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
    kept = place_sums(code, family, shape.height, shape.blocks)

    def keep(begin: Value, height: int) -> None:
        for number, block, sums in multiply(begin, height):
            keep_sums(code, kept, number, block, sums)

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


def place_sums(code: Code, family: InstructionFamily, height: int, blocks: int) -> Buffer:
    """Add memory for the sums of a tile, [height, blocks, lanes]."""
    shape = (height, blocks, family.lanes)
    return Buffer(code.place(shape, family.total), shape, family.total)


def keep_sums(code: Code, kept: Buffer, row: int, block: int, total: Value) -> None:
    """Add a store of a vector of sums."""
    lanes = kept.shape[2]
    store_vector(code, total, kept, (code.index(row), code.index(block), code.index(0)), lanes, lanes)


def load_count(code: Code, counts: Buffer, text: Value, words: int) -> Value:
    """Add a load of how many rows of a text are computed:

    one for each of its words, of which there may be more than there are rows; and one where there is no word.
    """
    count = code.value(f"memref.load {counts.name}[{text}] : {counts.memory}")
    fewer = code.value(f"arith.minsi {count}, {code.constant(f'{words} : i32')} : i32")
    rows = code.value(f"arith.maxsi {fewer}, {code.constant('1 : i32')} : i32")
    return code.value(f"arith.index_cast {rows} : i32 to index")


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
    vectors = Real(code, family.lanes)
    loaded = {
        column: [
            load_vector(code, each, (code.add(column, code.index(place)),), family.lanes)
            for each in ((bias,) if family.real else (bias, scale))
        ]
        for column in dict.fromkeys(columns)
    }
    return lambda column, sums: make_reals(vectors, sums, *loaded[column])


def make_reals(vectors: Real, sums: Value, bias: Value, scale: Value | None = None) -> Value:
    """Add what makes logits, or gates, of sums: int32 where there is a scale."""
    return vectors.add(sums if scale is None else vectors.multiply(vectors.from_integers(sums), scale), bias)


def load_start(code: Code, family: InstructionFamily, offsets: Buffer, column: Value) -> Value:
    """Add a load of what the sums of a block start from; float32 start from zero."""
    if family.real:
        return code.constant(f"dense<0.0> : {vector_of(family.lanes, 'f32')}")
    return load_vector(code, offsets, (column,), family.lanes)


def product_kernel(name: str, family: InstructionFamily, rows: int, depth: int, columns: int) -> Kernel:
    """Return the kernel of a product:

    left int8[rows, depth], packed weights and offsets (`compile.kernels.packing`) to int32[rows, columns].

    In float32 it has no offsets.
    """
    out = Buffer("%out", (rows, columns), family.total)

    def end(code: Code, row: Value, column: Value, count: int, sums: Value) -> None:
        store_vector(code, sums, out, (row, column), family.lanes, count)

    return _kernel(name, family, (rows, depth, columns), (), (out,), lambda _code, _columns: end)


def scaled_kernel(name: str, family: InstructionFamily, rows: int, depth: int, columns: int) -> Kernel:
    """Return the kernel of a product whose sums are scaled by column and shifted:

    as `product_kernel`, with scale and bias, to float32[rows, columns].

    In float32 it has a bias and no scale.
    """
    lanes = family.lanes
    scale, bias = _factors(columns, lanes)
    out = Buffer("%out", (rows, columns), "f32")

    def prepare(code: Code, firsts: Sequence[Value]) -> Ending:
        make_real = scale_sums(code, family, scale, bias, 0, firsts)
        return lambda code, row, column, count, sums: store_vector(
            code, make_real(column, sums), out, (row, column), lanes, count
        )

    return _kernel(name, family, (rows, depth, columns), (bias,) if family.real else (scale, bias), (out,), prepare)


def rectified_kernel(name: str, family: InstructionFamily, texts: int, words: int, depth: int, columns: int) -> Kernel:
    """Return the kernel of a scaled product that is cut off at zero, and zero where there is no word.

    As `scaled_kernel` for `texts * words` rows, with the mask float32[rows], the steps that one is divided into,
    float32[1], and how many words each text has, int32[texts]; to int8[rows, columns] of `pqrnn.model.int8`'s
    `Range.POSITIVE`, and to float32 of that shape. Rows past a text's words are left as they are. In float32 there are
    no offsets, scale and steps, and no int8.
    """
    lanes, rows = family.lanes, texts * words
    scale, bias = _factors(columns, lanes)
    mask, levels, counts = (
        Buffer("%mask", (rows,), "f32"),
        Buffer("%levels", (1,), "f32"),
        Buffer("%counts", (texts,), "i32"),
    )
    short, real = Buffer("%short", (rows, columns), "i8"), Buffer("%real", (rows, columns), "f32")

    def prepare(code: Code, firsts: Sequence[Value]) -> Ending:
        vectors = Real(code, lanes)
        make_real = scale_sums(code, family, scale, bias, 0, firsts)
        steps = None if family.real else load_spread(code, levels, (code.index(0),), lanes)

        def end(code: Code, row: Value, column: Value, count: int, sums: Value) -> None:
            positive = vectors.larger(make_real(column, sums), vectors.number(0.0))
            value = vectors.multiply(positive, load_spread(code, mask, (row,), lanes))
            if steps is not None:
                scaled = vectors.smaller(vectors.multiply(value, steps), vectors.number(255.0))
                store_vector(
                    code, vectors.to_bytes(vectors.add(scaled, vectors.number(0.5))), short, (row, column), lanes, count
                )
            store_vector(code, value, real, (row, column), lanes, count)

        return end

    shape = (rows, depth, columns)
    if family.real:
        return _kernel(name, family, shape, (bias, mask, counts), (real,), prepare, counts)
    return _kernel(name, family, shape, (scale, bias, mask, levels, counts), (short, real), prepare, counts)


def _factors(columns: int, lanes: int) -> tuple[Buffer, Buffer]:
    width = -(-columns // lanes) * lanes
    return Buffer("%scale", (width,), "f32"), Buffer("%bias", (width,), "f32")


def _kernel(
    name: str,
    family: InstructionFamily,
    shape: tuple[int, int, int],
    more: tuple[Buffer, ...],
    outs: tuple[Buffer, ...],
    prepare: Preparation,
    counts: Buffer | None = None,
) -> Kernel:
    """Make a kernel of a product: of all rows, or of as many of every text as `counts` says."""
    rows, depth, columns = shape
    blocks = -(-columns // family.lanes)
    left = Buffer("%left", (rows, depth), family.element)
    operands = Operands(family, left, "%weights", depth, blocks)
    offsets = Buffer("%offsets", (blocks * family.lanes,), "i32")
    code = Code()

    def add(product: Product, row: Value | None = None) -> int:
        if product.groups > 1 and not product.even:
            whole = code.value(f"arith.cmpi ult, %group, {code.index(product.groups - 1)} : index")
            with code.when(whole) as otherwise:
                add_group(code, product, "%group", True, prepare, row)
                otherwise()
                add_group(code, product, "%group", False, prepare, row)
        else:
            add_group(code, product, "%group", False, prepare, row)
        return product.groups

    if counts is None:
        groups = add(Product(operands, offsets, columns, rows))
    else:
        texts, words = counts.shape[0], rows // counts.shape[0]

        def add_text(text: Value, _: Sequence[Value]) -> tuple[()]:
            nonlocal groups
            groups = add(
                Product(operands, offsets, columns, words, count=load_count(code, counts, text, words)),
                code.times(text, words),
            )
            return ()

        code.repeat(0, texts, 1, (), add_text)
    return Kernel(name, (left, operands.packed, *(() if family.real else (offsets,)), *more), outs, groups, str(code))


def load_spread(code: Code, buffer: Buffer, place: Sequence[Value], lanes: int) -> Value:
    """Add a load of one number into every lane."""
    one = code.value(f"memref.load {buffer.name}[{', '.join(place)}] : {buffer.memory}")
    return code.value(f"vector.broadcast {one} : {buffer.element} to {vector_of(lanes, buffer.element)}")


def load_vector(code: Code, buffer: Buffer, place: Sequence[Value], lanes: int) -> Value:
    """Add a load of some lanes from a place in memory."""
    return code.value(
        f"vector.load {buffer.name}[{', '.join(place)}] : {buffer.memory}, {vector_of(lanes, buffer.element)}"
    )


def store_vector(code: Code, value: Value, buffer: Buffer, place: Sequence[Value], lanes: int, count: int) -> None:
    """Add a store of the first `count` lanes, in parts of powers of two where they are not all."""
    *outer, column = place
    done, kind = 0, vector_of(lanes, buffer.element)
    while done < count:
        size = 1 << ((count - done).bit_length() - 1)
        part = value
        if size < lanes:
            part = code.value(
                f"vector.shuffle {value}, {value} [{', '.join(map(str, range(done, done + size)))}] : {kind}, {kind}"
            )
        at = ", ".join([*outer, code.add(column, code.index(done))])
        code.line(
            f"vector.store {part}, {buffer.name}[{at}] : {memory_of(buffer.shape, buffer.element)}, {vector_of(size, buffer.element)}"
        )
        done += size
