"""The head kernel: all that follows the last QRNN layer, for one text a group.

Attention pooling, peaks, the intent, the tags and their rounds of refinement
(`pqrnn.model.parser.ParserOutputsrModel`): a dozen small products with a few hundred numbers between them, for which
launches of code would take longer than the code. Only words that are there are computed; the neighbours' product has no
bias, so that a word that is not there says nothing to the one before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from compile.kernels.families import InstructionFamily
from compile.kernels.functions import Real
from compile.kernels.kernel import Buffer, Kernel
from compile.kernels.microkernel import Operands
from compile.kernels.mlir_builder import Code, Value
from compile.kernels.product import (
    Ending,
    Product,
    add_product,
    load_count,
    load_spread,
    load_vector,
    scale_sums,
    store_vector,
)

NAMES = ("pool", "intent", "tags", "pooled", "neighbours")
DEPTH_STEP = 16  # tags that are inputs are filled up to a multiple of this
_LOWEST = -3.0e38


@dataclass(frozen=True, slots=True)
class Sizes:
    """Shape of a head.

    Attributes:
        texts: How many.
        words: Of each.
        width: Channels of the last layer.
        intents: Labels.
        tags: Labels.
        peaks: Whether the intent sees each channel's largest state.
        rounds: Of refinement.
    """

    texts: int
    words: int
    width: int
    intents: int
    tags: int
    peaks: bool
    rounds: int

    @property
    def seen(self) -> int:
        """Inputs of the intent."""
        return (1 + self.peaks) * self.width

    def products(self, lanes: int, real: bool = False) -> dict[str, tuple[int, int]]:
        """Return depth and columns by product;

        both sides of the neighbours lie behind each other, each filled up to whole blocks.
        """
        sides = 2 * _fill(self.tags, lanes)
        shares = self.tags if real else _fill(self.tags, DEPTH_STEP)
        found = (
            (self.width, 1),
            (self.seen, self.intents),
            (self.width, self.tags),
            (self.width, self.tags),
            (shares, sides),
        )
        return dict(zip(NAMES, found, strict=True))

    def fits(self, lanes: int) -> bool:
        """Say whether there is a kernel: blocks of channels must not be torn apart."""
        return self.width % lanes == 0 and self.rounds > 0 and self.words > 1


def head_kernel(name: str, family: InstructionFamily, sizes: Sizes) -> Kernel:
    """Return the kernel of a head.

    It reads the last layer's outputs as int8 and float32[texts * words, width], the mask float32[texts * words], and
    how many words each text has, int32[texts]; the packed weights of the products `NAMES`; and their offsets, scales
    and biases, one behind the other, each filled up to whole blocks. It writes the intent's logits float32[texts,
    intents] and the tags' float32[texts * words, tags]. Of a family of float32 there is no int8, and of the last three
    only the biases.
    """
    return _Head(family, sizes).write(name)


class _Head:
    """The kernel in the making."""

    def __init__(self, family: InstructionFamily, sizes: Sizes) -> None:
        self.family, self.sizes, self.lanes = family, sizes, family.lanes
        self.code = Code()
        self.real = Real(self.code, family.lanes)
        texts, rows, wide = sizes.texts, sizes.texts * sizes.words, _fill(sizes.tags, family.lanes)
        self.products = sizes.products(family.lanes, family.real)
        total = sum(_fill(columns, family.lanes) for _, columns in self.products.values())
        self.states = Buffer("%states", (rows, sizes.width), "f32")
        self.short = self.states if family.real else Buffer("%short", (rows, sizes.width), "i8")
        self.counts = Buffer("%counts", (texts,), "i32")
        self.mask, self.offsets = Buffer("%mask", (rows,), "f32"), Buffer("%offsets", (total,), "i32")
        self.scale, self.bias = Buffer("%scale", (total,), "f32"), Buffer("%bias", (total,), "f32")
        self.intent, self.tags = (
            Buffer("%intent", (texts, sizes.intents), "f32"),
            Buffer("%tags", (rows, sizes.tags), "f32"),
        )
        self.scores = Buffer("%scores", (rows, family.lanes), "f32")
        self.pooled = Buffer("%pooled", (texts, sizes.seen), family.element)
        self.common = Buffer("%common", (texts, wide), "f32")
        self.unary, self.logits = Buffer("%unary", (rows, wide), "f32"), Buffer("%logits", (rows, wide), "f32")
        self.shares = Buffer("%shares", (rows, _fill(sizes.tags, DEPTH_STEP)), family.element)
        self.sides = Buffer("%sides", (rows, 2 * wide), "f32")
        self.text = "%group"
        self.row = self.code.times(self.text, sizes.words)
        self.count = load_count(self.code, self.counts, self.text, sizes.words)

    def write(self, name: str) -> Kernel:
        self._pool()
        self._multiply("intent", self.pooled, 1, self._store_scaled(self.intent), self.text)
        self._multiply("pooled", self.pooled, 1, self._store_scaled(self.common), self.text)
        self._multiply("tags", self.short, self.sizes.words, self._store_unary, self.row)
        self._copy(self.unary, self.logits)
        self.code.repeat(0, self.sizes.rounds, 1, (), lambda _, __: self._refine())
        self._copy(self.logits, self.tags)
        weights = tuple(self._operands(each, self.short).packed for each in NAMES)
        scratch = (self.scores, self.pooled, self.common, self.unary, self.logits, self.shares, self.sides)
        if self.family.real:
            reads = (self.states, self.mask, self.counts, *weights, self.bias)
        else:
            reads = (self.short, self.states, self.mask, self.counts, *weights, self.offsets, self.scale, self.bias)
        return Kernel(name, reads, (self.intent, self.tags), self.sizes.texts, str(self.code), scratch)

    def _operands(self, name: str, left: Buffer) -> Operands:
        depth, columns = self.products[name]
        return Operands(self.family, left, f"%{name}_weights", depth, -(-columns // self.lanes))

    def _place(self, name: str) -> int:
        """Return where a product's offsets, scales and biases begin."""
        return sum(_fill(self.products[each][1], self.lanes) for each in NAMES[: NAMES.index(name)])

    def _multiply(
        self, name: str, left: Buffer, rows: int, end: Callable[[Callable[[Value, Value], Value]], Ending], row: Value
    ) -> None:
        """Add a product; `end` is given what makes float32 of sums."""
        place = self._place(name)
        count = self.count if rows > 1 else None
        product = Product(
            self._operands(name, left), self.offsets, self.products[name][1], rows, place, count, name != "intent"
        )

        def prepare(code: Code, columns: Sequence[Value]) -> Ending:
            return end(scale_sums(code, self.family, self.scale, self.bias, place, columns))

        add_product(self.code, product, prepare, row)

    def _store_scaled(self, buffer: Buffer) -> Callable[[Callable[[Value, Value], Value]], Ending]:
        whole = buffer.shape[1] % self.lanes == 0

        def end(make_real: Callable[[Value, Value], Value]) -> Ending:
            return lambda code, row, column, count, sums: store_vector(
                code, make_real(column, sums), buffer, (row, column), self.lanes, self.lanes if whole else count
            )

        return end

    def _store_unary(self, make_real: Callable[[Value, Value], Value]) -> Ending:
        def end(code: Code, row: Value, column: Value, count: int, sums: Value) -> None:
            common = load_vector(code, self.common, (self.text, column), self.lanes)
            store_vector(
                code, self.real.add(make_real(column, sums), common), self.unary, (row, column), self.lanes, self.lanes
            )

        return end

    def _pool(self) -> None:
        """Add attention pooling and peaks, of integers rounded to int8."""
        self._multiply("pool", self.short, self.sizes.words, self._store_scores, self.row)
        self._blocks(self.scores.shape[1], lambda column, _: self._normalise_scores(column))
        self._blocks(self.sizes.width, lambda column, _: self._pool_block(column))

    def _store_scores(self, make_real: Callable[[Value, Value], Value]) -> Ending:
        def end(code: Code, row: Value, column: Value, count: int, sums: Value) -> None:
            absent = self.real.subtract(load_spread(code, self.mask, (row,), self.lanes), self.real.number(1.0))
            score = self.real.add(make_real(column, sums), self.real.multiply(absent, self.real.number(1e6)))
            store_vector(code, score, self.scores, (row, column), self.lanes, self.lanes)

        return end

    def _normalise_scores(self, column: Value) -> None:
        """Add the softmax over words, in the first lane."""

        def load(row: Value) -> Value:
            return load_vector(self.code, self.scores, (row, column), self.lanes)

        largest = self._words(
            [self.real.number(_LOWEST)], lambda row, values: [self.real.larger(values[0], load(row))]
        )[0]

        def raise_(row: Value, values: list[Value]) -> list[Value]:
            power = self.real.exponential(self.real.subtract(load(row), largest))
            store_vector(self.code, power, self.scores, (row, column), self.lanes, self.lanes)
            return [self.real.add(values[0], power)]

        total = self._words([self.real.number(0.0)], raise_)[0]

        def divide(row: Value, _: list[Value]) -> list[Value]:
            store_vector(
                self.code, self.real.divide(load(row), total), self.scores, (row, column), self.lanes, self.lanes
            )
            return []

        self._words([], divide)

    def _pool_block(self, column: Value) -> None:
        first = self.code.index(0)  # of the scores: the rest of their block is filled up

        def add(row: Value, values: list[Value]) -> list[Value]:
            state = load_vector(self.code, self.states, (row, column), self.lanes)
            present = load_spread(self.code, self.mask, (row,), self.lanes)
            shifted = self.real.fuse(self.real.subtract(present, self.real.number(1.0)), self.real.number(2.0), state)
            share = load_spread(self.code, self.scores, (row, first), self.lanes)
            return [self.real.fuse(share, state, values[0]), self.real.larger(values[1], shifted)]

        mean, peak = self._words([self.real.number(0.0), self.real.number(_LOWEST)], add)
        self._store_signed(mean, column)
        if self.sizes.peaks:
            present = load_spread(self.code, self.mask, (self.row,), self.lanes)
            self._store_signed(
                self.real.multiply(peak, present), self.code.add(column, self.code.index(self.sizes.width))
            )

    def _store_signed(self, value: Value, column: Value) -> None:
        if not self.family.real:
            value = self.real.to_bytes(
                self.real.add(self.real.multiply(value, self.real.number(127.0)), self.real.number(128.5))
            )
        store_vector(self.code, value, self.pooled, (self.text, column), self.lanes, self.lanes)

    def _copy(self, source: Buffer, destination: Buffer) -> None:
        """Add a copy of the tags' logits of every word."""

        def word(row: Value, _: list[Value]) -> list[Value]:
            def block(column: Value, count: int) -> None:
                value = load_vector(self.code, source, (row, column), self.lanes)
                store_vector(
                    self.code,
                    value,
                    destination,
                    (row, column),
                    self.lanes,
                    count if destination is self.tags else self.lanes,
                )

            self._blocks(self.sizes.tags, block)
            return []

        self._words([], word)

    def _refine(self) -> tuple[()]:
        """Add a round of refinement."""
        self._share(self.logits)
        self._multiply("neighbours", self.shares, self.sizes.words, self._store_scaled(self.sides), self.row)
        self._combine()
        return ()

    def _share(self, logits: Buffer) -> None:
        """Add the softmax over tags of every word, of integers rounded to int8;

        powers go where the products will be.
        """

        def word(row: Value, _: list[Value]) -> list[Value]:
            largest = self._spread(self._fold_blocks(logits, row, _LOWEST, self.real.larger), self.real.larger)

            def raise_(column: Value, values: list[Value], real: Value | None) -> list[Value]:
                power = self.real.exponential(
                    self.real.subtract(load_vector(self.code, logits, (row, column), self.lanes), largest)
                )
                if real is not None:
                    power = self.real.multiply(power, real)
                store_vector(self.code, power, self.sides, (row, column), self.lanes, self.lanes)
                return [self.real.add(values[0], power)]

            total = self._spread(self._tag_blocks([self.real.number(0.0)], raise_)[0], self.real.add)
            present = load_spread(self.code, self.mask, (row,), self.lanes)

            def store(column: Value, _: list[Value], __: Value | None) -> list[Value]:
                share = self.real.divide(load_vector(self.code, self.sides, (row, column), self.lanes), total)
                found = self.real.multiply(share, present)
                if not self.family.real:
                    found = self.real.to_bytes(
                        self.real.add(self.real.multiply(found, self.real.number(255.0)), self.real.number(0.5))
                    )
                store_vector(self.code, found, self.shares, (row, column), self.lanes, self.lanes)
                return []

            self._tag_blocks([], store)
            return []

        self._words([], word)

    def _fold_blocks(self, buffer: Buffer, row: Value, start: float, join: Callable[[Value, Value], Value]) -> Value:
        """Join the tags of a word lane by lane."""

        def add(column: Value, values: list[Value], real: Value | None) -> list[Value]:
            value = load_vector(self.code, buffer, (row, column), self.lanes)
            if real is not None:  # what lies past the last tag is no logit
                value = self.real.fuse(self.real.subtract(real, self.real.number(1.0)), self.real.number(1e9), value)
            return [join(values[0], value)]

        return self._tag_blocks([self.real.number(start)], add)[0]

    def _combine(self) -> None:
        """Add what the neighbours make of each word's tags."""
        wide = self.unary.shape[1]
        code, zero, one = self.code, self.code.index(0), self.code.index(1)
        none = self.real.number(0.0)
        last = code.value(f"arith.subi {self.count}, {one} : index")

        def word(number: Value, _: list[Value]) -> tuple[()]:
            row = code.add(self.row, number)
            # Of a word without a neighbour its own row is read, and dropped.
            sides = []
            for end, step, shift in ((zero, "subi", 0), (last, "addi", wide)):
                there = code.value(f"arith.cmpi ne, {number}, {end} : index")
                moved = code.value(f"arith.{step} {row}, {one} : index")
                sides.append((there, code.value(f"arith.select {there}, {moved}, {row} : index"), shift))

            def block(column: Value, _: int) -> None:
                value = load_vector(code, self.unary, (row, column), self.lanes)
                for there, neighbour, shift in sides:
                    found = load_vector(code, self.sides, (neighbour, code.add(column, code.index(shift))), self.lanes)
                    value = self.real.add(
                        value, code.value(f"arith.select {there}, {found}, {none} : {self.real.kind}")
                    )
                store_vector(code, value, self.logits, (row, column), self.lanes, self.lanes)

            self._blocks(self.sizes.tags, block)
            return ()

        code.loop(zero, self.count, one, (), word)

    def _words(self, start: list[Value], body: Callable[[Value, list[Value]], list[Value]]) -> list[Value]:
        """Add a loop over the words of the text; `body` is given the row."""
        carried = [(value, self.real.kind) for value in start]
        zero, one = self.code.index(0), self.code.index(1)
        return self.code.loop(
            zero, self.count, one, carried, lambda place, values: body(self.code.add(self.row, place), values)
        )

    def _blocks(self, columns: int, body: Callable[[Value, int], None]) -> None:
        """Add a loop over blocks; `body` is given the first column and how many there are."""

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
        """Add a loop over blocks of tags;

        `body` is given one where there is a tag and zero elsewhere, for a block that has both.
        """
        tags = self.sizes.tags
        whole = tags // self.lanes * self.lanes
        carried = [(value, self.real.kind) for value in start]
        values = self.code.repeat(0, whole, self.lanes, carried, lambda column, values: body(column, values, None))
        if whole < tags:
            present = ", ".join("1.0" if whole + lane < tags else "0.0" for lane in range(self.lanes))
            values = body(self.code.index(whole), values, self.code.constant(f"dense<[{present}]> : {self.real.kind}"))
        return values

    def _spread(self, value: Value, join: Callable[[Value, Value], Value]) -> Value:
        """Join all lanes, and put the result into every one."""
        step = self.lanes // 2
        while step:
            picks = ", ".join(str(lane ^ step) for lane in range(self.lanes))
            value = join(
                value,
                self.code.value(f"vector.shuffle {value}, {value} [{picks}] : {self.real.kind}, {self.real.kind}"),
            )
            step //= 2
        return value


def _fill(size: int, step: int) -> int:
    return -(-size // step) * step
