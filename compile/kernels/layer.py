"""The layer kernel: a whole bidirectional QRNN layer, product, gates and recurrence, without anything in between in memory.

A group has one block of channels of one direction of one text. The words are gone through in the order of the recurrence, a tile of them at a time: the sums of the
three gates in registers, over all taps; then the gates, the state, and the outputs as int8 for the next product and as float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compile.kernels.dots import Operands, multiply_tile
from compile.kernels.families import Family
from compile.kernels.functions import Real
from compile.kernels.kernel import Buffer, Kernel
from compile.kernels.product import load_spread, load_vector, store_vector
from compile.kernels.text import Code, Value
from compile.kernels.tiling import choose_rows, runs

GATES = 3


@dataclass(frozen=True, slots=True)
class _Order:
    """Where the word is that comes at a place of the recurrence: from the first on, or from the last."""

    start: Value
    stride: Value

    def position(self, code: Code, place: Value) -> Value:
        return code.add(self.start, code.value(f"arith.muli {self.stride}, {place} : index"))


def layer_kernel(name: str, family: Family, texts: int, words: int, depth: int, state: int, taps: int) -> Kernel:
    """Return the kernel of a layer.

    It reads the input int8[texts * words, depth]; weights, offsets, scale and bias as `compile.kernels.modules.KernelLayer` lays them out, by direction, block of
    channels, tap and gate (scale and bias have no taps); and the mask float32[texts * words]. It writes int8[texts * words, 2 * state] of step 1/127 and float32 of the
    same shape.
    """
    lanes = family.lanes
    blocks = -(-state // lanes)
    rows = texts * words
    left = Buffer("%left", (rows, depth), "i8")
    operands = Operands(family, left, "%weights", depth, 2 * blocks * taps * GATES)
    offsets = Buffer("%offsets", (operands.blocks * lanes,), "i32")
    scale, bias = (Buffer(each, (2 * blocks * GATES * lanes,), "f32") for each in ("%scale", "%bias"))
    mask = Buffer("%mask", (rows,), "f32")
    short, real = Buffer("%short", (rows, 2 * state), "i8"), Buffer("%real", (rows, 2 * state), "f32")
    code = Code()
    vectors = Real(code, lanes)
    # Forwards in the first half of the groups, backwards in the second.
    text = code.value(f"arith.divui %group, {code.index(2 * blocks)} : index")
    group = code.value(f"arith.remui %group, {code.index(2 * blocks)} : index")
    backwards = code.value(f"arith.cmpi uge, {group}, {code.index(blocks)} : index")
    order = _Order(code.add(code.times(text, words), _select(code, backwards, words - 1, 0)), _select(code, backwards, -1, 1))
    block = code.value(f"arith.subi {group}, {_select(code, backwards, blocks, 0)} : index")
    column = code.add(_select(code, backwards, state, 0), code.times(block, lanes))
    first = code.times(group, taps * GATES)
    panels = [[code.add(first, code.index(tap * GATES + gate)) for gate in range(GATES)] for tap in range(taps)]
    starts = [[load_vector(code, offsets, (code.times(panel, lanes),), lanes) for panel in gates] for gates in panels]
    gate = [code.times(code.add(code.times(group, GATES), code.index(number)), lanes) for number in range(GATES)]
    factors, shifts = ([load_vector(code, each, (place,), lanes) for place in gate] for each in (scale, bias))
    last = state - (blocks - 1) * lanes

    def sums(places: Sequence[Value], begin: int | None) -> dict[tuple[int, int], Value]:
        """Add the sums of gates at places; `begin` is the first of these where it is known, since the first words have no word before them."""
        total: dict[tuple[int, int], Value] = {}
        for tap in range(taps):
            rows = [row for row in range(len(places)) if begin is None or begin + row >= tap]
            before = [order.position(code, code.value(f"arith.subi {places[row]}, {code.index(tap)} : index")) for row in rows]
            # The other taps' offsets come on top of the sums so far.
            given = {
                (number, each): starts[tap][each] if tap == 0 else code.value(f"arith.addi {total[row, each]}, {starts[tap][each]} : {vectors.whole}")
                for number, row in enumerate(rows)
                for each in range(GATES)
            }
            found = multiply_tile(code, operands, before, panels[tap], given)
            total |= {(rows[number], each): value for (number, each), value in found.items()}
        return total

    def tile(place: Value, carried: Value, height: int, begin: int | None) -> Value:
        places = [code.add(place, code.index(row)) for row in range(height)]
        total = sums(places, begin)
        for row, each in enumerate(places):
            position = order.position(code, each)
            present = load_spread(code, mask, (position,), lanes)
            inputs = [vectors.add(vectors.multiply(vectors.from_integers(total[row, n]), factors[n]), shifts[n]) for n in range(GATES)]
            carried, output = _advance(vectors, carried, inputs, present)
            rounded = vectors.to_bytes(vectors.add(vectors.multiply(output, vectors.number(127.0)), vectors.number(128.5)))
            _store(code, short, rounded, position, column, (block, blocks, last), lanes)
            _store(code, real, output, position, column, (block, blocks, last), lanes)
        return carried

    carried = vectors.number(0.0)
    for height, start, stop in runs(choose_rows(family, words, GATES)):
        while start < min(taps - 1, stop):
            carried = tile(code.index(start), carried, height, start)
            start += height
        carried = code.repeat(
            start,
            stop,
            height,
            [(carried, vectors.kind)],
            lambda place, values, height=height: [tile(place, values[0], height, None)],  # type: ignore[misc]
        )[0]
    return Kernel(name, (left, operands.packed, offsets, scale, bias, mask), (short, real), texts * 2 * blocks, str(code))


def _advance(vectors: Real, state: Value, inputs: Sequence[Value], present: Value) -> tuple[Value, Value]:
    """Add a step of the recurrence: `c = f c + (1 - f) tanh(z)`, output `sigmoid(o) c`; two divisions instead of four."""
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


def _select(code: Code, condition: Value, yes: int, no: int) -> Value:
    return code.value(f"arith.select {condition}, {code.index(yes)}, {code.index(no)} : index")


def _store(code: Code, buffer: Buffer, value: Value, row: Value, column: Value, block: tuple[Value, int, int], lanes: int) -> None:
    """Add a store of a block, of whose last only some columns are there."""
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
