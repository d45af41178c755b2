"""Loads and stores, and the memory on the stack that kernels work in."""

from __future__ import annotations

from collections.abc import Sequence

from compile.kernels.families import InstructionFamily
from compile.kernels.kernel import Buffer
from compile.kernels.mlir_builder import Code, Value, memory_of, vector_of


def load_spread(code: Code, buffer: Buffer, indices: Sequence[Value], lanes: int) -> Value:
    """Add a load of one number into every lane of a vector."""
    number = code.value(f"memref.load {buffer.name}[{', '.join(indices)}] : {buffer.memory}")
    return code.value(f"vector.broadcast {number} : {buffer.element} to {vector_of(lanes, buffer.element)}")


def load_vector(code: Code, buffer: Buffer, indices: Sequence[Value], lanes: int) -> Value:
    """Add a load of a vector whose first number has the given indices."""
    return code.value(
        f"vector.load {buffer.name}[{', '.join(indices)}] : {buffer.memory}, {vector_of(lanes, buffer.element)}"
    )


def store_vector(code: Code, value: Value, buffer: Buffer, indices: Sequence[Value], lanes: int, count: int) -> None:
    """Add a store of the first `count` lanes of a vector, in parts of powers of two where they are not all."""
    *outer, column = indices
    done, kind = 0, vector_of(lanes, buffer.element)
    while done < count:
        size = 1 << ((count - done).bit_length() - 1)
        part = value
        if size < lanes:
            picks = ", ".join(map(str, range(done, done + size)))
            part = code.value(f"vector.shuffle {value}, {value} [{picks}] : {kind}, {kind}")
        target = ", ".join([*outer, code.add(column, code.index(done))])
        memory, piece = memory_of(buffer.shape, buffer.element), vector_of(size, buffer.element)
        code.line(f"vector.store {part}, {buffer.name}[{target}] : {memory}, {piece}")
        done += size


def allocate_sums(code: Code, family: InstructionFamily, height: int, blocks: int) -> Buffer:
    """Add memory for the sums of a tile, [height, blocks, lanes]."""
    shape = (height, blocks, family.lanes)
    return Buffer(code.allocate(shape, family.total), shape, family.total)


def store_sums(code: Code, kept: Buffer, row: int, block: int, total: Value) -> None:
    """Add a store of one vector of sums."""
    lanes = kept.shape[2]
    store_vector(code, total, kept, (code.index(row), code.index(block), code.index(0)), lanes, lanes)


def load_count(code: Code, counts: Buffer, text: Value, words: int) -> Value:
    """Add a load of the number of rows that are computed of a text.

    There is a row for each of its words, at most `words`; of a text without words the first row is computed.
    """
    count = code.value(f"memref.load {counts.name}[{text}] : {counts.memory}")
    fewer = code.value(f"arith.minsi {count}, {code.constant(f'{words} : i32')} : i32")
    rows = code.value(f"arith.maxsi {fewer}, {code.constant('1 : i32')} : i32")
    return to_index(code, rows)


def allocate_array(code: Code, size: int) -> Buffer:
    """Add memory for int32[size]."""
    memory = memory_of((size,), "i32")
    return Buffer(code.value(f"memref.alloca() : {memory}"), (size,), "i32")


def load_element(code: Code, array: Buffer, index: Value) -> Value:
    """Add a load of one number of an array."""
    return code.value(f"memref.load {array.name}[{index}] : {array.memory}")


def store_element(code: Code, value: Value, array: Buffer, index: Value) -> None:
    """Add a store of one number of an array."""
    code.line(f"memref.store {value}, {array.name}[{index}] : {array.memory}")


def to_index(code: Code, value: Value) -> Value:
    """Return int32 as an index."""
    return code.value(f"arith.index_cast {value} : i32 to index")


def to_number(code: Code, index: Value) -> Value:
    """Return an index as int32."""
    return code.value(f"arith.index_cast {index} : index to i32")
