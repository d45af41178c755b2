"""The shader of a product of two matrices of float32, for sums of the features of n-grams."""

from __future__ import annotations

from compile.kernels.kernel import Buffer
from compile.kernels.mlir_builder import Code, Value, vector_of
from compile.kernels.shaders.packing import COLUMNS
from compile.kernels.shaders.shader import Shader, last_at_most, load, store

_ROWS = 8  # of a tile
_FOUR = vector_of(COLUMNS, "f32")


def matmul_shader(name: str, rows: int, depth: int, columns: int) -> Shader:
    """Return a shader of float32[rows, depth] and float32[depth, columns] to float32[rows, columns].

    `columns` is a multiple of `COLUMNS`. A thread computes as many columns of several rows, so that it reads the right
    side once for all of these rows.
    """
    groups, height = columns // COLUMNS, min(_ROWS, rows)
    left = Buffer("%left", (rows, depth), "f32")
    right = Buffer("%right", (depth, columns), "f32", (_FOUR, (depth, groups)))
    out = Buffer("%out", (rows, columns), "f32", (_FOUR, (rows, groups)))
    threads = -(-rows // height) * groups
    code = Code()
    thread = last_at_most(code, "%thread", threads)
    tile = code.value(f"arith.divui {thread}, {code.index(groups)} : index")
    group = code.value(f"arith.remui {thread}, {code.index(groups)} : index")
    # Where rows are no multiple of the height, the last tile does some rows again that the one before it did.
    first = code.value(f"arith.minui {code.times(tile, height)}, {code.index(rows - height)} : index")
    numbers = [code.add(first, code.index(number)) for number in range(height)]

    def step(place: Value, totals: list[Value]) -> list[Value]:
        factor, added = load(code, right, place, group), []
        for row, total in zip(numbers, totals, strict=True):
            value = code.value(f"vector.broadcast {load(code, left, row, place)} : f32 to {_FOUR}")
            product = code.value(f"arith.mulf {value}, {factor} : {_FOUR}")
            added.append(code.value(f"arith.addf {total}, {product} : {_FOUR}"))
        return added

    zero = code.constant(f"dense<0.0> : {_FOUR}")
    for row, total in zip(numbers, code.repeat(0, depth, 1, [(zero, _FOUR)] * height, step), strict=True):
        store(code, total, out, row, group)
    return Shader(name, (left, right), (out,), threads, str(code))
