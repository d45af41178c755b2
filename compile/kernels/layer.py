"""The layer kernel: product, gates and recurrence of a bidirectional QRNN layer, with no intermediate tensor in memory.

A group has one block of channels of one direction of one text; the groups of a block follow each other, so that its
weights are read from distant memory once. The words of the text, and no other rows, are computed in the order of the
recurrence, a tile of them at a time: first the sums of the three gates, over all taps, in registers; then the gates,
the state, and the outputs as int8 for the next product and as float32. For a family of float32 there are no offsets and
no scales.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate

from compile.kernels.arithmetic import Float32Vectors
from compile.kernels.families import InstructionFamily
from compile.kernels.kernel import Buffer, Kernel
from compile.kernels.memory import allocate_sums, load_count, load_spread, load_vector, store_sums, store_vector
from compile.kernels.microkernel import multiply_tile
from compile.kernels.mlir_builder import Code, Value, vector_of
from compile.kernels.prepared_rows import prepare_rows, prepared_buffer
from compile.kernels.product import add_tiles, load_start, scale_to_f32
from compile.kernels.tile import Operands
from compile.kernels.tiling import choose_height

GATES = 3


@dataclass(frozen=True, slots=True)
class _Order:
    """Maps a step of the recurrence to the row of its word, forwards or backwards."""

    start: Value
    stride: Value

    def position(self, code: Code, step: Value) -> Value:
        return code.add(self.start, code.value(f"arith.muli {self.stride}, {step} : index"))


def layer_kernel(
    name: str, family: InstructionFamily, texts: int, words: int, depth: int, state: int, taps: int
) -> Kernel:
    """Return the kernel of a layer.

    It reads the input int8[texts * words, depth]; weights, offsets, scale and bias as
    `compile.kernels.modules.KernelLayer` lays them out, by direction, block of channels, tap and gate (scale and bias
    have no taps); the mask float32[texts * words]; and the number of words of each text int32[texts]. It writes
    int8[texts * words, 2 * state] of step 1/127 and float32 of the same shape; rows past a text's words are left as
    they are. For a family of float32 the input is float32, there are no offsets and no scale, and no int8 is written.

    Args:
        name: Name of the function that runs the kernel.
        family: Instruction family of the product.
        texts: Number of texts.
        words: Number of word rows of each text.
        depth: Number of input channels.
        state: Number of channels of each direction.
        taps: Number of words that a gate sees.
    """
    lanes = family.lanes
    blocks = -(-state // lanes)
    rows = texts * words
    left = Buffer("%left", (rows, depth), family.element)
    prepared = prepared_buffer(family, rows, depth)
    operands = Operands(family, left, "%weights", depth, 2 * blocks * taps * GATES, prepared)
    offsets = Buffer("%offsets", (operands.blocks * lanes,), "i32")
    scale, bias = (Buffer(part, (2 * blocks * GATES * lanes,), "f32") for part in ("%scale", "%bias"))
    mask, counts = Buffer("%mask", (rows,), "f32"), Buffer("%counts", (texts,), "i32")
    output_i8, output_f32 = (
        Buffer("%output_i8", (rows, 2 * state), "i8"),
        Buffer("%output_f32", (rows, 2 * state), "f32"),
    )
    code = Code()
    vectors = Float32Vectors(code, family)
    # Forwards in the first half of the groups, backwards in the second.
    text = code.index(0) if texts == 1 else code.value(f"arith.remui %group, {code.index(texts)} : index")
    group = "%group" if texts == 1 else code.value(f"arith.divui %group, {code.index(texts)} : index")
    backwards = code.value(f"arith.cmpi uge, {group}, {code.index(blocks)} : index")
    zero, one, less, half, whole = (code.index(number) for number in (0, 1, -1, blocks, state))
    count = load_count(code, counts, text, words)
    final = code.value(f"arith.subi {count}, {one} : index")
    order = _Order(
        code.add(code.times(text, words), _select(code, backwards, final, zero)), _select(code, backwards, less, one)
    )
    block = code.value(f"arith.subi {group}, {_select(code, backwards, half, zero)} : index")
    column = code.add(_select(code, backwards, whole, zero), code.times(block, lanes))
    first = code.times(group, taps * GATES)
    panels = [[code.add(first, code.index(tap * GATES + gate)) for gate in range(GATES)] for tap in range(taps)]
    gate_columns = [
        code.times(code.add(code.times(group, GATES), code.index(number)), lanes) for number in range(GATES)
    ]
    if prepared is not None:  # by the first group of a text; the others come after it
        with code.when(code.value(f"arith.cmpi ult, %group, {code.index(texts)} : index")):
            prepare_rows(code, operands, code.times(text, words), count)
    shifts = [load_vector(code, bias, (start,), lanes) for start in gate_columns]
    factors = [None if family.float32 else load_vector(code, scale, (start,), lanes) for start in gate_columns]
    # Start values of the gates' sums, by number of taps.
    starts_of = _add_offsets(code, family, offsets, panels)
    last = state - (blocks - 1) * lanes

    def multiply(first: bool, begin: Value, height: int) -> None:
        """Add the sums of gates of a tile; the first words have no word before them."""
        steps = [code.add(begin, code.index(row)) for row in range(height)]
        # The offsets of all taps that a row has: rows past the first ones have them all.
        reach = [min(row + 1, taps) if first else taps for row in range(height)]
        total = {(row, gate): starts_of[count - 1][gate] for row, count in enumerate(reach) for gate in range(GATES)}
        for tap in range(max(reach)):
            rows = [row for row, count in enumerate(reach) if tap < count]
            before = [
                order.position(code, code.value(f"arith.subi {steps[row]}, {code.index(tap)} : index")) for row in rows
            ]
            given = {(number, gate): total[row, gate] for number, row in enumerate(rows) for gate in range(GATES)}
            sums = multiply_tile(code, operands, before, panels[tap], given, GATES if first else taps * GATES)
            total |= {(rows[number], gate): value for (number, gate), value in sums.items()}
        for (row, gate), value in total.items():
            store_sums(code, kept, row, gate, value)

    def tile(begin: Value, height: Value) -> None:
        with code.when(code.value(f"arith.cmpi eq, {begin}, {zero} : index")) as otherwise:
            code.switch(height, range(1, tallest + 1), partial(multiply, True, begin))
            otherwise()
            code.switch(height, range(1, tallest + 1), partial(multiply, False, begin))

    def advance(begin: Value, height: Value, values: list[Value]) -> list[Value]:
        def step(row: Value, values: list[Value]) -> list[Value]:
            position = order.position(code, code.add(begin, row))
            present = load_spread(code, mask, (position,), lanes)
            total = [load_vector(code, kept, (row, code.index(gate), zero), lanes) for gate in range(GATES)]
            inputs = [scale_to_f32(vectors, *parts) for parts in zip(total, shifts, factors, strict=True)]
            carried, output = _advance(vectors, values[0], inputs, present)
            if not family.float32:
                rounded = vectors.to_bytes(
                    vectors.add(vectors.multiply(output, vectors.number(127.0)), vectors.number(128.5))
                )
                _store(code, output_i8, rounded, position, column, (block, blocks, last), lanes)
            _store(code, output_f32, output, position, column, (block, blocks, last), lanes)
            return [carried]

        return code.loop(zero, height, one, [(values[0], vectors.kind)], step)

    # At least as tall as what the first words lack, so that only the first tile lacks anything.
    tallest = max(choose_height(family, words, GATES), min(taps - 1, words))
    kept = allocate_sums(code, family, tallest, GATES)
    add_tiles(code, count, tallest, tile, advance, [(vectors.number(0.0), vectors.kind)])
    constants, results = (
        ((bias,), (output_f32,)) if family.float32 else ((offsets, scale, bias), (output_i8, output_f32))
    )
    reads, scratch = (left, operands.packed, *constants, mask, counts), () if prepared is None else (prepared,)
    return Kernel(name, reads, results, texts * 2 * blocks, str(code), scratch)


def _add_offsets(
    code: Code, family: InstructionFamily, offsets: Buffer, panels: Sequence[Sequence[Value]]
) -> list[list[Value]]:
    """Add loads of the start values of the gates' sums: for the first tap, for the first two together, and so on."""
    starts = [
        [load_start(code, family, offsets, code.times(panel, family.lanes)) for panel in gates] for gates in panels
    ]
    if family.float32:
        return starts
    whole = vector_of(family.lanes, "i32")
    return list(
        accumulate(
            starts,
            lambda total, tap: [code.value(f"arith.addi {a}, {b} : {whole}") for a, b in zip(total, tap, strict=True)],
        )
    )


def _advance(vectors: Float32Vectors, state: Value, inputs: Sequence[Value], present: Value) -> tuple[Value, Value]:
    """Add a step of the recurrence: `c = f c + (1 - f) tanh(z)`, output `sigmoid(o) c`.

    The functions are rearranged so that there are two divisions instead of four.
    """
    candidate, forget, output = inputs
    one = vectors.number(1.0)
    # tanh z = (1 - a) / (1 + a) with a = e^(-2 z), f = 1 / (1 + b) with b = e^-f: one division by (1 + a) (1 + b).
    a = vectors.exponential(vectors.multiply(candidate, vectors.number(-2.0)))
    b = vectors.exponential(vectors.multiply(forget, vectors.number(-1.0)))
    more = vectors.add(one, a)
    inverse = vectors.divide(one, vectors.multiply(more, vectors.add(one, b)))
    kept = vectors.multiply(more, inverse)
    update = vectors.multiply(vectors.multiply(vectors.multiply(b, vectors.subtract(one, a)), inverse), present)
    state = vectors.fuse(kept, state, update)
    c = vectors.exponential(vectors.multiply(output, vectors.number(-1.0)))
    return state, vectors.multiply(vectors.divide(state, vectors.add(one, c)), present)


def _select(code: Code, condition: Value, yes: Value, no: Value) -> Value:
    return code.value(f"arith.select {condition}, {yes}, {no} : index")


def _store(
    code: Code, buffer: Buffer, value: Value, row: Value, column: Value, block: tuple[Value, int, int], lanes: int
) -> None:
    """Add a store of a block of columns; the last block may have fewer columns than lanes."""
    number, blocks, last = block
    if last == lanes:
        store_vector(code, value, buffer, (row, column), lanes, lanes)
        return
    if blocks == 1:
        store_vector(code, value, buffer, (row, column), lanes, last)
        return
    whole = code.value(f"arith.cmpi ult, {number}, {code.index(blocks - 1)} : index")
    with code.when(whole) as otherwise:
        store_vector(code, value, buffer, (row, column), lanes, lanes)
        otherwise()
        store_vector(code, value, buffer, (row, column), lanes, last)
