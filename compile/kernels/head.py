"""The head kernel: all that follows the last QRNN layer, for one text in each group.

Attention pooling, peaks, the intent, the tags and their rounds of refinement (`pqrnn.model.parser.ParserModel`) are a
dozen small products with a few hundred numbers between them, for which launches of code would take longer than the
code. Only the words of a text are computed; the product of the neighbours has no bias, so that a row without a word
adds nothing to the word before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from compile.kernels.arithmetic import Float32Vectors
from compile.kernels.families import InstructionFamily
from compile.kernels.head_sizes import DEPTH_STEP, PRODUCTS, HeadSizes, round_up
from compile.kernels.kernel import Buffer, Kernel
from compile.kernels.memory import load_count, load_spread, load_vector, store_vector
from compile.kernels.mlir_builder import Code, Value
from compile.kernels.product import Ending, Product, add_product, scale_sums
from compile.kernels.tile import Operands

_LOWEST = -3.0e38


def head_kernel(
    name: str, family: InstructionFamily, sizes: HeadSizes, bits: Mapping[str, int] = MappingProxyType({})
) -> Kernel:
    """Return the kernel of a head.

    It reads the last layer's outputs as int8 and float32[texts * words, width], the mask float32[texts * words], and
    the number of words of each text int32[texts]; the packed weights of the products `PRODUCTS`; and their offsets,
    scales and biases, one after the other, each filled up to whole blocks. It writes the logits of the intent
    float32[texts, intents] and those of the tags float32[texts * words, tags]. For a family of float32 there are no
    int8 inputs, and of offsets, scales and biases only the last.

    Args:
        name: Name of the function that runs the kernel.
        family: Instruction family of the products.
        sizes: Shape of the head.
        bits: Number of bits of the weights of each product, where they are not 8.
    """
    return _Head(family, sizes, bits).write(name)


class _Head:
    """The kernel while it is being written: its buffers, and one method for each step."""

    def __init__(self, family: InstructionFamily, sizes: HeadSizes, bits: Mapping[str, int]) -> None:
        self.family, self.sizes, self.lanes, self.bits = family, sizes, family.lanes, bits
        self.code = Code()
        self.vectors = Float32Vectors(self.code, family)
        texts, rows, wide = sizes.texts, sizes.texts * sizes.words, round_up(sizes.tags, family.lanes)
        self.products = sizes.products(family.lanes, family.float32)
        self.parts = sizes.spans(family.lanes, family.float32)
        total = self.parts[PRODUCTS[-1]].stop
        self.states = Buffer("%states", (rows, sizes.width), "f32")
        self.states_i8 = self.states if family.float32 else Buffer("%states_i8", (rows, sizes.width), "i8")
        self.counts = Buffer("%counts", (texts,), "i32")
        self.mask, self.offsets = Buffer("%mask", (rows,), "f32"), Buffer("%offsets", (total,), "i32")
        self.scale, self.bias = Buffer("%scale", (total,), "f32"), Buffer("%bias", (total,), "f32")
        self.intent, self.tags = (
            Buffer("%intent", (texts, sizes.intents), "f32"),
            Buffer("%tags", (rows, sizes.tags), "f32"),
        )
        self.pooled = Buffer("%pooled", (texts, sizes.seen), family.element)
        self.common = Buffer("%common", (texts, wide), "f32")
        self.unary = Buffer("%unary", (rows, wide), "f32")
        self.shares = Buffer("%shares", (rows, round_up(sizes.tags, DEPTH_STEP)), family.element)
        # What neighbours give: to the word behind, and to the word before. Between two products the second half holds
        # the logits, the first their powers; before the first product it holds the scores of the pooling.
        self.sides, self.wide = Buffer("%sides", (rows, 2 * wide), "f32"), wide
        self.text = "%group"
        self.row = self.code.times(self.text, sizes.words)
        self.count = load_count(self.code, self.counts, self.text, sizes.words)

    def write(self, name: str) -> Kernel:
        self._pool()
        self._multiply("intent", self.pooled, 1, self._store_scaled(self.intent), self.text)
        self._multiply("pooled", self.pooled, 1, self._store_scaled(self.common), self.text)
        self._multiply("tags", self.states_i8, self.sizes.words, self._store_unary, self.row)
        self._copy(self.unary, 0, self.sides, self.wide)
        self.code.repeat(0, self.sizes.rounds, 1, (), lambda _, __: self._refine())
        self._copy(self.sides, self.wide, self.tags, 0)
        weights = tuple(self._operands(product, self.states_i8).packed for product in PRODUCTS)
        scratch = (self.pooled, self.common, self.unary, self.shares, self.sides)
        if self.family.float32:
            reads = (self.states, self.mask, self.counts, *weights, self.bias)
        else:
            reads = (self.states_i8, self.states, self.mask, self.counts, *weights, self.offsets, self.scale, self.bias)
        return Kernel(name, reads, (self.intent, self.tags), self.sizes.texts, str(self.code), scratch)

    def _operands(self, name: str, left: Buffer) -> Operands:
        depth, columns = self.products[name]
        form = self.family.in_bits(self.bits.get(name, 8))
        return Operands(form, left, f"%{name}_weights", depth, -(-columns // self.lanes))

    def _multiply(
        self, name: str, left: Buffer, rows: int, end: Callable[[Callable[[Value, Value], Value]], Ending], row: Value
    ) -> None:
        """Add a product; `end` is given a function that turns sums into float32."""
        first = self.parts[name].start
        count = self.count if rows > 1 else None
        product = Product(
            self._operands(name, left), self.offsets, self.products[name][1], rows, first, count, name != "intent"
        )

        def prepare(code: Code, columns: Sequence[Value]) -> Ending:
            return end(scale_sums(code, self.family, self.scale, self.bias, first, columns))

        add_product(self.code, product, prepare, row)

    def _store_scaled(self, buffer: Buffer) -> Callable[[Callable[[Value, Value], Value]], Ending]:
        whole = buffer.shape[1] % self.lanes == 0

        def end(to_f32: Callable[[Value, Value], Value]) -> Ending:
            return lambda code, row, column, count, sums: store_vector(
                code, to_f32(column, sums), buffer, (row, column), self.lanes, self.lanes if whole else count
            )

        return end

    def _store_unary(self, to_f32: Callable[[Value, Value], Value]) -> Ending:
        def end(code: Code, row: Value, column: Value, count: int, sums: Value) -> None:
            common = load_vector(code, self.common, (self.text, column), self.lanes)
            store_vector(
                code, self.vectors.add(to_f32(column, sums), common), self.unary, (row, column), self.lanes, self.lanes
            )

        return end

    def _pool(self) -> None:
        """Add attention pooling and peaks, rounded to int8 for a family of integers."""
        self._multiply("pool", self.states_i8, self.sizes.words, self._store_scores, self.row)
        self._blocks(self.lanes, lambda column, _: self._normalise_scores(column))
        self._blocks(self.sizes.width, lambda column, _: self._pool_block(column))

    def _store_scores(self, to_f32: Callable[[Value, Value], Value]) -> Ending:
        def end(code: Code, row: Value, column: Value, count: int, sums: Value) -> None:
            absent = self.vectors.subtract(load_spread(code, self.mask, (row,), self.lanes), self.vectors.number(1.0))
            score = self.vectors.add(to_f32(column, sums), self.vectors.multiply(absent, self.vectors.number(1e6)))
            store_vector(code, score, self.sides, (row, column), self.lanes, self.lanes)

        return end

    def _normalise_scores(self, column: Value) -> None:
        """Add the softmax over words, in the first lane."""

        def load(row: Value) -> Value:
            return load_vector(self.code, self.sides, (row, column), self.lanes)

        largest = self._words(
            [self.vectors.number(_LOWEST)], lambda row, values: [self.vectors.larger(values[0], load(row))]
        )[0]

        def exponentiate(row: Value, values: list[Value]) -> list[Value]:
            power = self.vectors.exponential(self.vectors.subtract(load(row), largest))
            store_vector(self.code, power, self.sides, (row, column), self.lanes, self.lanes)
            return [self.vectors.add(values[0], power)]

        total = self._words([self.vectors.number(0.0)], exponentiate)[0]

        def divide(row: Value, _: list[Value]) -> list[Value]:
            store_vector(
                self.code, self.vectors.divide(load(row), total), self.sides, (row, column), self.lanes, self.lanes
            )
            return []

        self._words([], divide)

    def _pool_block(self, column: Value) -> None:
        first = self.code.index(0)  # the scores are in the first lane of their block

        def add(row: Value, values: list[Value]) -> list[Value]:
            state = load_vector(self.code, self.states, (row, column), self.lanes)
            present = load_spread(self.code, self.mask, (row,), self.lanes)
            shifted = self.vectors.fuse(
                self.vectors.subtract(present, self.vectors.number(1.0)), self.vectors.number(2.0), state
            )
            share = load_spread(self.code, self.sides, (row, first), self.lanes)
            return [self.vectors.fuse(share, state, values[0]), self.vectors.larger(values[1], shifted)]

        mean, peak = self._words([self.vectors.number(0.0), self.vectors.number(_LOWEST)], add)
        self._store_signed(mean, column)
        if self.sizes.peaks:
            present = load_spread(self.code, self.mask, (self.row,), self.lanes)
            self._store_signed(
                self.vectors.multiply(peak, present), self.code.add(column, self.code.index(self.sizes.width))
            )

    def _store_signed(self, value: Value, column: Value) -> None:
        if not self.family.float32:
            value = self.vectors.to_bytes(
                self.vectors.add(self.vectors.multiply(value, self.vectors.number(127.0)), self.vectors.number(128.5))
            )
        store_vector(self.code, value, self.pooled, (self.text, column), self.lanes, self.lanes)

    def _copy(self, source: Buffer, start: int, destination: Buffer, shift: int) -> None:
        """Add a copy of the tags' logits of every word, from one column on to another on."""

        def word(row: Value, _: list[Value]) -> list[Value]:
            def block(column: Value, count: int) -> None:
                from_column, to_column = (self.code.add(column, self.code.index(by)) for by in (start, shift))
                value = load_vector(self.code, source, (row, from_column), self.lanes)
                stored = count if destination is self.tags else self.lanes
                store_vector(self.code, value, destination, (row, to_column), self.lanes, stored)

            self._blocks(self.sizes.tags, block)
            return []

        self._words([], word)

    def _refine(self) -> tuple[()]:
        """Add a round of refinement."""
        self._share()
        self._multiply("neighbours", self.shares, self.sizes.words, self._store_scaled(self.sides), self.row)
        self._combine()
        return ()

    def _share(self) -> None:
        """Add the softmax over the tags of every word, rounded to int8 for a family of integers."""

        def word(row: Value, _: list[Value]) -> list[Value]:
            largest = self.vectors.join_lanes(self._fold_logits(row, _LOWEST, self.vectors.larger), self.vectors.larger)

            def exponentiate(column: Value, values: list[Value], present: Value | None) -> list[Value]:
                power = self.vectors.exponential(self.vectors.subtract(self._load_logits(row, column), largest))
                if present is not None:
                    power = self.vectors.multiply(power, present)
                store_vector(self.code, power, self.sides, (row, column), self.lanes, self.lanes)
                return [self.vectors.add(values[0], power)]

            total = self.vectors.join_lanes(
                self._tag_blocks([self.vectors.number(0.0)], exponentiate)[0], self.vectors.add
            )
            present = load_spread(self.code, self.mask, (row,), self.lanes)

            def store(column: Value, _: list[Value], __: Value | None) -> list[Value]:
                share = self.vectors.divide(load_vector(self.code, self.sides, (row, column), self.lanes), total)
                share = self.vectors.multiply(share, present)
                if not self.family.float32:
                    share = self.vectors.to_bytes(
                        self.vectors.add(
                            self.vectors.multiply(share, self.vectors.number(255.0)), self.vectors.number(0.5)
                        )
                    )
                store_vector(self.code, share, self.shares, (row, column), self.lanes, self.lanes)
                return []

            self._tag_blocks([], store)
            return []

        self._words([], word)

    def _load_logits(self, row: Value, column: Value) -> Value:
        shifted = self.code.add(column, self.code.index(self.wide))
        return load_vector(self.code, self.sides, (row, shifted), self.lanes)

    def _fold_logits(self, row: Value, start: float, join: Callable[[Value, Value], Value]) -> Value:
        """Reduce the tags of a word, lane by lane."""

        def add(column: Value, values: list[Value], present: Value | None) -> list[Value]:
            value = self._load_logits(row, column)
            if present is not None:  # lanes past the last tag hold no logits
                value = self.vectors.fuse(
                    self.vectors.subtract(present, self.vectors.number(1.0)), self.vectors.number(1e9), value
                )
            return [join(values[0], value)]

        return self._tag_blocks([self.vectors.number(start)], add)[0]

    def _combine(self) -> None:
        """Add the sum of the unary logits and those that the neighbours give.

        A word's logits go where only the word before it has read, and that one is done.
        """
        code, zero, one = self.code, self.code.index(0), self.code.index(1)
        none = self.vectors.number(0.0)
        last = code.value(f"arith.subi {self.count}, {one} : index")

        def word(number: Value, _: list[Value]) -> tuple[()]:
            row = code.add(self.row, number)
            # A word without a neighbour reads its own row, and drops it.
            sides = []
            for end, step, shift in ((zero, "subi", 0), (last, "addi", self.wide)):
                exists = code.value(f"arith.cmpi ne, {number}, {end} : index")
                moved = code.value(f"arith.{step} {row}, {one} : index")
                sides.append((exists, code.value(f"arith.select {exists}, {moved}, {row} : index"), shift))

            def block(column: Value, _: int) -> None:
                value = load_vector(code, self.unary, (row, column), self.lanes)
                for exists, neighbour, shift in sides:
                    side = load_vector(code, self.sides, (neighbour, code.add(column, code.index(shift))), self.lanes)
                    value = self.vectors.add(
                        value, code.value(f"arith.select {exists}, {side}, {none} : {self.vectors.kind}")
                    )
                shifted = code.add(column, code.index(self.wide))
                store_vector(code, value, self.sides, (row, shifted), self.lanes, self.lanes)

            self._blocks(self.sizes.tags, block)
            return ()

        code.loop(zero, self.count, one, (), word)

    def _words(self, start: list[Value], body: Callable[[Value, list[Value]], list[Value]]) -> list[Value]:
        """Add a loop over the words of the text; `body` is given the row and the carried values."""
        carried = [(value, self.vectors.kind) for value in start]
        zero, one = self.code.index(0), self.code.index(1)
        return self.code.loop(
            zero, self.count, one, carried, lambda word, values: body(self.code.add(self.row, word), values)
        )

    def _blocks(self, columns: int, body: Callable[[Value, int], None]) -> None:
        """Add a loop over blocks; `body` is given the first column of a block and its number of columns."""

        def block(column: Value, _: list[Value]) -> tuple[()]:
            body(column, self.lanes)
            return ()

        whole = columns // self.lanes * self.lanes
        self.code.repeat(0, whole, self.lanes, (), block)
        if whole < columns:
            body(self.code.index(whole), columns - whole)

    def _tag_blocks(
        self, start: list[Value], body: Callable[[Value, list[Value], Value | None], list[Value]]
    ) -> list[Value]:
        """Add a loop over blocks of tags.

        For the last block, if it is not full, `body` is also given a vector that is one in the lanes of tags and zero
        in the others.
        """
        tags = self.sizes.tags
        whole = tags // self.lanes * self.lanes
        carried = [(value, self.vectors.kind) for value in start]
        values = self.code.repeat(0, whole, self.lanes, carried, lambda column, values: body(column, values, None))
        if whole < tags:
            present = ", ".join("1.0" if whole + lane < tags else "0.0" for lane in range(self.lanes))
            values = body(
                self.code.index(whole), values, self.code.constant(f"dense<[{present}]> : {self.vectors.kind}")
            )
        return values
