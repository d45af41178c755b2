"""The product kernel: int8[rows, depth] times packed weights, to int32 or, scaled, to float32."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from compile.kernels.dots import Operands, multiply_tile
from compile.kernels.families import Family
from compile.kernels.functions import Real
from compile.kernels.kernel import Buffer, Kernel
from compile.kernels.text import Code, Value, memory_of, vector_of
from compile.kernels.tiling import Tiling, choose_tiling, runs

# Given what is written, the row, the first column, how many columns there are, and their sums: puts them where they belong.
Ending = Callable[[Code, Value, Value, int, Value], None]
# Given the first columns of a group's blocks: loads what the ending needs for them.
Preparation = Callable[[Code, Sequence[Value]], Ending]


@dataclass(frozen=True, slots=True)
class Product:
    """A product inside a kernel.

    Attributes:
        operands: What is multiplied.
        offsets: What sums start from, int32.
        columns: Of the product; the blocks may have more.
        place: Where in `offsets` its first column is.
        rows: How many rows of the left side are multiplied.
    """

    operands: Operands
    offsets: Buffer
    columns: int
    rows: int
    place: int = 0

    @property
    def tiling(self) -> Tiling:
        """How it is cut."""
        return choose_tiling(self.operands.family, self.rows, self.operands.blocks)


def add_group(code: Code, product: Product, group: Value, whole: bool, prepare: Preparation, row: Value | None = None) -> None:
    """Add a group of blocks: `whole`, or the last one, of whose last block only some columns are there; from a row of the left side on."""
    tiling, operands, lanes = product.tiling, product.operands, product.operands.family.lanes
    count = tiling.blocks if whole else operands.blocks - (tiling.groups - 1) * tiling.blocks
    last = lanes if whole else product.columns - (operands.blocks - 1) * lanes
    first = code.times(group, tiling.blocks)
    numbers = [code.add(first, code.index(block)) for block in range(count)]
    columns = [code.times(number, lanes) for number in numbers]
    starts = [load_vector(code, product.offsets, (code.add(column, code.index(product.place)),), lanes) for column in columns]
    end = prepare(code, columns)

    def tile(begin: Value, height: int) -> tuple[()]:
        places = [code.add(code.add(row or code.index(0), begin), code.index(number)) for number in range(height)]
        given = {(number, block): start for number in range(height) for block, start in enumerate(starts)}
        for (number, block), sums in multiply_tile(code, operands, places, numbers, given).items():
            end(code, places[number], columns[block], last if block == count - 1 else lanes, sums)
        return ()

    for height, start, stop in runs(tiling.rows):
        code.repeat(start, stop, height, (), lambda begin, _, height=height: tile(begin, height))  # type: ignore[misc]


def add_product(code: Code, product: Product, prepare: Preparation, row: Value | None = None) -> None:
    """Add a whole product, group after group."""

    def group(number: Value, _: Sequence[Value]) -> tuple[()]:
        add_group(code, product, number, True, prepare, row)
        return ()

    groups = product.tiling.groups
    code.repeat(0, groups - 1, 1, (), group)
    add_group(code, product, code.index(groups - 1), False, prepare, row)


def scale_sums(code: Code, lanes: int, scale: Buffer, bias: Buffer, place: int, columns: Sequence[Value]) -> Callable[[Value, Value], Value]:
    """Load scale and bias of some columns, and return what makes float32 of the sums of a column's block."""
    vectors = Real(code, lanes)
    loaded = {
        column: [load_vector(code, each, (code.add(column, code.index(place)),), lanes) for each in (scale, bias)]
        for column in dict.fromkeys(columns)
    }
    return lambda column, sums: vectors.add(vectors.multiply(vectors.from_integers(sums), loaded[column][0]), loaded[column][1])


def product_kernel(name: str, family: Family, rows: int, depth: int, columns: int) -> Kernel:
    """Return the kernel of a product: left int8[rows, depth], packed weights and offsets (`compile.kernels.packing`) to int32[rows, columns]."""
    out = Buffer("%out", (rows, columns), "i32")

    def end(code: Code, row: Value, column: Value, count: int, sums: Value) -> None:
        store_vector(code, sums, out, (row, column), family.lanes, count)

    return _kernel(name, family, (rows, depth, columns), (), (out,), lambda _code, _columns: end)


def scaled_kernel(name: str, family: Family, rows: int, depth: int, columns: int) -> Kernel:
    """Return the kernel of a product whose sums are scaled by column and shifted: as `product_kernel`, with scale and bias, to float32[rows, columns]."""
    lanes = family.lanes
    scale, bias = _factors(columns, lanes)
    out = Buffer("%out", (rows, columns), "f32")

    def prepare(code: Code, firsts: Sequence[Value]) -> Ending:
        make_real = scale_sums(code, lanes, scale, bias, 0, firsts)
        return lambda code, row, column, count, sums: store_vector(code, make_real(column, sums), out, (row, column), lanes, count)

    return _kernel(name, family, (rows, depth, columns), (scale, bias), (out,), prepare)


def rectified_kernel(name: str, family: Family, rows: int, depth: int, columns: int) -> Kernel:
    """Return the kernel of a scaled product that is cut off at zero, and zero where there is no word.

    As `scaled_kernel`, with the mask float32[rows] and the steps that one is divided into, float32[1]; to int8[rows, columns] of `pqrnn.integer`'s
    `Range.POSITIVE`, and to float32 of that shape.
    """
    lanes = family.lanes
    scale, bias = _factors(columns, lanes)
    mask, levels = Buffer("%mask", (rows,), "f32"), Buffer("%levels", (1,), "f32")
    short, real = Buffer("%short", (rows, columns), "i8"), Buffer("%real", (rows, columns), "f32")

    def prepare(code: Code, firsts: Sequence[Value]) -> Ending:
        vectors = Real(code, lanes)
        make_real = scale_sums(code, lanes, scale, bias, 0, firsts)
        steps = load_spread(code, levels, (code.index(0),), lanes)

        def end(code: Code, row: Value, column: Value, count: int, sums: Value) -> None:
            positive = vectors.larger(make_real(column, sums), vectors.number(0.0))
            value = vectors.multiply(positive, load_spread(code, mask, (row,), lanes))
            scaled = vectors.smaller(vectors.multiply(value, steps), vectors.number(255.0))
            store_vector(code, vectors.to_bytes(vectors.add(scaled, vectors.number(0.5))), short, (row, column), lanes, count)
            store_vector(code, value, real, (row, column), lanes, count)

        return end

    return _kernel(name, family, (rows, depth, columns), (scale, bias, mask, levels), (short, real), prepare)


def _factors(columns: int, lanes: int) -> tuple[Buffer, Buffer]:
    width = -(-columns // lanes) * lanes
    return Buffer("%scale", (width,), "f32"), Buffer("%bias", (width,), "f32")


def _kernel(
    name: str, family: Family, shape: tuple[int, int, int], more: tuple[Buffer, ...], outs: tuple[Buffer, ...], prepare: Preparation
) -> Kernel:
    rows, depth, columns = shape
    blocks = -(-columns // family.lanes)
    left = Buffer("%left", (rows, depth), "i8")
    operands = Operands(family, left, "%weights", depth, blocks)
    offsets = Buffer("%offsets", (blocks * family.lanes,), "i32")
    product = Product(operands, offsets, columns, rows)
    groups = product.tiling.groups
    code = Code()
    if groups > 1 and (blocks < groups * product.tiling.blocks or columns % family.lanes):
        whole = code.value(f"arith.cmpi ult, %group, {code.index(groups - 1)} : index")
        with code.when(whole) as otherwise:
            add_group(code, product, "%group", True, prepare)
            otherwise()
            add_group(code, product, "%group", False, prepare)
    else:
        add_group(code, product, "%group", False, prepare)
    return Kernel(name, (left, operands.packed, offsets, *more), outs, groups, str(code))


def load_spread(code: Code, buffer: Buffer, place: Sequence[Value], lanes: int) -> Value:
    """Add a load of one number into every lane."""
    one = code.value(f"memref.load {buffer.name}[{', '.join(place)}] : {buffer.memory}")
    return code.value(f"vector.broadcast {one} : {buffer.element} to {vector_of(lanes, buffer.element)}")


def load_vector(code: Code, buffer: Buffer, place: Sequence[Value], lanes: int) -> Value:
    """Add a load of some lanes from a place in memory."""
    return code.value(f"vector.load {buffer.name}[{', '.join(place)}] : {buffer.memory}, {vector_of(lanes, buffer.element)}")


def store_vector(code: Code, value: Value, buffer: Buffer, place: Sequence[Value], lanes: int, count: int) -> None:
    """Add a store of the first `count` lanes, in parts of powers of two where they are not all."""
    *outer, column = place
    done, kind = 0, vector_of(lanes, buffer.element)
    while done < count:
        size = 1 << ((count - done).bit_length() - 1)
        part = value
        if size < lanes:
            part = code.value(f"vector.shuffle {value}, {value} [{', '.join(map(str, range(done, done + size)))}] : {kind}, {kind}")
        at = ", ".join([*outer, code.add(column, code.index(done))])
        code.line(f"vector.store {part}, {buffer.name}[{at}] : {memory_of(buffer.shape, buffer.element)}, {vector_of(size, buffer.element)}")
        done += size
