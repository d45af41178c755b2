"""The shader of a product: activations times packed weights.

A thread computes `COLUMNS` columns of several rows, so that each weight is taken apart once for all of these rows.
Where there are few columns, each thread computes one number, which keeps more of them busy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from compile.kernels.kernel import Buffer
from compile.kernels.mlir_builder import Code, Value, vector_of
from compile.kernels.shaders.packing import COLUMNS, WORD, weights_in_word
from compile.kernels.shaders.shader import Shader, last_at_most, load, store
from pqrnn.model.int8 import EXACT_DEPTH

_ROWS = 8  # of a tile: with them a thread has 32 sums in registers
_FEW_ROWS = 4  # where the last columns are stored one by one, which is much code for each row
_FEW_COLUMNS = 16
_FOUR = vector_of(COLUMNS, "f32")


@dataclass(frozen=True, slots=True)
class ProductSizes:
    """The sizes of a product.

    Attributes:
        rows: Number of rows, M.
        depth: Number of whole numbers in a row, K.
        columns: Number of columns, N.
        bits: Number of bits of a weight.
    """

    rows: int
    depth: int
    columns: int
    bits: int


def product_shader(name: str, sizes: ProductSizes, *, scaled: bool) -> Shader:
    """Return the shader of a product.

    Args:
        name: Name of the function.
        sizes: Sizes of the product.
        scaled: Whether sums are multiplied by scales, and biases added.

    Returns:
        A shader of activations float32[M, K], packed weights, offsets int32 and, if `scaled`, scales and biases
        float32[2, ...] of as many columns as the packed weights, to int32[M, N], or float32[M, N] if `scaled`.
    """
    lanes = 1 if sizes.columns < _FEW_COLUMNS else COLUMNS
    product = _Product(sizes, lanes, scaled)
    threads = product.write()
    return Shader(name, product.reads, (product.out,), threads, str(product.code))


class _Product:
    """The code of one product.

    Attributes:
        code: The code.
        reads: Arguments of the shader.
        out: Result of the shader.
    """

    def __init__(self, sizes: ProductSizes, lanes: int, scaled: bool) -> None:
        """`lanes`: number of columns that a thread computes, and that a vector holds."""
        self.code, self._sizes, self._lanes = Code(), sizes, lanes
        self._count = weights_in_word(sizes.bits)
        self._width = -(-sizes.columns // COLUMNS) * COLUMNS
        self._left = Buffer("%left", (sizes.rows, sizes.depth), "f32")
        if sizes.depth % self._count == 0:  # rows are read in vectors, too
            self._left = replace(self._left, seen=(_FOUR, (sizes.rows, sizes.depth // COLUMNS)))
        self._weights = self._as_vectors(Buffer("%weights", (-(-sizes.depth // self._count), self._width), "i32"))
        self._offsets = self._as_vectors(Buffer("%offsets", (self._width,), "i32"))
        self._affine = self._as_vectors(Buffer("%affine", (2, self._width), "f32")) if scaled else None
        out = Buffer("%out", (sizes.rows, sizes.columns), "f32" if scaled else "i32")
        self.out = self._as_vectors(out) if sizes.columns % lanes == 0 else out
        self.reads = (self._left, self._weights, self._offsets, *([self._affine] if self._affine else []))
        self._real, self._whole = (self._kind(element) for element in ("f32", "i32"))

    def write(self) -> int:
        """Add the code, and return the number of threads."""
        code, rows = self.code, self._sizes.rows
        groups = -(-self._sizes.columns // self._lanes)
        height = 1 if self._lanes == 1 else min(_ROWS if self.out.seen else _FEW_ROWS, rows)
        tiles = -(-rows // height)
        thread = last_at_most(code, "%thread", tiles * groups)
        tile = code.value(f"arith.divui {thread}, {code.index(groups)} : index")
        group = code.value(f"arith.remui {thread}, {code.index(groups)} : index")
        # Where rows are no multiple of the height, the last tile does some rows again that the one before it did.
        first = code.value(f"arith.minui {code.times(tile, height)}, {code.index(rows - height)} : index")
        numbers = [code.add(first, code.index(number)) for number in range(height)]
        for row, total in zip(numbers, self._sum(numbers, group), strict=True):
            self._store(row, group, self._finish(total, group))
        return tiles * groups

    def _sum(self, rows: list[Value], group: Value) -> list[Value]:
        """Add the sums of rows in a group of columns, and return them with their offsets as integers."""
        code, depth = self.code, self._sizes.depth
        sums = [load(code, self._offsets, group)] * len(rows)
        words, rest = divmod(depth, self._count)
        # Float32 holds the sums of so many words exactly: parts of one length are added as integers.
        most = EXACT_DEPTH // self._count
        length = next(length for length in range(min(most, max(words, 1)), 0, -1) if words % length == 0)

        def add_part(start: Value, sums: list[Value]) -> list[Value]:
            stop = code.add(start, code.index(length))
            zeros = [(self._constant("0.0", "f32"), self._real)] * len(rows)
            totals = code.loop(
                start,
                stop,
                code.index(1),
                zeros,
                lambda word, totals: self._add(rows, group, word, self._count, totals),
            )
            return self._add_integers(sums, totals)

        sums = code.repeat(0, words, length, [(one, self._whole) for one in sums], add_part)
        if rest:
            zero = self._constant("0.0", "f32")
            sums = self._add_integers(sums, self._add(rows, group, code.index(words), rest, [zero] * len(rows)))
        return sums

    def _add_integers(self, sums: list[Value], totals: list[Value]) -> list[Value]:
        """Add sums in float32, which are whole numbers, to sums of integers."""
        code = self.code
        whole = [code.value(f"arith.fptosi {total} : {self._real} to {self._whole}") for total in totals]
        return [code.value(f"arith.addi {one}, {more} : {self._whole}") for one, more in zip(sums, whole, strict=True)]

    def _add(self, rows: list[Value], group: Value, word: Value, count: int, totals: list[Value]) -> list[Value]:
        """Add the products with the first `count` weights of a word in each column."""
        code = self.code
        packed = load(code, self._weights, word, group)
        left = [self._read_row(row, word, count) for row in rows]
        for place in range(count):
            weight, added = self._take(packed, place), []
            for values, total in zip(left, totals, strict=True):
                value = values[place]
                if self._lanes > 1:
                    value = code.value(f"vector.broadcast {value} : f32 to {self._real}")
                product = code.value(f"arith.mulf {value}, {weight} : {self._real}")
                added.append(code.value(f"arith.addf {total}, {product} : {self._real}"))
            totals = added
        return totals

    def _read_row(self, row: Value, word: Value, count: int) -> list[Value]:
        """Return the numbers of a row that are multiplied with the first `count` weights of a word."""
        code = self.code
        if self._left.seen is None:
            first = code.times(word, self._count)
            return [load(code, self._left, row, code.add(first, code.index(number))) for number in range(count)]
        first = code.times(word, self._count // COLUMNS)
        vectors = [
            load(code, self._left, row, code.add(first, code.index(number))) for number in range(count // COLUMNS)
        ]
        return [
            code.value(f"vector.extract {vector}[{number}] : f32 from {_FOUR}")
            for vector in vectors
            for number in range(COLUMNS)
        ]

    def _take(self, packed: Value, place: int) -> Value:
        """Return a weight of words as float32: its bits move to the top, and down again with their sign."""
        up, down = WORD - self._sizes.bits * (place + 1), WORD - self._sizes.bits
        if up:
            packed = self.code.value(f"arith.shli {packed}, {self._constant(str(up), 'i32')} : {self._whole}")
        whole = self.code.value(f"arith.shrsi {packed}, {self._constant(str(down), 'i32')} : {self._whole}")
        return self.code.value(f"arith.sitofp {whole} : {self._whole} to {self._real}")

    def _finish(self, total: Value, group: Value) -> Value:
        """Return sums as the shader returns them."""
        code = self.code
        if self._affine is None:
            return total
        scale, bias = (load(code, self._affine, code.index(number), group) for number in (0, 1))
        real = code.value(f"arith.sitofp {total} : {self._whole} to {self._real}")
        scaled = code.value(f"arith.mulf {real}, {scale} : {self._real}")
        return code.value(f"arith.addf {scaled}, {bias} : {self._real}")

    def _store(self, row: Value, group: Value, value: Value) -> None:
        code, columns = self.code, self._sizes.columns
        if columns % self._lanes == 0:
            store(code, value, self.out, row, group)
            return
        first = code.times(group, self._lanes)
        for number in range(self._lanes):
            column = code.add(first, code.index(number))
            one = code.value(
                f"vector.extract {value}[{number}] : {self.out.element} from {self._kind(self.out.element)}"
            )
            with code.when(code.value(f"arith.cmpi ult, {column}, {code.index(columns)} : index")):
                store(code, one, self.out, row, column)

    def _as_vectors(self, buffer: Buffer) -> Buffer:
        """Return a buffer as the code sees it: vectors of columns."""
        if self._lanes == 1:
            return buffer
        *outer, columns = buffer.shape
        return replace(buffer, seen=(self._kind(buffer.element), (*outer, columns // self._lanes)))

    def _constant(self, literal: str, element: str) -> Value:
        kind = self._kind(element)
        return self.code.constant(f"{literal} : {kind}" if self._lanes == 1 else f"dense<{literal}> : {kind}")

    def _kind(self, element: str) -> str:
        return element if self._lanes == 1 else vector_of(self._lanes, element)
