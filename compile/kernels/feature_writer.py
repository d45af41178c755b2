"""The last part of the projection kernel: hashes are stretched to ternary features (`pqrnn.features.projection`)."""

from __future__ import annotations

from collections.abc import Sequence

from compile.kernels.arithmetic import Int32Values
from compile.kernels.kernel import Buffer
from compile.kernels.memory import load_element, load_vector, store_vector
from compile.kernels.mlir_builder import Code, Value, vector_of
from pqrnn.features.hashing import FEATURES_PER_HASH


class FeatureWriter:
    """Writes the features of one word, with two 16-bit counters in every 32-bit lane."""

    def __init__(self, code: Code, lanes: int, seeds: Buffer, hashes: Buffer, features: Buffer) -> None:
        """Write into a function.

        Args:
            code: Function that operations are added to.
            lanes: 32-bit numbers in a vector.
            seeds: int32[features / 16], the seeds of the features.
            hashes: int32[n], the hashes of a word, of which the first are stretched.
            features: int8 or float32[rows, features], where they are written.
        """
        self._code, self._lanes = code, lanes
        self._seeds, self._hashes, self._features = seeds, hashes, features
        self._vectors = Int32Values(code, lanes)
        self._pairs = vector_of(2 * lanes, "i16")

    def stretch(self, row: Value, first: int, size: int, count: Value, *, clip: bool = False) -> None:
        """Add the features that a range of seeds makes of the hashes, summed over the hashes.

        Args:
            row: Row of the features.
            first: Index of the first seed.
            size: Number of seeds; each makes 16 features.
            count: Number of hashes.
            clip: Whether the sums are clipped to -1 and 1.
        """
        code, vectors, pairs = self._code, self._vectors, self._pairs
        ones = code.constant(f"dense<1> : {pairs}")

        def halves(value: Value) -> Value:
            return code.value(f"vector.bitcast {value} : {vectors.kind} to {pairs}")

        def group(number: Value, _: Sequence[Value]) -> tuple[()]:
            index = code.add(number, code.index(first))
            seeds = load_vector(code, self._seeds, (index,), self._lanes)

            def add(position: Value, sums: list[Value]) -> list[Value]:
                spread = vectors.spread(load_element(code, self._hashes, position))
                bits = vectors.mix(vectors.do("xori", spread, seeds))
                totals = []
                # The upper half of a lane has the feature that is 8 further on.
                for feature, total in enumerate(sums):
                    shifted = (
                        vectors.do("shrui", bits, shift) if shift else bits for shift in (2 * feature, 2 * feature + 1)
                    )
                    plus, minus = (code.value(f"arith.andi {halves(part)}, {ones} : {pairs}") for part in shifted)
                    difference = code.value(f"arith.subi {plus}, {minus} : {pairs}")
                    totals.append(code.value(f"arith.addi {total}, {difference} : {pairs}"))
                return totals

            zero = code.constant(f"dense<0> : {pairs}")
            carried = [(zero, pairs)] * (FEATURES_PER_HASH // 2)
            sums = code.loop(code.index(0), count, code.index(1), carried, add)
            if clip:
                for operation, bound in (("minsi", 1), ("maxsi", -1)):
                    sums = [
                        code.value(f"arith.{operation} {total}, {code.constant(f'dense<{bound}> : {pairs}')} : {pairs}")
                        for total in sums
                    ]
            self._store(row, code.times(index, FEATURES_PER_HASH), sums)
            return ()

        code.repeat(0, size, self._lanes, (), group)

    def _store(self, row: Value, column: Value, sums: list[Value]) -> None:
        """Add the store of counters, with the features of a hash side by side.

        Four of them are put into a lane, then four lanes of a hash together.
        """
        code, vectors, pairs = self._code, self._vectors, self._pairs
        words = [code.value(f"vector.bitcast {total} : {pairs} to {vectors.kind}") for total in sums]
        quads = []
        for half in (0, 16):
            for start in (0, 4):
                parts = [
                    vectors.do("andi", vectors.do("shrui", word, half) if half else word, 255)
                    for word in words[start : start + 4]
                ]
                whole = parts[0]
                for number, part in enumerate(parts[1:], 1):
                    whole = vectors.do("ori", whole, vectors.do("shli", part, 8 * number))
                quads.append(whole)
        wide = 4 * self._lanes
        whole = self._interleave(
            self._interleave(quads[0], quads[1], self._lanes, 1),
            self._interleave(quads[2], quads[3], self._lanes, 1),
            2 * self._lanes,
            2,
        )
        values = code.value(f"vector.bitcast {whole} : {vector_of(wide, 'i32')} to {vector_of(4 * wide, 'i8')}")
        if self._features.element == "f32":
            values = code.value(f"arith.sitofp {values} : {vector_of(4 * wide, 'i8')} to {vector_of(4 * wide, 'f32')}")
        store_vector(code, values, self._features, (row, column), 4 * wide, 4 * wide)

    def _interleave(self, left: Value, right: Value, size: int, step: int) -> Value:
        """Lay runs of `step` numbers of two vectors of `size` numbers side by side, in turns."""
        picks = [
            half * size + run * step + lane for run in range(size // step) for half in (0, 1) for lane in range(step)
        ]
        kinds = ", ".join([vector_of(size, "i32")] * 2)
        return self._code.value(f"vector.shuffle {left}, {right} [{', '.join(map(str, picks))}] : {kinds}")
