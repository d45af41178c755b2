"""A part of the projection kernel: conjoining jamo become syllables (`pqrnn.features.characters.compose_hangul`)."""

from __future__ import annotations

from collections.abc import Sequence

from compile.kernels.arithmetic import Int32Values
from compile.kernels.memory import allocate_array, load_vector, store_vector
from compile.kernels.mlir_builder import Code, Value
from compile.kernels.utf8_decoder import MARGIN, Utf8Decoder
from pqrnn.features.characters import JAMO_BYTES, LEADS, SYLLABLES, TRAILS, VOWELS

_RECIPROCAL, _SHIFT = 37450, 20  # x * 37450 >> 20 is x // 28 for all syllables


class HangulComposer:
    """Composes the decoded code points of a text, several bytes at a time.

    Attributes:
        codes: int32[MARGIN + size + MARGIN], code points with syllables where they begin.
        counted: int32 of the same shape, 0 where a jamo became part of a syllable before it, and 1 elsewhere.
    """

    def __init__(self, code: Code, decoder: Utf8Decoder) -> None:
        """Reserve memory for what `decoder` decodes."""
        self._code, self._decoder, self._lane = code, decoder, Int32Values(code, decoder.step)
        self.codes, self.counted = (allocate_array(code, decoder.codes.shape[0]) for _ in range(2))

    def compose(self, stop: Value) -> None:
        """Add the composition of all characters before `stop`."""
        code = self._code
        code.loop(code.index(0), stop, code.index(self._decoder.step), (), self._step)

    def _step(self, offset: Value, _: Sequence[Value]) -> tuple[()]:
        lane = self._lane
        here, next1, next2, back1, back2 = (self._look(offset, count) for count in (0, 1, 2, -1, -2))

        def follows(first: Value, second: Value) -> Value:
            return lane.both(self._within(first, LEADS), self._within(second, VOWELS))

        two, taken_vowel, vowel_before = follows(here, next1), follows(back1, here), follows(back2, back1)
        trail = self._within(here, TRAILS)
        closed = lane.both(self._is_open(here), self._within(next1, TRAILS))
        taken = lane.either(taken_vowel, lane.both(trail, lane.either(vowel_before, self._is_open(back1))))
        lead = lane.do("muli", lane.do("subi", here, LEADS.start), 21)
        vowel = lane.do("subi", next1, VOWELS.start)
        whole = lane.do("addi", lane.do("muli", lane.do("addi", lead, vowel), 28), SYLLABLES.start)
        last = lane.select(self._within(next2, TRAILS), lane.do("subi", next2, TRAILS.start - 1), 0)
        syllable = lane.do("addi", lane.do("subi", here, TRAILS.start - 1), next1)
        composed = lane.select(two, lane.do("addi", whole, last), lane.select(closed, syllable, here))
        self._store(lane.select(taken, here, composed), offset, counted=False)
        self._store(lane.select(taken, 0, 1), offset, counted=True)
        return ()

    def _is_open(self, value: Value) -> Value:
        """Return whether code points are syllables without a trailing consonant."""
        lane = self._lane
        index = lane.do("subi", value, SYLLABLES.start)
        group = lane.do("shrui", lane.do("muli", index, _RECIPROCAL), _SHIFT)
        whole = lane.compare("eq", lane.do("muli", group, 28), index)
        return lane.both(self._within(value, SYLLABLES), whole)

    def _within(self, value: Value, codes: range) -> Value:
        lane = self._lane
        return lane.both(lane.compare("sge", value, codes.start), lane.compare("slt", value, codes.stop))

    def _look(self, offset: Value, count: int) -> Value:
        index = self._code.add(offset, self._code.index(MARGIN + count * JAMO_BYTES))
        return load_vector(self._code, self._decoder.codes, (index,), self._decoder.step)

    def _store(self, value: Value, offset: Value, *, counted: bool) -> None:
        index = self._code.add(offset, self._code.index(MARGIN))
        step = self._decoder.step
        store_vector(self._code, value, self.counted if counted else self.codes, (index,), step, step)
