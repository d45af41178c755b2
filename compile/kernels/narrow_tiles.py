"""Tiles for processors without a dot product of 8 bits.

On x86-64 and ARM products are added in 16 bits first, then in 32. Two products of int8 and a weight that is not -128
are at most 2 x 128 x 127 = 32,512, so that 16 bits hold them. In WebAssembly both sides become 16 bits.
"""

from __future__ import annotations

from itertools import product as pairs

from compile.kernels.mlir_builder import Value
from compile.kernels.tile import Starts, Step, Tile

_SIGN = {4: "llvm.x86.ssse3.psign.b.128", 8: "llvm.x86.avx2.psign.b"}
_MULTIPLY = {4: "llvm.x86.ssse3.pmadd.ub.sw.128", 8: "llvm.x86.avx2.pmadd.ub.sw"}
_WIDEN = {4: "llvm.x86.sse2.pmadd.wd", 8: "llvm.x86.avx2.pmadd.wd"}
_ADD_PAIRS = {"smlal": "llvm.aarch64.neon.saddlp.v4i32.v8i16", "vmlal": "llvm.arm.neon.vpaddls.v4i32.v8i16"}
_JOIN_PAIRS = "llvm.aarch64.neon.addp.v4i32"
_DOT_HALVES = "llvm.wasm.dot"


class MultiplyAddTile(Tile):
    """Tiles of x86-64: the instruction multiplies unsigned by signed bytes, and adds two products.

    The left side becomes unsigned without its signs, which the weights get instead. Widening both sides to 16 bits and
    multiplying there (`vpmaddwd`) takes 1.08 times as long.
    """

    def _dot(self, step: Step, sums: list[Value], left: list[Value]) -> list[Value]:
        weights = [self._weights(step, block) for block in self.blocks]
        sizes = [self._call(_SIGN, self.bytes, value, value) for value in left]  # -128 becomes 128, as unsigned
        factors = list(zip(left, sizes, strict=True))
        return [
            self._multiply_signed(total, *one, other)
            for total, (one, other) in zip(sums, pairs(factors, weights), strict=True)
        ]

    def _multiply_signed(self, total: Value, signs: Value, sizes: Value, weights: Value) -> Value:
        signed = self._call(_SIGN, self.bytes, weights, signs)
        return self._add_widened(total, self._multiply_bytes(sizes, signed))

    def _multiply_bytes(self, unsigned: Value, signed: Value) -> Value:
        """Return the sums of two products each, in 16 bits."""
        return self._call(_MULTIPLY, self._halves, unsigned, signed, self.bytes)

    def _add_halves(self, total: Value, two: Value) -> Value:
        return self.code.value(f"arith.addi {total}, {two} : {self._halves}")

    def _add_widened(self, total: Value, two: Value) -> Value:
        ones = self.code.constant(f"dense<1> : {self._halves}")
        four = self._call(_WIDEN, self.sums, two, ones, self._halves)
        return self.code.value(f"arith.addi {total}, {four} : {self.sums}")

    def _call(self, names: dict[int, str], kind: str, one: Value, other: Value, given: str = "") -> Value:
        kinds = f"({given or kind}, {given or kind}) -> {kind}"
        return self.code.value(f'llvm.call_intrinsic "{names[self.family.lanes]}"({one}, {other}) : {kinds}')


class ColumnTile(Tile):
    """Tiles of ARM: 16 numbers of a row times 16 of a column.

    Every row and column has a register of four sums, which become one at the end.
    """

    def begin(self, starts: Starts) -> list[Value]:
        """Return zeros: what the sums start from is added at the end."""
        self.starts = starts
        zero = self.code.constant(f"dense<0> : {self.sums}")
        return [zero] * (len(self.rows) * len(self.blocks) * self.family.lanes)

    def finish(self, sums: list[Value]) -> dict[tuple[int, int], Value]:
        """Return one sum for each row and column."""
        results, lanes = {}, self.family.lanes
        for number, position in enumerate(pairs(range(len(self.rows)), range(len(self.blocks)))):
            parts = sums[lanes * number : lanes * (number + 1)]
            while len(parts) > 1:
                parts = [self._join_pairs(*parts[part : part + 2]) for part in range(0, len(parts), 2)]
            results[position] = self.code.value(f"arith.addi {self.starts[position]}, {parts[0]} : {self.sums}")
        return results

    def _join_pairs(self, one: Value, other: Value) -> Value:
        if self.family.architecture == "arm":  # whose instruction joins halves of registers only
            even, odd = (
                self.code.value(f"vector.shuffle {one}, {other} [{picks}] : {self.sums}, {self.sums}")
                for picks in ("0, 2, 4, 6", "1, 3, 5, 7")
            )
            return self.code.value(f"arith.addi {even}, {odd} : {self.sums}")
        kinds = f"({self.sums}, {self.sums}) -> {self.sums}"
        return self.code.value(f'llvm.call_intrinsic "{_JOIN_PAIRS}"({one}, {other}) : {kinds}')

    def _left(self, column: Value) -> list[Value]:
        return [self._load(row, column, 16) for row in self.rows]

    def _join(self, rows: list[Value]) -> list[Value]:
        return rows

    def _dot(self, step: Step, sums: list[Value], left: list[Value]) -> list[Value]:
        columns = [self._weights(step, block, part) for block in self.blocks for part in range(self.family.lanes)]
        right = [self._widen(value) for value in columns]
        return [
            self._multiply_halves(total, one, other)
            for total, (one, other) in zip(sums, pairs([self._widen(value) for value in left], right), strict=True)
        ]

    def _widen(self, value: Value) -> list[Value]:
        """Return the two halves of 16 bytes as 16-bit numbers, which the compiler works into the multiplication."""
        halves = []
        for start in (0, 8):
            picks = ", ".join(map(str, range(start, start + 8)))
            half = self.code.value(f"vector.shuffle {value}, {value} [{picks}] : vector<16xi8>, vector<16xi8>")
            halves.append(self.code.value(f"arith.extsi {half} : vector<8xi8> to vector<8xi16>"))
        return halves

    def _multiply_halves(self, total: Value, left: list[Value], right: list[Value]) -> Value:
        low, high = (
            self.code.value(f"arith.muli {one}, {other} : vector<8xi16>")
            for one, other in zip(left, right, strict=True)
        )
        return self._add_pairs(total, self.code.value(f"arith.addi {low}, {high} : {self._halves}"))

    def _add_pairs(self, total: Value, two: Value) -> Value:
        """Add pairs of sums in 16 bits to sums in 32."""
        name = _ADD_PAIRS[self.family.name]
        four = self.code.value(f'llvm.call_intrinsic "{name}"({two}) : ({self._halves}) -> {self.sums}')
        return self.code.value(f"arith.addi {total}, {four} : {self.sums}")


class WideningTile(Tile):
    """Tiles of WebAssembly: its instruction multiplies numbers of 16 bits, and adds two products in 32.

    A step is two rows of the weights. Weights become 16 bits as they are loaded (`v128.load8x8_s`), and so do eight
    numbers of a row at a time, of which two at a time are put into every lane.
    """

    def _wide(self) -> int:
        return 8

    def _wide_step(self, column: Value, sums: list[Value]) -> list[Value]:
        loaded = [self._widen(self._load(row, column, 8)) for row in self.rows]
        words = [self.code.value(f"vector.bitcast {value} : {self._halves} to {self.sums}") for value in loaded]
        first = self._count(column)
        for lane in range(4):
            picks = ", ".join([str(lane)] * 4)
            left = [
                self.code.value(f"vector.shuffle {value}, {value} [{picks}] : {self.sums}, {self.sums}")
                for value in words
            ]
            sums = self._dot(self._step_after(first, lane), sums, [self._as_halves(value) for value in left])
        return sums

    def _left(self, column: Value) -> list[Value]:
        return self._join([self._load(row, column, 2) for row in self.rows])

    def _join(self, rows: list[Value]) -> list[Value]:
        wide = [self.code.value(f"arith.extsi {value} : vector<2xi8> to vector<2xi16>") for value in rows]
        words = [self.code.value(f"vector.bitcast {value} : vector<2xi16> to vector<1xi32>") for value in wide]
        lanes = [self.code.value(f"vector.broadcast {word} : vector<1xi32> to {self.sums}") for word in words]
        return [self._as_halves(value) for value in lanes]

    def _as_halves(self, lanes: Value) -> Value:
        return self.code.value(f"vector.bitcast {lanes} : {self.sums} to {self._halves}")

    def _widen(self, value: Value) -> Value:
        return self.code.value(f"arith.extsi {value} : vector<8xi8> to {self._halves}")

    def _weights(self, step: Step, block: Value, part: int = 0) -> Value:
        return self._widen(super()._weights(step, block, part))

    def _multiply(self, total: Value, left: Value, right: Value) -> Value:
        kinds = f"({self._halves}, {self._halves}) -> {self.sums}"
        two = self.code.value(f'llvm.call_intrinsic "{_DOT_HALVES}"({left}, {right}) : {kinds}')
        return self.code.value(f"arith.addi {total}, {two} : {self.sums}")
