"""Functions of real numbers on vectors, as code.

The exponential is Cephes' `expf`: 2^n times a polynomial on [-ln 2 / 2, ln 2 / 2], within 2 units in the last place.
"""

from __future__ import annotations

from compile.kernels.mlir_builder import Code, Value, vector_of

# of an exponent: sigmoid and tanh are 0 or 1 in float32 long before, and products of two such powers do not overflow
_LARGEST = 40.0
_MAGIC = 12582912.0  # 1.5 * 2^23: added to a small number it leaves the nearest integer in the last bits
_LN2 = (0.693359375, -2.12194440e-4)  # its first digits exactly, and the rest
_POLYNOMIAL = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)


class Real:
    """Arithmetic on vectors of float32 of one size."""

    def __init__(self, code: Code, lanes: int) -> None:
        """Add to `code`; vectors have `lanes` numbers."""
        self.code, self.lanes = code, lanes
        self.kind, self.whole = vector_of(lanes, "f32"), vector_of(lanes, "i32")

    def number(self, value: float) -> Value:
        """Return a constant in every lane."""
        return self.code.constant(f"dense<{value:.17e}> : {self.kind}")

    def add(self, left: Value, right: Value) -> Value:
        """Add."""
        return self.code.value(f"arith.addf {left}, {right} : {self.kind}")

    def subtract(self, left: Value, right: Value) -> Value:
        """Subtract."""
        return self.code.value(f"arith.subf {left}, {right} : {self.kind}")

    def multiply(self, left: Value, right: Value) -> Value:
        """Multiply."""
        return self.code.value(f"arith.mulf {left}, {right} : {self.kind}")

    def divide(self, left: Value, right: Value) -> Value:
        """Divide."""
        return self.code.value(f"arith.divf {left}, {right} : {self.kind}")

    def fuse(self, left: Value, right: Value, third: Value) -> Value:
        """Return `left * right + third`, rounded once."""
        return self.code.value(f"vector.fma {left}, {right}, {third} : {self.kind}")

    def smaller(self, left: Value, right: Value) -> Value:
        """Return the smaller."""
        return self._choose("olt", left, right)

    def larger(self, left: Value, right: Value) -> Value:
        """Return the larger."""
        return self._choose("ogt", left, right)

    def from_integers(self, value: Value) -> Value:
        """Return int32 as float32."""
        return self.code.value(f"arith.sitofp {value} : {self.whole} to {self.kind}")

    def exponential(self, value: Value) -> Value:
        """Return e to the power of numbers that lie within 40 of zero; others are taken for the nearest of those."""
        inside = self.larger(self.smaller(value, self.number(_LARGEST)), self.number(-_LARGEST))
        magic = self.number(_MAGIC)
        shifted = self.fuse(inside, self.number(1.4426950408889634), magic)
        power = self.subtract(shifted, magic)
        rest = inside
        for part in _LN2:
            rest = self.fuse(power, self.number(-part), rest)
        result = self.number(_POLYNOMIAL[0])
        for coefficient in _POLYNOMIAL[1:]:
            result = self.fuse(result, rest, self.number(coefficient))
        result = self.add(self.fuse(self.multiply(rest, rest), result, rest), self.number(1.0))
        exponent = self.code.value(
            f"arith.shli {self._bits(shifted)}, {self.code.constant(f'dense<23> : {self.whole}')} : {self.whole}"
        )
        scaled = self.code.value(f"arith.addi {self._bits(result)}, {exponent} : {self.whole}")
        return self.code.value(f"vector.bitcast {scaled} : {self.whole} to {self.kind}")

    def to_bytes(self, value: Value) -> Value:
        """Return the int8 of numbers that are 128 more and not negative, cut off:

        how activations are rounded (`pqrnn.model.int8`).
        """
        cut = self.code.value(f"arith.fptosi {value} : {self.kind} to {self.whole}")
        down = self.code.value(f"arith.subi {cut}, {self.code.constant(f'dense<128> : {self.whole}')} : {self.whole}")
        return self.code.value(f"arith.trunci {down} : {self.whole} to {vector_of(self.lanes, 'i8')}")

    def _choose(self, order: str, left: Value, right: Value) -> Value:
        chosen = self.code.value(f"arith.cmpf {order}, {left}, {right} : {self.kind}")
        return self.code.value(f"arith.select {chosen}, {left}, {right} : {vector_of(self.lanes, 'i1')}, {self.kind}")

    def _bits(self, value: Value) -> Value:
        return self.code.value(f"vector.bitcast {value} : {self.kind} to {self.whole}")
