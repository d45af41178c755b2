"""Arithmetic as code: on vectors of float32, and on numbers or vectors of int32.

The exponential is Cephes' `expf`: 2^n times a polynomial on [-ln 2 / 2, ln 2 / 2], with an error of at most 2 ULP.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from compile.kernels.families import InstructionFamily
from compile.kernels.mlir_builder import Code, Value, vector_of
from pqrnn.features.hashing import to_int32

# Largest exponent: sigmoid and tanh are 0 or 1 in float32 long before, and the product of two such powers does not
# overflow.
_LARGEST = 40.0
_MAGIC = 12582912.0  # 1.5 * 2^23: added to a small number it leaves the nearest integer in the last bits
_LN2 = (0.693359375, -2.12194440e-4)  # its first digits exactly, and the rest
_POLYNOMIAL = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
# erf(z) / z on [0, 3.8], by powers of 2 (z / 3.8)^2 - 1: the polynomial through the Chebyshev points, of degree 14.
_ERF_END = 3.8
_ERF = (
    *(0.3721076135, -0.1856413705, 0.1377403883, -0.1111800974, 0.09081587349, -0.07256521544, 0.05517497256),
    *(-0.03874899632, 0.02630480285, -0.01868470503, 0.01059229617, -0.00299137724, 0.001846335064, -0.00279885031),
    0.00118622598,
)
_MIX = ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, None))


def join_lanes(code: Code, value: Value, lanes: int, element: str, join: Callable[[Value, Value], Value]) -> Value:
    """Reduce all lanes of a vector, as many as a power of two, and return the result in every lane."""
    kind, step = vector_of(lanes, element), lanes // 2
    while step:
        picks = ", ".join(str(lane ^ step) for lane in range(lanes))
        value = join(value, code.value(f"vector.shuffle {value}, {value} [{picks}] : {kind}, {kind}"))
        step //= 2
    return value


def add_lanes(code: Code, value: Value, lanes: int) -> Value:
    """Return the sum of all lanes of int32 in every lane."""
    kind = vector_of(lanes, "i32")
    return join_lanes(code, value, lanes, "i32", lambda one, other: code.value(f"arith.addi {one}, {other} : {kind}"))


class Float32Vectors:
    """Arithmetic on vectors of float32 that all have the same number of lanes."""

    def __init__(self, code: Code, family: InstructionFamily) -> None:
        """Write into a function.

        Args:
            code: Function that operations are added to.
            family: Instruction family of the function, whose number of lanes vectors have.
        """
        self.code, self.lanes, self.fused = code, family.lanes, family.fused
        lanes = family.lanes
        self.kind, self.whole = vector_of(lanes, "f32"), vector_of(lanes, "i32")

    def number(self, value: float) -> Value:
        """Return a constant in every lane."""
        return self.code.constant(f"dense<{value:.17e}> : {self.kind}")

    def add(self, left: Value, right: Value) -> Value:
        """Return `left + right`."""
        return self.code.value(f"arith.addf {left}, {right} : {self.kind}")

    def subtract(self, left: Value, right: Value) -> Value:
        """Return `left - right`."""
        return self.code.value(f"arith.subf {left}, {right} : {self.kind}")

    def multiply(self, left: Value, right: Value) -> Value:
        """Return `left * right`."""
        return self.code.value(f"arith.mulf {left}, {right} : {self.kind}")

    def divide(self, left: Value, right: Value) -> Value:
        """Return `left / right`."""
        return self.code.value(f"arith.divf {left}, {right} : {self.kind}")

    def fuse(self, left: Value, right: Value, third: Value) -> Value:
        """Return `left * right + third`, rounded once where the processor can."""
        if not self.fused:
            return self.add(self.multiply(left, right), third)
        return self.code.value(f"vector.fma {left}, {right}, {third} : {self.kind}")

    def smaller(self, left: Value, right: Value) -> Value:
        """Return the smaller of two numbers, lane by lane."""
        return self._choose("olt", left, right)

    def larger(self, left: Value, right: Value) -> Value:
        """Return the larger of two numbers, lane by lane."""
        return self._choose("ogt", left, right)

    def from_integers(self, value: Value) -> Value:
        """Return int32 as float32."""
        return self.code.value(f"arith.sitofp {value} : {self.whole} to {self.kind}")

    def exponential(self, value: Value) -> Value:
        """Return e to the power of numbers, which are cut off at -40 and 40."""
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

    def gelu(self, value: Value) -> Value:
        """Return `x (1 + erf(x / sqrt 2)) / 2` (Hendrycks and Gimpel 2016, arXiv:1606.08415); erf errs by 3e-7."""
        root = self.multiply(value, self.number(0.5**0.5))
        inside = self.larger(self.smaller(root, self.number(_ERF_END)), self.number(-_ERF_END))
        power = self.fuse(self.multiply(inside, inside), self.number(2.0 / _ERF_END**2), self.number(-1.0))
        result = self.number(_ERF[-1])
        for coefficient in reversed(_ERF[:-1]):
            result = self.fuse(result, power, self.number(coefficient))
        half = self.multiply(value, self.number(0.5))
        return self.fuse(half, self.multiply(result, inside), half)

    def square_root(self, value: Value) -> Value:
        """Return the square roots of numbers."""
        return self.code.value(f"math.sqrt {value} : {self.kind}")

    def to_steps(self, value: Value, centre: Value, rate: Value) -> Value:
        """Return the int8 that stand for numbers of `pqrnn.model.int8.ActivationRange.MEASURED`."""
        steps = self.multiply(self.subtract(value, centre), rate)
        inside = self.larger(self.smaller(steps, self.number(127.0)), self.number(-127.0))
        return self.to_bytes(self.add(inside, self.number(128.5)))

    def to_bytes(self, value: Value) -> Value:
        """Return int8, `trunc(value) - 128`, of numbers that are not negative.

        This is how activations are rounded (`pqrnn.model.int8`).
        """
        cut = self.code.value(f"arith.fptosi {value} : {self.kind} to {self.whole}")
        down = self.code.value(f"arith.subi {cut}, {self.code.constant(f'dense<128> : {self.whole}')} : {self.whole}")
        return self.code.value(f"arith.trunci {down} : {self.whole} to {vector_of(self.lanes, 'i8')}")

    def join_lanes(self, value: Value, join: Callable[[Value, Value], Value]) -> Value:
        """Reduce all lanes, and return the result in every lane."""
        return join_lanes(self.code, value, self.lanes, "f32", join)

    def _choose(self, order: str, left: Value, right: Value) -> Value:
        chosen = self.code.value(f"arith.cmpf {order}, {left}, {right} : {self.kind}")
        return self.code.value(f"arith.select {chosen}, {left}, {right} : {vector_of(self.lanes, 'i1')}, {self.kind}")

    def _bits(self, value: Value) -> Value:
        return self.code.value(f"vector.bitcast {value} : {self.kind} to {self.whole}")


class Int32Values:
    """Arithmetic on numbers of type int32, or on vectors of them."""

    def __init__(self, code: Code, lanes: int = 0) -> None:
        """Write into a function.

        Args:
            code: Function that operations are added to.
            lanes: Numbers in a vector; 0 for single numbers.
        """
        self.code, self.lanes = code, lanes
        self.kind = vector_of(lanes, "i32") if lanes else "i32"

    def number(self, value: int) -> Value:
        """Return a constant, modulo 2^32."""
        literal = to_int32(value % (1 << 32))
        return self.code.constant(f"dense<{literal}> : {self.kind}" if self.lanes else f"{literal} : i32")

    def do(self, operation: str, left: Value, right: Value | int) -> Value:
        """Add an operation of the dialect `arith`, such as `addi`."""
        other = self.number(right) if isinstance(right, int) else right
        return self.code.value(f"arith.{operation} {left}, {other} : {self.kind}")

    def compare(self, order: str, left: Value, right: Value | int) -> Value:
        """Return whether two numbers compare as an order such as `slt` says, i1."""
        return self.do(f"cmpi {order},", left, right)

    def select(self, condition: Value, yes: Value | int, no: Value | int) -> Value:
        """Return one of two numbers, lane by lane."""
        chosen, other = (self.number(value) if isinstance(value, int) else value for value in (yes, no))
        kinds = f"{vector_of(self.lanes, 'i1')}, {self.kind}" if self.lanes else self.kind
        return self.code.value(f"arith.select {condition}, {chosen}, {other} : {kinds}")

    def both(self, *conditions: Value) -> Value:
        """Return whether all conditions hold, i1."""
        return self._join("andi", conditions)

    def either(self, *conditions: Value) -> Value:
        """Return whether any condition holds, i1."""
        return self._join("ori", conditions)

    def mix(self, value: Value) -> Value:
        """Add `pqrnn.features.projection.mix`."""
        for shift, factor in _MIX:
            value = self.do("xori", value, self.do("shrui", value, shift))
            value = value if factor is None else self.do("muli", value, factor)
        return value

    def spread(self, value: Value) -> Value:
        """Return a single number in every lane."""
        return self.code.value(f"vector.broadcast {value} : i32 to {self.kind}")

    def _join(self, operation: str, conditions: Sequence[Value]) -> Value:
        kind = vector_of(self.lanes, "i1") if self.lanes else "i1"
        whole = conditions[0]
        for condition in conditions[1:]:
            whole = self.code.value(f"arith.{operation} {whole}, {condition} : {kind}")
        return whole
