"""The first part of the projection kernel: bytes become code points (`pqrnn.features.utf8.decode_utf8`)."""

from __future__ import annotations

from collections.abc import Sequence

from compile.kernels.arithmetic import Int32Values
from compile.kernels.kernel import Buffer
from compile.kernels.memory import allocate_array, load_vector, store_vector
from compile.kernels.mlir_builder import Code, Value, vector_of
from pqrnn.features.unicode_table import REPLACEMENT

MARGIN = 16  # numbers before and after those of arrays over bytes, because neighbours are looked at


class Utf8Decoder:
    """Decodes the bytes of a text, several at a time.

    Attributes:
        codes: int32[MARGIN + size + MARGIN], the code point where a character begins, and zero elsewhere.
        lengths: int32 of the same shape, the bytes of the character that begins there, and zero elsewhere.
        step: How many bytes are decoded at a time.
    """

    def __init__(self, code: Code, text: Buffer, size: int) -> None:
        """Reserve memory.

        Args:
            code: Function that the decoder is written into.
            text: The texts, seen as int8[texts, size].
            size: Bytes of a text.
        """
        self._code, self._text, self._size = code, text, size
        self.step = max(count for count in (4, 8, 16) if not size % count)  # bytes at a time
        self._lane = Int32Values(code, self.step)
        self._bytes, self._claimed, self.codes, self.lengths = (
            allocate_array(code, size + 2 * MARGIN) for _ in range(4)
        )

    def unpack(self) -> Value:
        """Add the conversion of bytes to int32, with zeros around them.

        Returns:
            Index of the end of the text: all bytes from there on are zeros, which are spaces.
        """
        code, step = self._code, self.step
        numbers = Int32Values(code)
        zero = code.constant(f"dense<0> : {vector_of(MARGIN, 'i32')}")
        for array in (self._bytes, self._claimed):
            for start in (0, array.shape[0] - MARGIN):
                store_vector(code, zero, array, (code.index(start),), MARGIN, MARGIN)

        def load(offset: Value, state: Sequence[Value]) -> list[Value]:
            kinds = f"{vector_of(step, 'i8')} to {vector_of(step, 'i32')}"
            narrow = code.value(f"vector.load %text[%group, {offset}] : {self._text.memory}, {vector_of(step, 'i8')}")
            wide = code.value(f"arith.extui {narrow} : {kinds}")
            self._store(wide, self._bytes, offset)
            joined = code.value(f"vector.reduction <or>, {wide} : {vector_of(step, 'i32')} into i32")
            filled = numbers.compare("ne", joined, 0)
            return [code.value(f"arith.select {filled}, {code.add(offset, code.index(step))}, {state[0]} : index")]

        return code.repeat(0, self._size, step, [(code.index(0), "index")], load)[0]

    def decode(self, stop: Value) -> None:
        """Add the decoding of all bytes before `stop`; it fills `codes` and `lengths`."""
        code = self._code
        for body in (self._decode_step, self._begin_step):
            code.loop(code.index(0), stop, code.index(self.step), (), body)

    def close(self, stop: Value) -> None:
        """Add zeros before the first of `codes`, and from `stop` on, for those who look at neighbours."""
        zero = self._code.constant(f"dense<0> : {vector_of(MARGIN, 'i32')}")
        for start in (self._code.index(0), self._code.add(stop, self._code.index(MARGIN))):
            store_vector(self._code, zero, self.codes, (start,), MARGIN, MARGIN)

    def _decode_step(self, offset: Value, _: Sequence[Value]) -> tuple[()]:
        """Add the code points of some bytes, as if a character began at each, and how many bytes that would take."""
        lane = self._lane
        byte, *ahead = (self._look(self._bytes, offset, step) for step in range(4))
        leads = [self._within(byte, low, high) for low, high in ((0xC2, 0xDF), (0xE0, 0xEF), (0xF0, 0xF4))]
        low = lane.select(lane.compare("eq", byte, 0xE0), 0xA0, lane.select(lane.compare("eq", byte, 0xF0), 0x90, 0x80))
        high = lane.select(
            lane.compare("eq", byte, 0xED), 0x9F, lane.select(lane.compare("eq", byte, 0xF4), 0x8F, 0xBF)
        )
        second = self._within(ahead[0], low, high)
        third = lane.both(self._within(ahead[1], 0x80, 0xBF), second)
        fourth = lane.both(self._within(ahead[2], 0x80, 0xBF), third)
        two, three, four = (lane.both(lead, good) for lead, good in zip(leads, (second, third, fourth), strict=True))
        claimed = lane.select(lane.both(lane.either(*leads), second), 2, 1)
        claimed = lane.select(lane.both(lane.either(*leads[1:]), third), 3, claimed)
        claimed = lane.select(four, 4, claimed)
        self._store(claimed, self._claimed, offset)
        tails = [lane.do("andi", tail, 63) for tail in ahead]
        point = lane.select(lane.compare("slt", byte, 0x80), byte, REPLACEMENT)
        for good, bits, used in ((two, 31, 1), (three, 15, 2), (four, 7, 3)):
            whole = lane.do("andi", byte, bits)
            for tail in tails[:used]:
                whole = lane.do("ori", lane.do("shli", whole, 6), tail)
            point = lane.select(good, whole, point)
        self._store(point, self.codes, offset)
        return ()

    def _begin_step(self, offset: Value, _: Sequence[Value]) -> tuple[()]:
        """Add the zeros at bytes that belong to a character before them."""
        lane = self._lane
        taken = lane.either(
            *(lane.compare("sgt", self._look(self._claimed, offset, -step), step) for step in (1, 2, 3))
        )
        index = self._code.add(offset, self._code.index(MARGIN))
        for source, destination in ((self.codes, self.codes), (self._claimed, self.lengths)):
            value = lane.select(taken, 0, self._look(source, offset, 0))
            store_vector(self._code, value, destination, (index,), self.step, self.step)
        return ()

    def _within(self, value: Value, low: Value | int, high: Value | int) -> Value:
        lane = self._lane
        return lane.both(lane.compare("sge", value, low), lane.compare("sle", value, high))

    def _look(self, array: Buffer, offset: Value, step: int) -> Value:
        """Load from an array over bytes, some bytes further on."""
        return load_vector(self._code, array, (self._code.add(offset, self._code.index(MARGIN + step)),), self.step)

    def _store(self, value: Value, array: Buffer, offset: Value) -> None:
        index = self._code.add(offset, self._code.index(MARGIN))
        store_vector(self._code, value, array, (index,), self.step, self.step)
