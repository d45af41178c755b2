"""The product kernel: int8[rows, depth] times packed weights, to int32 or, scaled, to float32."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from compile.kernels.dots import Operands, multiply_tile
from compile.kernels.families import Family
from compile.kernels.kernel import Buffer, Kernel
from compile.kernels.text import Code, Value, memory_of, vector_of
from compile.kernels.tiling import choose_tiling, runs

# Given what is written, the row, the first column, how many columns there are, and their sums: puts them where they belong.
Ending = Callable[[Code, Value, Value, int, Value], None]


def product_kernel(name: str, family: Family, rows: int, depth: int, columns: int) -> Kernel:
    """Return the kernel of a product: left int8[rows, depth], packed weights and offsets (`compile.kernels.packing`) to int32[rows, columns]."""
    out = Buffer("%out", (rows, columns), "i32")

    def end(code: Code, row: Value, column: Value, count: int, sums: Value) -> None:
        store_vector(code, sums, out, (row, column), family.lanes, count)

    return _kernel(name, family, (rows, depth, columns), (), out, lambda _code, _columns: end)


def scaled_kernel(name: str, family: Family, rows: int, depth: int, columns: int) -> Kernel:
    """Return the kernel of a product whose sums are scaled by column and shifted: as `product_kernel`, with scale and bias, to float32[rows, columns]."""
    lanes = family.lanes
    width = -(-columns // lanes) * lanes
    scale, bias, out = Buffer("%scale", (width,), "f32"), Buffer("%bias", (width,), "f32"), Buffer("%out", (rows, columns), "f32")
    kind = vector_of(lanes, "f32")

    def prepare(code: Code, firsts: Sequence[Value]) -> Ending:
        factors = {first: load_vector(code, scale, (first,), lanes) for first in firsts}
        shifts = {first: load_vector(code, bias, (first,), lanes) for first in firsts}

        def end(code: Code, row: Value, column: Value, count: int, sums: Value) -> None:
            real = code.value(f"arith.sitofp {sums} : {vector_of(lanes, 'i32')} to {kind}")
            scaled = code.value(f"arith.mulf {real}, {factors[column]} : {kind}")
            store_vector(code, code.value(f"arith.addf {scaled}, {shifts[column]} : {kind}"), out, (row, column), lanes, count)

        return end

    return _kernel(name, family, (rows, depth, columns), (scale, bias), out, prepare)


def _kernel(
    name: str,
    family: Family,
    shape: tuple[int, int, int],
    more: tuple[Buffer, ...],
    out: Buffer,
    prepare: Callable[[Code, Sequence[Value]], Ending],
) -> Kernel:
    rows, depth, columns = shape
    blocks = -(-columns // family.lanes)
    operands = Operands(family, "%left", "%weights", rows, depth, blocks)
    left = Buffer("%left", (rows, depth), "i8")
    weights = Buffer("%weights", (blocks, operands.steps, family.lanes * family.depth), "i8")
    offsets = Buffer("%offsets", (blocks * family.lanes,), "i32")
    tiling = choose_tiling(family, rows, blocks)
    code = Code()

    def panel(count: int, last: int) -> None:
        """Add a group of blocks, of whose last only some columns are there."""
        first = code.times("%group", tiling.blocks)
        numbers = [code.add(first, code.index(block)) for block in range(count)]
        firsts = [code.times(number, family.lanes) for number in numbers]
        starts = [load_vector(code, offsets, (column,), family.lanes) for column in firsts]
        end = prepare(code, firsts)

        def tile(begin: Value, height: int) -> tuple[()]:
            places = [code.add(begin, code.index(row)) for row in range(height)]
            given = {(row, block): start for row in range(height) for block, start in enumerate(starts)}
            for (row, block), sums in multiply_tile(code, operands, places, numbers, given).items():
                end(code, places[row], firsts[block], last if block == count - 1 else family.lanes, sums)
            return ()

        for height, start, stop in runs(tiling.rows):
            code.repeat(start, stop, height, (), lambda begin, _, height=height: tile(begin, height))  # type: ignore[misc]

    rest = blocks - (tiling.groups - 1) * tiling.blocks
    last = columns - (blocks - 1) * family.lanes
    if tiling.groups > 1 and (rest < tiling.blocks or last < family.lanes):
        whole = code.value(f"arith.cmpi ult, %group, {code.index(tiling.groups - 1)} : index")
        with code.when(whole) as otherwise:
            panel(tiling.blocks, family.lanes)
            otherwise()
            panel(rest, last)
    else:
        panel(rest, last)
    return Kernel(name, (left, weights, offsets, *more), (out,), tiling.groups, str(code))


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
