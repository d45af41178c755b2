"""The kernels of a sum of two states and their norm: what follows each part of a transformer layer."""

from __future__ import annotations

from compile.kernels.arithmetic import Float32Vectors
from compile.kernels.families import InstructionFamily
from compile.kernels.kernel import Buffer, Kernel
from compile.kernels.memory import load_count, load_spread, load_vector, store_vector
from compile.kernels.mlir_builder import Code, Value

_ROWS = 32  # of a group


def norm_kernel(name: str, family: InstructionFamily, texts: int, words: int, width: int, *, rounds: bool) -> Kernel:
    """Return the kernel of a layer norm (Ba et al. 2016, arXiv:1607.06450) of the sum of two states.

    It reads both, float32[texts * words, width] with a width of whole vectors, gain and bias, float32[width], what is
    added to the variance, float32[1], if it rounds the middle of the range of every channel and the steps that one is
    divided into there, float32[width], and how many words each text has, int32[texts]. It writes the normed states as
    float32[texts * words, width], zero behind a text's words. If it rounds, it writes them as int8 of
    `pqrnn.model.int8.ActivationRange.MEASURED`, too; rows behind the words are left as they are there.
    """
    lanes, rows = family.lanes, texts * words
    one, other = (Buffer(each, (rows, width), "f32") for each in ("%one", "%other"))
    gain, bias, centre, rate = (Buffer(each, (width,), "f32") for each in ("%gain", "%bias", "%centre", "%rate"))
    least, counts = Buffer("%least", (1,), "f32"), Buffer("%counts", (texts,), "i32")
    normed, rounded = Buffer("%normed", (rows, width), "f32"), Buffer("%rounded", (rows, width), "i8")
    code = Code()
    vectors = Float32Vectors(code, family)
    nothing = vectors.number(0.0)
    zero = [(nothing, vectors.kind)]

    def mean(total: Value) -> Value:
        return vectors.multiply(vectors.join_lanes(total, vectors.add), vectors.number(1.0 / width))

    def write_row(row: Value) -> None:
        def add(column: Value, totals: list[Value]) -> list[Value]:
            value = vectors.add(*(load_vector(code, buffer, (row, column), lanes) for buffer in (one, other)))
            store_vector(code, value, normed, (row, column), lanes, lanes)
            return [vectors.add(totals[0], value)]

        middle = mean(code.repeat(0, width, lanes, zero, add)[0])

        def square(column: Value, totals: list[Value]) -> list[Value]:
            value = vectors.subtract(load_vector(code, normed, (row, column), lanes), middle)
            return [vectors.fuse(value, value, totals[0])]

        variance = mean(code.repeat(0, width, lanes, zero, square)[0])
        spread = vectors.square_root(vectors.add(variance, load_spread(code, least, (code.index(0),), lanes)))
        factor = vectors.divide(vectors.number(1.0), spread)

        def norm(column: Value, _: list[Value]) -> tuple[()]:
            value = vectors.subtract(load_vector(code, normed, (row, column), lanes), middle)
            factors = (load_vector(code, buffer, (column,), lanes) for buffer in (gain, bias))
            value = vectors.fuse(vectors.multiply(value, factor), *factors)
            store_vector(code, value, normed, (row, column), lanes, lanes)
            if rounds:
                ranges = (load_vector(code, buffer, (column,), lanes) for buffer in (centre, rate))
                store_vector(code, vectors.to_steps(value, *ranges), rounded, (row, column), lanes, lanes)
            return ()

        code.repeat(0, width, lanes, (), norm)

    def clear_row(row: Value) -> None:
        def clear(column: Value, _: list[Value]) -> tuple[()]:
            store_vector(code, nothing, normed, (row, column), lanes, lanes)
            return ()

        code.repeat(0, width, lanes, (), clear)

    parts = -(-words // _ROWS)
    text = code.value(f"arith.divui %group, {code.index(parts)} : index")
    first = code.times(code.value(f"arith.remui %group, {code.index(parts)} : index"), _ROWS)
    count = load_count(code, counts, text, words)
    last = code.value(f"arith.minui {code.add(first, code.index(_ROWS))}, {code.index(words)} : index")

    def each(word: Value, _: list[Value]) -> tuple[()]:
        row = code.add(code.times(text, words), word)
        with code.when(code.value(f"arith.cmpi ult, {word}, {count} : index")) as otherwise:
            write_row(row)
            otherwise()
            clear_row(row)
        return ()

    code.loop(first, last, code.index(1), (), each)
    reads = (one, other, gain, bias, least, *((centre, rate) if rounds else ()), counts)
    return Kernel(name, reads, (normed, rounded) if rounds else (normed,), texts * parts, str(code))
