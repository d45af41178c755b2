"""The shader of a QRNN layer's gates and states, a thread for each channel of each direction of each text."""

from __future__ import annotations

from collections.abc import Sequence

from compile.kernels.kernel import Buffer
from compile.kernels.mlir_builder import Code, Value
from compile.kernels.shaders.shader import Shader, last_at_most, load, store

_GATES = 3  # candidate, forget, output


def recurrence_shader(name: str, texts: int, words: int, state: int, taps: int) -> Shader:
    """Return the shader of the recurrence of a layer.

    Args:
        name: Name of the function.
        texts: Number of texts, B.
        words: Number of rows of each text, T.
        state: Number of channels of each direction.
        taps: Number of words that a gate sees.

    Returns:
        A shader of sums int32[B * T, 2 * taps * 3 * state], scales and biases of the gates float32[2, 2 * 3 * state],
        and mask float32[B * T], to float32[B * T, 2 * state].
    """
    rows = texts * words
    sums = Buffer("%sums", (rows, 2 * taps * _GATES * state), "i32")
    affine = Buffer("%affine", (2, 2 * _GATES * state), "f32")
    mask = Buffer("%mask", (rows,), "f32")
    out = Buffer("%out", (rows, 2 * state), "f32")
    code = _Recurrence(sums, affine, mask, out, words, state, taps).write(texts)
    return Shader(name, (sums, affine, mask), (out,), texts * 2 * state, code)


class _Recurrence:
    """The code of the recurrence of one channel."""

    def __init__(
        self, sums: Buffer, affine: Buffer, mask: Buffer, out: Buffer, words: int, state: int, taps: int
    ) -> None:
        self._code = Code()
        self._sums, self._affine, self._mask, self._out = sums, affine, mask, out
        self._words, self._state, self._taps = words, state, taps

    def write(self, texts: int) -> str:
        """Return the code for a number of texts."""
        code, state, words = self._code, self._state, self._words
        thread = last_at_most(code, "%thread", texts * 2 * state)
        text = self._divide(thread, 2 * state)
        half = self._divide(self._rest(thread, 2 * state), state)
        channel = self._rest(thread, state)
        backward = code.value(f"arith.cmpi ne, {half}, {code.index(0)} : index")
        base = code.times(text, words)
        gates = [
            code.add(code.add(code.times(half, _GATES * state), channel), code.index(gate * state))
            for gate in range(_GATES)
        ]
        scales, biases = ([load(code, self._affine, code.index(row), gate) for gate in gates] for row in (0, 1))
        column = code.add(code.times(half, self._taps * _GATES * state), channel)

        def step(number: Value, carried: list[Value]) -> Sequence[Value]:
            mirrored = code.value(f"arith.subi {code.index(words - 1)}, {number} : index")
            word = self._choose(backward, mirrored, number, "index")
            row = code.add(base, word)
            totals = [self._add_taps(base, word, backward, code.add(column, code.index(k * state))) for k in range(3)]
            candidate, forget, output = (
                self._scale(total, scale, bias) for total, scale, bias in zip(totals, scales, biases, strict=True)
            )
            keep, gate = self._sigmoid(forget), self._sigmoid(output)
            present = load(code, self._mask, row)
            fresh = self._multiply(
                self._multiply(
                    self._operate("subf", self._number("1.0"), keep), code.value(f"math.tanh {candidate} : f32")
                ),
                present,
            )
            now = self._operate("addf", fresh, self._multiply(keep, carried[0]))
            result = self._multiply(self._multiply(gate, now), present)
            store(code, result, self._out, row, code.add(code.times(half, state), channel))
            return [now]

        code.repeat(0, words, 1, [(self._number("0.0"), "f32")], step)
        return str(code)

    def _add_taps(self, base: Value, word: Value, backward: Value, column: Value) -> Value:
        """Add the sums of one gate over the words that it sees, which are before or after its own."""
        code = self._code
        total = load(code, self._sums, code.add(base, word), column)
        for reach in range(1, min(self._taps, self._words)):
            distance = code.index(reach)
            before = code.value(f"arith.subi {word}, {distance} : index")
            other = self._choose(backward, code.add(word, distance), before, "index")
            # An index below zero is a large one without a sign.
            inside = code.value(f"arith.cmpi ult, {other}, {code.index(self._words)} : index")
            seen = self._choose(inside, other, code.index(0), "index")
            place = code.add(column, code.index(reach * _GATES * self._state))
            more = load(code, self._sums, code.add(base, seen), place)
            kept = self._choose(inside, more, code.constant("0 : i32"), "i32")
            total = code.value(f"arith.addi {total}, {kept} : i32")
        return total

    def _scale(self, total: Value, scale: Value, bias: Value) -> Value:
        real = self._code.value(f"arith.sitofp {total} : i32 to f32")
        return self._operate("addf", self._multiply(real, scale), bias)

    def _sigmoid(self, value: Value) -> Value:
        one = self._number("1.0")
        power = self._code.value(f"math.exp {self._operate('subf', self._number('0.0'), value)} : f32")
        return self._operate("divf", one, self._operate("addf", one, power))

    def _multiply(self, left: Value, right: Value) -> Value:
        return self._operate("mulf", left, right)

    def _operate(self, operation: str, left: Value, right: Value) -> Value:
        return self._code.value(f"arith.{operation} {left}, {right} : f32")

    def _choose(self, condition: Value, one: Value, other: Value, kind: str) -> Value:
        return self._code.value(f"arith.select {condition}, {one}, {other} : {kind}")

    def _number(self, literal: str) -> Value:
        return self._code.constant(f"{literal} : f32")

    def _divide(self, value: Value, by: int) -> Value:
        return self._code.value(f"arith.divui {value}, {self._code.index(by)} : index")

    def _rest(self, value: Value, by: int) -> Value:
        return self._code.value(f"arith.remui {value}, {self._code.index(by)} : index")
