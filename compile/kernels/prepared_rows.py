"""The left side as `relaxed_tiles` multiplies it: the upper 7 bits and the lowest bit of its numbers, or sums of rows.

It is made once for all columns of a product where a kernel has memory for it, and else once for a tile. Groups of a
kernel of such a family run one after the other, in order, because there are no threads: so the first makes it for all.
"""

from __future__ import annotations

from compile.kernels.arithmetic import add_lanes
from compile.kernels.families import InstructionFamily
from compile.kernels.kernel import Buffer
from compile.kernels.mlir_builder import Code, Value, vector_of
from compile.kernels.tile import Operands

_VECTOR, _PIECE = 16, 4  # bytes that are taken at a time


def prepared_buffer(family: InstructionFamily, rows: int, depth: int, parts: int = 2) -> Buffer | None:
    """Return memory for a prepared left side, or None for a family that takes rows as they are.

    For weights of 8 bits it is int8[rows, parts * depth], where `depth` is filled up to a multiple of 4: the upper 7
    bits of every number plus 128, as 0 to 127, and, if there are two parts, the lowest bits, which tiles else take from
    the left side, in 1.08 times the time. For weights of 4 bits it is int32[rows]: what weights are raised by times the
    sum of the row.
    """
    if not family.relaxed:
        return None
    if family.bits == 4:
        return Buffer("%prepared", (rows,), "i32")
    return Buffer("%prepared", (rows, parts * fill_up(depth)), "i8")


def fill_up(depth: int) -> int:
    """Return the number of columns of a part."""
    return -(-depth // _PIECE) * _PIECE


def prepare_rows(code: Code, operands: Operands, first: Value, count: Value) -> None:
    """Add the preparation of a number of rows, which become the same rows of `operands.prepared`."""
    prepared = operands.prepared
    assert prepared is not None

    def prepare(number: Value, _: list[Value]) -> tuple[()]:
        row = code.add(first, number)
        prepare_row(code, operands.family, operands.left, operands.depth, row, prepared, row)
        return ()

    code.loop(code.index(0), count, code.index(1), (), prepare)


def prepare_row(
    code: Code, family: InstructionFamily, left: Buffer, depth: int, row: Value, prepared: Buffer, place: Value
) -> None:
    """Add the preparation of a row.

    Args:
        code: Function that operations are added to.
        family: Instruction family of the product.
        left: Left side, int8[rows, columns].
        depth: Number of columns that are multiplied.
        row: Row of the left side.
        prepared: Memory as `prepared_buffer` describes it.
        place: Row of that memory.
    """
    if family.bits == 4:
        total = code.value(f"vector.extract {sum_row(code, family, left, depth, row)}[0] : i32 from vector<4xi32>")
        code.line(f"memref.store {total}, {prepared.name}[{place}] : {prepared.memory}")
        return
    whole, half = depth // _VECTOR * _VECTOR, fill_up(depth)

    def split(column: Value, value: Value, size: int) -> None:
        kind = vector_of(size, "i8")
        flip, ones = (code.constant(f"dense<{number}> : {kind}") for number in (-128, 127))
        moved = code.value(f"arith.xori {value}, {flip} : {kind}")  # plus 128, modulo 256
        upper = code.value(f"arith.andi {shift_down(code, moved, size, 1)}, {ones} : {kind}")
        code.line(f"vector.store {upper}, {prepared.name}[{place}, {column}] : {prepared.memory}, {kind}")
        if prepared.shape[1] > half:
            lowest = code.value(f"arith.andi {moved}, {code.constant(f'dense<1> : {kind}')} : {kind}")
            after = code.add(column, code.index(half))
            code.line(f"vector.store {lowest}, {prepared.name}[{place}, {after}] : {prepared.memory}, {kind}")

    def step(column: Value, _: list[Value]) -> tuple[()]:
        split(column, _load(code, left, row, column, _VECTOR), _VECTOR)
        return ()

    code.repeat(0, whole, _VECTOR, (), step)
    for column in range(whole, depth, _PIECE):
        split(code.index(column), _load_piece(code, left, depth, row, column), _PIECE)


def sum_row(code: Code, family: InstructionFamily, left: Buffer, depth: int, row: Value) -> Value:
    """Add the sum of a row times what weights are raised by, and return it in every lane."""
    kind, whole = vector_of(family.lanes, "i32"), depth // _VECTOR * _VECTOR
    raised = code.constant(f"dense<{family.raised}> : {vector_of(_VECTOR, 'i8')}")

    def step(column: Value, sums: list[Value]) -> list[Value]:
        return [dot(code, sums[0], _load(code, left, row, column, _VECTOR), raised)]

    (total,) = code.repeat(0, whole, _VECTOR, [(code.constant(f"dense<0> : {kind}"), kind)], step)
    factor = code.constant(f"dense<{family.raised}> : {kind}")
    for column in range(whole, depth, _PIECE):
        piece = _load_piece(code, left, depth, row, column)
        wide = code.value(f"arith.extsi {piece} : {vector_of(_PIECE, 'i8')} to {kind}")
        total = code.value(f"arith.addi {total}, {code.value(f'arith.muli {wide}, {factor} : {kind}')} : {kind}")
    return add_lanes(code, total, family.lanes)


def dot(code: Code, total: Value, signed: Value, unsigned: Value) -> Value:
    """Add four products to each of four sums; every byte of `unsigned` has to be 0 to 127."""
    name = "llvm.wasm.relaxed.dot.i8x16.i7x16.add.signed"
    kinds = "(vector<16xi8>, vector<16xi8>, vector<4xi32>) -> vector<4xi32>"
    return code.value(f'llvm.call_intrinsic "{name}"({signed}, {unsigned}, {total}) : {kinds}')


def shift_down(code: Code, value: Value, size: int, bits: int) -> Value:
    """Shift bytes in pairs, as x86-64 shifts 16 bits and no bytes: bits of the other byte come in at the top."""
    kind, pairs = vector_of(size, "i8"), vector_of(size // 2, "i16")
    wide = code.value(f"vector.bitcast {value} : {kind} to {pairs}")
    moved = code.value(f"arith.shrui {wide}, {code.constant(f'dense<{bits}> : {pairs}')} : {pairs}")
    return code.value(f"vector.bitcast {moved} : {pairs} to {kind}")


def _load(code: Code, left: Buffer, row: Value, column: Value, size: int) -> Value:
    return code.value(f"vector.load {left.name}[{row}, {column}] : {left.memory}, {vector_of(size, 'i8')}")


def _load_piece(code: Code, left: Buffer, depth: int, row: Value, column: int) -> Value:
    """Load four bytes; those past the depth are zeros, because they belong to the next row or lie outside."""
    if column + _PIECE <= depth:
        return _load(code, left, row, code.index(column), _PIECE)
    kind = vector_of(_PIECE, "i8")
    piece = code.constant(f"dense<0> : {kind}")
    for byte in range(depth - column):
        index = code.index(column + byte)
        one = code.value(f"memref.load {left.name}[{row}, {index}] : {left.memory}")
        piece = code.value(f"vector.insert {one}, {piece} [{byte}] : i8 into {kind}")
    return piece
