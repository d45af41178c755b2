"""A tile of a product: sums of a few rows and blocks of columns, which stay in registers over the whole depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product as pairs

from compile.kernels.families import InstructionFamily
from compile.kernels.kernel import Buffer
from compile.kernels.mlir_builder import Code, Value, vector_of


@dataclass(frozen=True, slots=True)
class Operands:
    """The two sides of a product.

    Attributes:
        family: Instruction family.
        left: Left side, int8 or float32[rows, columns].
        weights: Name of the packed weights, int8 or float32[blocks, steps, lanes * family.depth]; in 4 bits there are
            half as many steps.
        depth: Number of columns of the left side that are multiplied; its memory may have more.
        blocks: Number of blocks of the weights.
        prepared: What of the left side was prepared (`compile.kernels.prepared_rows`), row by row; None where tiles
            prepare what they need.
    """

    family: InstructionFamily
    left: Buffer
    weights: Value
    depth: int
    blocks: int
    prepared: Buffer | None = None

    @property
    def packed(self) -> Buffer:
        """The packed weights as a buffer."""
        return Buffer(
            self.weights,
            (self.blocks, -(-self.depth // self.family.run), self.family.lanes * self.family.depth),
            self.family.element,
        )


_LINE = 64  # bytes of a cache line
_ROWS = 8  # the memory for raised rows has a multiple of so many

Starts = Mapping[tuple[int, int], Value]

_INTRINSICS = {
    "vnni512": "llvm.x86.avx512.vpdpbusd.512",
    # with AVX-VNNI and without AVX-512, LLVM writes the shorter form of the instruction
    "vnni256": "llvm.x86.avx512.vpdpbusd.256",
    "dotprod": "llvm.aarch64.neon.sdot.v4i32.v16i8",
    "i8mm": "llvm.aarch64.neon.smmla.v4i32.v16i8",
}


@dataclass(frozen=True, slots=True)
class Step:
    """The weights that are multiplied at a time.

    Attributes:
        index: Index of their bytes in a block.
        half: In 4 bits, 0 for the lower halves of the bytes and 1 for the upper ones.
    """

    index: Value
    half: int = 0


class Tile:
    """A tile that is being written, in the form that most families have.

    There is one row of the left side for each accumulator: its next `depth` numbers in every lane, times `lanes`
    columns.
    """

    least = 1  # rows from which prefetching of weights saves time

    def __init__(
        self, code: Code, operands: Operands, rows: Sequence[Value], blocks: Sequence[Value], ahead: int
    ) -> None:
        """Begin; the arguments are those of `compile.kernels.microkernel.multiply_tile`."""
        self.code, self.operands, self.family = code, operands, operands.family
        self.ahead = ahead if self.family.lanes * self.family.bytes >= _LINE and len(rows) >= self.least else 0
        self.rows, self.blocks = list(rows), list(blocks)
        self.sums = vector_of(self.family.lanes, self.family.total)
        self.bytes = vector_of(self.family.lanes * 4, "i8")
        self._halves = vector_of(self.family.lanes * 2, "i16")
        self._raised: Buffer | None = None

    def begin(self, starts: Starts) -> list[Value]:
        """Return the accumulators that the loop begins with."""
        return [starts[position] for position in pairs(range(len(self.rows)), range(len(self.blocks)))]

    def finish(self, sums: list[Value]) -> dict[tuple[int, int], Value]:
        """Return the sums of the accumulators, by position of row and block."""
        return dict(zip(pairs(range(len(self.rows)), range(len(self.blocks))), sums, strict=True))

    def loop(self, sums: list[Value]) -> list[Value]:
        """Add the loop over the depth.

        It goes in whole vectors of the left side where the instruction can multiply by one lane, then in steps, and
        last over the bytes that are left.
        """
        depth, wide, step = self.operands.depth, self._wide(), self.family.depth
        if self.family.shifted:
            self._raised = self._raise_rows()
        done, whole = depth // wide * wide, depth // step * step
        sums = self.code.repeat(0, done, wide, self._carry(sums), self._wide_step)
        if self.family.bits == 8:
            sums = self.code.repeat(done, whole, step, self._carry(sums), self._step)
        else:  # which half of the bytes has to be known here; there are at most three steps
            for column in range(done, whole, step):
                sums = self._dot(self._step_at(column), sums, self._left(self.code.index(column)))
        return self._dot(self._step_at(whole), sums, self._rest(whole)) if whole < depth else sums

    def _raise_rows(self) -> Buffer:
        """Write the rows with 128 added to every number, and return where they lie.

        It is done once before the loop, in whole vectors, so that a step needs no more than a load that spreads four
        bytes: spread from a general register they would take the port that the products take (AVX-512).
        """
        depth, size = self.operands.depth, self.family.lanes * 4
        shape = (-(-len(self.rows) // _ROWS) * _ROWS, depth)
        raised = Buffer(self.code.share(shape, "i8"), shape, "i8")
        wide = depth // size * size

        def write(column: Value, size: int) -> tuple[()]:
            kind = vector_of(size, "i8")
            flip = self.code.constant(f"dense<-128> : {kind}")  # plus 128, modulo 256
            for number, row in enumerate(self.rows):
                value = self.code.value(f"arith.xori {self._load(row, column, size)}, {flip} : {kind}")
                indices = f"{self.code.index(number)}, {column}"
                self.code.line(f"vector.store {value}, {raised.name}[{indices}] : {raised.memory}, {kind}")
            return ()

        self.code.repeat(0, wide, size, (), lambda column, _: write(column, size))
        self.code.repeat(wide, depth // 4 * 4, 4, (), lambda column, _: write(column, 4))
        return raised

    def _carry(self, sums: list[Value]) -> list[tuple[Value, str]]:
        return [(value, self.sums) for value in sums]

    def _wide(self) -> int:
        return 16 if self.family.name == "dotprod" else self.family.run

    def _wide_step(self, column: Value, sums: list[Value]) -> list[Value]:
        if self._wide() == self.family.run:
            for number in range(self.family.steps):
                left = self._left(self.code.add(column, self.code.index(number * self.family.depth)))
                sums = self._dot(self._step_after(self._count(column), number), sums, left)
            return sums
        # One load of 16 bytes a row, of which the instruction itself picks 4: LLVM makes `sdot v, v, v.4b[lane]` of a
        # splat lane.
        loaded = [self._load(row, column, 16) for row in self.rows]
        words = [self.code.value(f"vector.bitcast {value} : vector<16xi8> to vector<4xi32>") for value in loaded]
        first = self._count(column)
        for lane in range(4):
            left = [
                self.code.value(
                    f"vector.shuffle {value}, {value} [{lane}, {lane}, {lane}, {lane}] : vector<4xi32>, vector<4xi32>"
                )
                for value in words
            ]
            sums = self._dot(self._step_after(first, lane), sums, [self._as_bytes(value) for value in left])
        return sums

    def _step(self, column: Value, sums: list[Value]) -> list[Value]:
        left = self._left(column)
        return self._dot(Step(self._count(column)), sums, left)

    def _left(self, column: Value) -> list[Value]:
        """Return what a step multiplies of the left side."""
        raised = self._raised
        loads = (
            [self._load(row, column, 4) for row in self.rows]
            if raised is None
            else [
                self.code.value(
                    f"vector.load {raised.name}[{self.code.index(number)}, {column}] : {raised.memory}, vector<4xi8>"
                )
                for number in range(len(self.rows))
            ]
        )
        words = [self.code.value(f"vector.bitcast {value} : vector<4xi8> to vector<1xi32>") for value in loads]
        return [self._spread(word, raise_it=raised is None) for word in words]

    def _rest(self, column: int) -> list[Value]:
        """Put the last bytes of each row together; the bytes after them belong to the next row, or lie outside."""
        size = self.family.depth
        zero = self.code.constant(f"dense<0> : vector<{size}xi8>")
        tails = []
        for row in self.rows:
            whole = zero
            for byte in range(self.operands.depth - column):
                one = self.code.value(
                    f"memref.load {self.operands.left.name}[{row}, {self.code.index(column + byte)}] : "
                    f"{self.operands.left.memory}"
                )
                whole = self.code.value(f"vector.insert {one}, {whole} [{byte}] : i8 into vector<{size}xi8>")
            tails.append(whole)
        return self._join(tails)

    def _join(self, rows: list[Value]) -> list[Value]:
        return [
            self._spread(self.code.value(f"vector.bitcast {value} : vector<4xi8> to vector<1xi32>")) for value in rows
        ]

    def _spread(self, word: Value, raise_it: bool = True) -> Value:
        """Put four bytes into every lane, plus 128 where the instruction takes them as unsigned."""
        spread = self.code.value(f"vector.broadcast {word} : vector<1xi32> to {self.sums}")
        if self.family.shifted and raise_it:
            flip = self.code.constant(
                f"dense<{0x80808080 - (1 << 32)}> : {self.sums}"
            )  # plus 128, modulo 256, in every byte
            spread = self.code.value(f"arith.xori {spread}, {flip} : {self.sums}")
        return self._as_bytes(spread)

    def _as_bytes(self, lanes: Value) -> Value:
        return self.code.value(f"vector.bitcast {lanes} : {self.sums} to {self.bytes}")

    def _load(self, row: Value, column: Value, size: int) -> Value:
        return self.code.value(
            f"vector.load {self.operands.left.name}[{row}, {column}] : {self.operands.left.memory}, vector<{size}xi8>"
        )

    def _count(self, column: Value) -> Value:
        """Return the index of the weights for a column of the left side where such weights begin."""
        return self.code.value(f"arith.divui {column}, {self.code.index(self.family.run)} : index")

    def _step_after(self, first: Value, number: int) -> Step:
        """Return the step a number of steps after the first one of some weights."""
        index, half = divmod(number, self.family.steps)
        return Step(self.code.add(first, self.code.index(index)), half)

    def _step_at(self, column: int) -> Step:
        """Return the step that begins at a column of the left side."""
        return self._step_after(
            self.code.index(column // self.family.run), column // self.family.depth % self.family.steps
        )

    def _weights(self, step: Step, block: Value, part: int = 0) -> Value:
        size = self.family.pair * self.family.depth
        start = self.code.index(part * size)
        memory, kind = self.operands.packed.memory, vector_of(size, self.family.element)
        loaded = self.code.value(
            f"vector.load {self.operands.weights}[{block}, {step.index}, {start}] : {memory}, {kind}"
        )
        return loaded if self.family.bits == 8 else self._take_half(loaded, step.half, kind)

    def _take_half(self, both: Value, half: int, kind: str) -> Value:
        """Return one of two weights in each byte, as the upper half of a byte: 16 times the weight."""
        if half:
            return self.code.value(f"arith.andi {both}, {self.code.constant(f'dense<-16> : {kind}')} : {kind}")
        return self.code.value(f"arith.shli {both}, {self.code.constant(f'dense<4> : {kind}')} : {kind}")

    def _dot(self, step: Step, sums: list[Value], left: list[Value]) -> list[Value]:
        if step.half == 0 and self.family.bits == 4:  # the weights of both steps are loaded once, after this
            self._prefetch(step)
        weights = [self._weights(step, block) for block in self.blocks]
        if self.family.bits == 8:
            self._prefetch(step)
        return [
            self._multiply(total, one, other) for total, (one, other) in zip(sums, pairs(left, weights), strict=True)
        ]

    def _prefetch(self, step: Step) -> None:
        for block in self.blocks if self.ahead else ():
            indices = f"{self.code.add(block, self.code.index(self.ahead))}, {step.index}, {self.code.index(0)}"
            self.code.line(
                f"memref.prefetch {self.operands.weights}[{indices}], read, locality<2>, data : "
                f"{self.operands.packed.memory}"
            )

    def _multiply(self, total: Value, left: Value, right: Value) -> Value:
        if self.family.name == "dotprod":  # whose second factor may be a lane of a register
            left, right = right, left
        kinds = f"({self.sums}, {self.bytes}, {self.bytes}) -> {self.sums}"
        return self.code.value(
            f'llvm.call_intrinsic "{_INTRINSICS[self.family.name]}"({total}, {left}, {right}) : {kinds}'
        )
