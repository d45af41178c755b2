"""Kernels of one product: as it is, scaled, scaled and cut off at zero, or scaled and followed by GELU."""

from __future__ import annotations

from collections.abc import Sequence

from compile.kernels.arithmetic import Float32Vectors
from compile.kernels.families import InstructionFamily
from compile.kernels.kernel import Buffer, Kernel
from compile.kernels.memory import load_count, load_spread, load_vector, store_vector
from compile.kernels.mlir_builder import Code, Value
from compile.kernels.prepared_rows import prepare_rows, prepared_buffer
from compile.kernels.product import Ending, Preparation, Product, add_group, scale_sums
from compile.kernels.tile import Operands


def product_kernel(name: str, family: InstructionFamily, rows: int, depth: int, columns: int) -> Kernel:
    """Return the kernel of a product.

    It reads the left side int8[rows, depth], packed weights and offsets (`compile.kernels.packing`), and writes
    int32[rows, columns]. In float32 it has no offsets.
    """
    out = Buffer("%out", (rows, columns), family.total)

    def end(code: Code, row: Value, column: Value, count: int, sums: Value) -> None:
        store_vector(code, sums, out, (row, column), family.lanes, count)

    return _kernel(name, family, (rows, depth, columns), (), (out,), lambda _code, _columns: end)


def scaled_kernel(name: str, family: InstructionFamily, rows: int, depth: int, columns: int, texts: int = 0) -> Kernel:
    """Return the kernel of a product whose sums are multiplied by a scale and get a bias, by column.

    It reads what `product_kernel` reads, scale and bias, and writes float32[rows, columns]. In float32 it has a bias
    and no scale. With `texts` it also reads how many rows of each text matter, int32[texts]; most of the others are
    left as they are.
    """
    lanes = family.lanes
    scale, bias = _factors(columns, lanes)
    out = Buffer("%out", (rows, columns), "f32")

    def prepare(code: Code, firsts: Sequence[Value]) -> Ending:
        to_f32 = scale_sums(code, family, scale, bias, 0, firsts)
        return lambda code, row, column, count, sums: store_vector(
            code, to_f32(column, sums), out, (row, column), lanes, count
        )

    more = (bias,) if family.float32 else (scale, bias)
    limits = Buffer("%counts", (texts,), "i32") if texts else None
    return _kernel(
        name, family, (rows, depth, columns), (*more, *_given(limits)), (out,), prepare, limits, compact=False
    )


def rectified_kernel(name: str, family: InstructionFamily, texts: int, words: int, depth: int, columns: int) -> Kernel:
    """Return the kernel of a scaled product with negative numbers set to zero, and zeros in rows without a word.

    It reads what `scaled_kernel` reads for `texts * words` rows, the mask float32[rows], the number of steps that one
    is divided into float32[1], and the number of words of each text int32[texts]. It writes int8[rows, columns] of
    `pqrnn.model.int8.ActivationRange.POSITIVE`, and float32 of the same shape. Rows past a text's words are left as
    they are. In float32 there are no offsets, scale and steps, and no int8.
    """
    lanes, rows = family.lanes, texts * words
    scale, bias = _factors(columns, lanes)
    mask, levels, counts = (
        Buffer("%mask", (rows,), "f32"),
        Buffer("%levels", (1,), "f32"),
        Buffer("%counts", (texts,), "i32"),
    )
    output_i8, output_f32 = Buffer("%output_i8", (rows, columns), "i8"), Buffer("%output_f32", (rows, columns), "f32")

    def prepare(code: Code, firsts: Sequence[Value]) -> Ending:
        vectors = Float32Vectors(code, family)
        to_f32 = scale_sums(code, family, scale, bias, 0, firsts)
        steps = None if family.float32 else load_spread(code, levels, (code.index(0),), lanes)

        def end(code: Code, row: Value, column: Value, count: int, sums: Value) -> None:
            positive = vectors.larger(to_f32(column, sums), vectors.number(0.0))
            value = vectors.multiply(positive, load_spread(code, mask, (row,), lanes))
            if steps is not None:
                scaled = vectors.smaller(vectors.multiply(value, steps), vectors.number(255.0))
                store_vector(
                    code,
                    vectors.to_bytes(vectors.add(scaled, vectors.number(0.5))),
                    output_i8,
                    (row, column),
                    lanes,
                    count,
                )
            store_vector(code, value, output_f32, (row, column), lanes, count)

        return end

    shape = (rows, depth, columns)
    if family.float32:
        return _kernel(name, family, shape, (bias, mask, counts), (output_f32,), prepare, counts)
    return _kernel(name, family, shape, (scale, bias, mask, levels, counts), (output_i8, output_f32), prepare, counts)


def gelu_kernel(name: str, family: InstructionFamily, texts: int, words: int, depth: int, columns: int) -> Kernel:
    """Return the kernel of a scaled product and GELU, rounded as the next product wants it.

    It reads what `scaled_kernel` reads, the middle of the range of every column and the steps that one is divided into
    there, float32[columns], which is a multiple of the lanes, and how many rows of each text matter, int32[texts]. It
    writes int8[texts * words, columns] of `pqrnn.model.int8.ActivationRange.MEASURED`, and leaves most other rows as
    they are.
    """
    lanes, rows = family.lanes, texts * words
    scale, bias = _factors(columns, lanes)
    counts = Buffer("%counts", (texts,), "i32")
    centre, rate = (Buffer(each, (columns,), "f32") for each in ("%centre", "%rate"))
    out = Buffer("%out", (rows, columns), "i8")

    def prepare(code: Code, firsts: Sequence[Value]) -> Ending:
        vectors = Float32Vectors(code, family)
        to_f32 = scale_sums(code, family, scale, bias, 0, firsts)
        ranges = {
            first: [load_vector(code, buffer, (first,), lanes) for buffer in (centre, rate)]
            for first in dict.fromkeys(firsts)
        }

        def end(code: Code, row: Value, column: Value, count: int, sums: Value) -> None:
            value = vectors.gelu(to_f32(column, sums))
            store_vector(code, vectors.to_steps(value, *ranges[column]), out, (row, column), lanes, count)

        return end

    more = (scale, bias, centre, rate, counts)
    return _kernel(name, family, (rows, depth, columns), more, (out,), prepare, counts, compact=False)


def _given(buffer: Buffer | None) -> tuple[Buffer, ...]:
    return () if buffer is None else (buffer,)


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
    compact: bool = True,
) -> Kernel:
    """Return the kernel of a product, of all rows or of as many rows of every text as `counts` says.

    Compact code has one piece for what follows the sums, for tiles of any height; otherwise there are tiles of a known
    height, of which the last may have rows too many.
    """
    rows, depth, columns = shape
    blocks = -(-columns // family.lanes)
    left = Buffer("%left", (rows, depth), family.element)
    prepared = prepared_buffer(family, rows, depth, 1)  # two would be the largest buffer of a parser
    operands = Operands(family, left, "%weights", depth, blocks, prepared)
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

    if prepared is not None:
        with code.when(code.value(f"arith.cmpi eq, %group, {code.index(0)} : index")):
            _prepare(code, operands, rows, counts)
    if counts is None:
        groups = add(Product(operands, offsets, columns, rows))
    else:
        texts, words = counts.shape[0], rows // counts.shape[0]

        def add_text(text: Value, _: Sequence[Value]) -> tuple[()]:
            nonlocal groups
            found = load_count(code, counts, text, words)
            limit, count = (None, found) if compact else (found, None)
            groups = add(Product(operands, offsets, columns, words, count=count, limit=limit), code.times(text, words))
            return ()

        code.repeat(0, texts, 1, (), add_text)
    reads = (left, operands.packed, *(() if family.float32 else (offsets,)), *more)
    return Kernel(name, reads, outs, groups, str(code), () if prepared is None else (prepared,))


def _prepare(code: Code, operands: Operands, rows: int, counts: Buffer | None) -> None:
    """Add the preparation of all rows, or of as many rows of every text as `counts` says."""
    if counts is None:
        prepare_rows(code, operands, code.index(0), code.index(rows))
        return
    words = rows // counts.shape[0]

    def prepare_text(text: Value, _: Sequence[Value]) -> tuple[()]:
        prepare_rows(code, operands, code.times(text, words), load_count(code, counts, text, words))
        return ()

    code.repeat(0, counts.shape[0], 1, (), prepare_text)
