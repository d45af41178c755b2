"""The kernel of attention over the words of texts, in float32: scores, softmax and what it weighs, head after head.

A head's keys are laid out so that the words lie side by side, and its values without what lies between them. Then every
few rows of queries get their scores, which stay in the first cache, and what these weigh: the scores of all words, H x
W^2 numbers, never go to distant memory. Powers are those of `compile.kernels.arithmetic`, cut off at e^-40, so that
padding weighs 4e-18 of a word instead of nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from compile.kernels.arithmetic import Float32Vectors
from compile.kernels.families import InstructionFamily
from compile.kernels.kernel import Buffer, Kernel
from compile.kernels.memory import load_count, load_spread, load_vector, store_vector
from compile.kernels.mlir_builder import Code, Value
from compile.kernels.tiling import cut_rows, runs

_MANY = 32  # registers of the processors that multiply 6 x 4 vectors at a time
_TALLEST = 6


@dataclass(frozen=True, slots=True)
class AttentionSizes:
    """Sizes of an attention.

    Attributes:
        texts: Number of texts.
        words: Number of rows of each text, W.
        heads: Number of heads, H.
        size: Width of a head.
    """

    texts: int
    words: int
    heads: int
    size: int

    @property
    def width(self) -> int:
        """Width of the states."""
        return self.heads * self.size


def fits_attention(family: InstructionFamily, size: int) -> bool:
    """Say whether there is a kernel for heads of a width."""
    return size % family.lanes == 0 and _choose_height(family, size // family.lanes) > 0


def pad_words(words: int, lanes: int) -> int:
    """Return the number of columns that the kernel has for so many words: whole vectors."""
    return -(-words // lanes) * lanes


def _choose_height(family: InstructionFamily, blocks: int) -> int:
    """Return how many rows of queries are computed at a time: sums, a value, and what weighs it stay in registers."""
    return min(_TALLEST, (family.registers - 1) // (blocks + 1))


class _Head:
    """The code of one head of one text."""

    def __init__(self, family: InstructionFamily, sizes: AttentionSizes, watched: bool) -> None:
        rows, lanes = sizes.texts * sizes.words, family.lanes
        padded = pad_words(sizes.words, lanes)
        self.family, self.sizes, self.lanes, self.padded = family, sizes, lanes, padded
        self.blocks = sizes.size // lanes
        self.height = _choose_height(family, self.blocks)
        self.chunk = 4 if family.registers >= _MANY else 2
        groups = sizes.texts * sizes.heads
        self.related = Buffer("%related", (rows, 3 * sizes.width), "f32")
        self.hidden = Buffer("%hidden", (sizes.texts, padded), "f32")
        self.counts = Buffer("%counts", (sizes.texts,), "i32")
        self.centre, self.rate = (Buffer(each, (sizes.width,), "f32") for each in ("%centre", "%rate"))
        self.out = Buffer("%out", (rows, sizes.width), "i8")
        self.received = Buffer("%received", (groups, padded), "f32") if watched else None
        self.keys = Buffer("%keys", (groups, sizes.size, padded), "f32")
        self.values = Buffer("%values", (groups, sizes.words, sizes.size), "f32")
        self.code = Code()
        self.vectors = Float32Vectors(self.code, family)
        shape = (self.height, padded)
        self.scores = Buffer(self.code.allocate(shape, "f32"), shape, "f32")
        heads = self.code.index(sizes.heads)
        self.text = self.code.value(f"arith.divui %group, {heads} : index")
        self.first_row = self.code.times(self.text, sizes.words)
        self.count = load_count(self.code, self.counts, self.text, sizes.words)
        vectors = self.code.value(f"arith.ceildivui {self.count}, {self.code.index(lanes)} : index")
        whole = self.code.value(f"arith.divui {vectors}, {self.code.index(self.chunk)} : index")
        self.last, self.whole = self.code.times(vectors, lanes), self.code.times(whole, self.chunk * lanes)
        self.first_column = self.code.times(self.code.value(f"arith.remui %group, {heads} : index"), sizes.size)

    def write(self) -> str:
        """Return the code."""
        self._lay_out()
        if self.received is not None:
            self._begin(self.received)
        for height, start, stop in runs(cut_rows(self.sizes.words, self.height)):
            self.code.repeat_below(start, stop, height, self.count, partial(self._tile, height=height))
        return str(self.code)

    def _lay_out(self) -> None:
        """Copy keys, a column for each word, and values."""
        code, sizes = self.code, self.sizes
        width, zero = sizes.width, code.constant("0.0 : f32")

        def copy(word: Value, _: Sequence[Value]) -> tuple[()]:
            row = code.add(self.first_row, word)
            begin = code.add(self.first_column, code.index(width))

            def turn(channel: Value, _: Sequence[Value]) -> tuple[()]:
                key = code.value(
                    f"memref.load {self.related.name}[{row}, {code.add(begin, channel)}] : {self.related.memory}"
                )
                code.line(f"memref.store {key}, {self.keys.name}[%group, {channel}, {word}] : {self.keys.memory}")
                return ()

            code.repeat(0, sizes.size, 1, (), turn)
            for block in range(self.blocks):
                column = code.add(begin, code.index(width + block * self.lanes))
                value = load_vector(code, self.related, (row, column), self.lanes)
                target = ("%group", word, code.index(block * self.lanes))
                store_vector(code, value, self.values, target, self.lanes, self.lanes)
            return ()

        def clear(word: Value, _: Sequence[Value]) -> tuple[()]:
            def nothing(channel: Value, _: Sequence[Value]) -> tuple[()]:
                code.line(f"memref.store {zero}, {self.keys.name}[%group, {channel}, {word}] : {self.keys.memory}")
                return ()

            code.repeat(0, sizes.size, 1, (), nothing)
            return ()

        code.loop(code.index(0), self.count, code.index(1), (), copy)
        code.loop(self.count, self.last, code.index(1), (), clear)

    def _tile(self, begin: Value, height: int) -> None:
        code, vectors = self.code, self.vectors
        rows = [code.add(self.first_row, code.add(begin, code.index(number))) for number in range(height)]
        largest = self._score(rows)
        peaks = [vectors.join_lanes(value, vectors.larger) for value in largest]
        sums = [vectors.join_lanes(value, vectors.add) for value in self._raise(peaks)]
        shares = [vectors.divide(vectors.number(1.0), value) for value in sums]
        if self.received is not None:
            self._receive(self.received, [code.add(begin, code.index(number)) for number in range(height)], shares)
        for (row, block), value in self._weigh(height).items():
            column = code.add(self.first_column, code.index(block * self.lanes))
            centre, rate = (load_vector(code, buffer, (column,), self.lanes) for buffer in (self.centre, self.rate))
            steps = vectors.to_steps(vectors.multiply(value, shares[row]), centre, rate)
            store_vector(code, steps, self.out, (rows[row], column), self.lanes, self.lanes)

    def _score(self, rows: Sequence[Value]) -> list[Value]:
        """Store the scores of rows, and return the largest of each, lane by lane."""
        code, lanes = self.code, self.lanes
        largest = [self.vectors.number(-1e30)] * len(rows)
        for start, stop, count in ((code.index(0), self.whole, self.chunk), (self.whole, self.last, 1)):
            carried = [(value, self.vectors.kind) for value in largest]
            step = partial(self._chunk, rows, count)
            largest = code.loop(start, stop, code.index(count * lanes), carried, step)
        return largest

    def _chunk(self, rows: Sequence[Value], count: int, word: Value, largest: Sequence[Value]) -> list[Value]:
        """Store the scores of rows for the words of a few vectors."""
        code, vectors, lanes = self.code, self.vectors, self.lanes
        words = [code.add(word, code.index(block * lanes)) for block in range(count)]

        def step(channel: Value, sums: list[Value]) -> list[Value]:
            keys = [load_vector(code, self.keys, ("%group", channel, each), lanes) for each in words]
            column = code.add(self.first_column, channel)
            left = [load_spread(code, self.related, (row, column), lanes) for row in rows]
            return [
                vectors.fuse(left[number // count], keys[number % count], value) for number, value in enumerate(sums)
            ]

        zero = vectors.number(0.0)
        sums = code.repeat(0, self.sizes.size, 1, [(zero, vectors.kind)] * (len(rows) * count), step)
        scale = vectors.number(self.sizes.size**-0.5)
        hidden = [load_vector(code, self.hidden, (self.text, each), lanes) for each in words]
        best = list(largest)
        for number, value in enumerate(sums):
            row, block = divmod(number, count)
            score = vectors.add(vectors.multiply(value, scale), hidden[block])
            store_vector(code, score, self.scores, (code.index(row), words[block]), lanes, lanes)
            best[row] = vectors.larger(best[row], score)
        return best

    def _raise(self, peaks: Sequence[Value]) -> list[Value]:
        """Turn scores into powers, and return their sums, lane by lane."""
        code, vectors, lanes = self.code, self.vectors, self.lanes

        def step(word: Value, sums: list[Value]) -> list[Value]:
            added = []
            for row, (peak, total) in enumerate(zip(peaks, sums, strict=True)):
                score = load_vector(code, self.scores, (code.index(row), word), lanes)
                power = vectors.exponential(vectors.subtract(score, peak))
                store_vector(code, power, self.scores, (code.index(row), word), lanes, lanes)
                added.append(vectors.add(total, power))
            return added

        zero = vectors.number(0.0)
        return code.loop(code.index(0), self.last, code.index(lanes), [(zero, vectors.kind)] * len(peaks), step)

    def _begin(self, received: Buffer) -> None:
        """Set what words receive to zero."""
        code, lanes = self.code, self.lanes

        def clear(word: Value, _: Sequence[Value]) -> tuple[()]:
            store_vector(code, self.vectors.number(0.0), received, ("%group", word), lanes, lanes)
            return ()

        code.repeat(0, self.padded, lanes, (), clear)

    def _receive(self, received: Buffer, words: Sequence[Value], shares: Sequence[Value]) -> None:
        """Add the probabilities of rows to what each word receives; a row behind the words of the text counts not."""
        code, vectors, lanes = self.code, self.vectors, self.lanes
        kept = []
        for word, share in zip(words, shares, strict=True):
            inside = code.value(f"arith.cmpi ult, {word}, {self.count} : index")
            kept.append(code.value(f"arith.select {inside}, {share}, {vectors.number(0.0)} : {vectors.kind}"))

        def step(word: Value, _: Sequence[Value]) -> tuple[()]:
            total = load_vector(code, received, ("%group", word), lanes)
            for row, share in enumerate(kept):
                power = load_vector(code, self.scores, (code.index(row), word), lanes)
                total = vectors.fuse(power, share, total)
            store_vector(code, total, received, ("%group", word), lanes, lanes)
            return ()

        code.loop(code.index(0), self.last, code.index(lanes), (), step)

    def _weigh(self, height: int) -> dict[tuple[int, int], Value]:
        """Return the sums of values times powers, by row and block."""
        code, vectors, lanes = self.code, self.vectors, self.lanes

        def step(word: Value, sums: list[Value]) -> list[Value]:
            powers = [load_spread(code, self.scores, (code.index(row), word), lanes) for row in range(height)]
            result = list(sums)
            for block in range(self.blocks):
                value = load_vector(code, self.values, ("%group", word, code.index(block * lanes)), lanes)
                for row in range(height):
                    position = row * self.blocks + block
                    result[position] = vectors.fuse(powers[row], value, sums[position])
            return result

        zero = vectors.number(0.0)
        carried = [(zero, vectors.kind)] * (height * self.blocks)
        sums = code.loop(code.index(0), self.count, code.index(1), carried, step)
        return {divmod(position, self.blocks): value for position, value in enumerate(sums)}


def attention_kernel(name: str, family: InstructionFamily, sizes: AttentionSizes, *, watched: bool = False) -> Kernel:
    """Return the kernel of an attention; each head of each text is a group.

    It reads queries, keys and values of all rows side by side, float32[texts * words, 3 * width], heads one after the
    other within each, what is added to the score of every word, float32[texts, pad_words(words)], far below zero for
    padding, the middle of the range of every channel of what comes out and the steps that one is divided into there,
    float32[width], and how many words each text has, int32[texts]. It writes int8[texts * words, width] of
    `pqrnn.model.int8.ActivationRange.MEASURED`, and leaves most rows of padding as they are. If it is watched, it also
    writes the sum of the probabilities that each word receives from all words, float32[texts * heads, padded].
    """
    head = _Head(family, sizes, watched)
    body = head.write()
    groups = sizes.texts * sizes.heads
    reads = (head.related, head.hidden, head.centre, head.rate, head.counts)
    writes = (head.out,) if head.received is None else (head.out, head.received)
    return Kernel(name, reads, writes, groups, body, (head.keys, head.values))
