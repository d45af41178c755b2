"""The projection kernel: bytes to words and their features (`pqrnn.features.projection`), a text a group, bit for bit.

Compiled operation by operation the projection is some eighty launches over arrays of words times bytes. Here a text is
read once, character by character; what is kept of it are the hashes of its words' characters, and for each word the
hashes of its n-grams. These are stretched to features with two 16-bit counters in every 32-bit lane. It needs no
special instruction, only vectors of int32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from compile.kernels.kernel import Buffer, Kernel
from compile.kernels.mlir_builder import Code, Value, memory_of, vector_of
from compile.kernels.product import load_vector, store_vector
from pqrnn.features.projection import (
    CHARACTER_SALT,
    END_MARK,
    FEATURES_PER_HASH,
    MULTIPLIER,
    SHAPE_SALT,
    START_MARK,
    ProjectionConfig,
    mix_number,
    to_int32,
)
from pqrnn.features.unicode_table import BLOCK_BITS, REPLACEMENT, BreakClass

_MARGIN = 16  # of arrays over bytes, on both sides: neighbours are looked at
_MIX = ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, None))


@dataclass(frozen=True, slots=True)
class TextSizes:
    """Shape of a projection.

    Attributes:
        texts: How many.
        size: Bytes of each, a multiple of 4.
        words: Rows that each gets.
        config: Of the features.
        real: Whether they are float32 instead of int8.
        rest: Whether all rows past a text's words are zeros, and not only the first of a text without any.
    """

    texts: int
    size: int
    words: int
    config: ProjectionConfig
    real: bool = False
    rest: bool = False


class _Integers:
    """Arithmetic on int32, one or `lanes` of them."""

    def __init__(self, code: Code, lanes: int = 0) -> None:
        self.code, self.lanes = code, lanes
        self.kind = vector_of(lanes, "i32") if lanes else "i32"

    def number(self, value: int) -> Value:
        literal = to_int32(value % (1 << 32))
        return self.code.constant(f"dense<{literal}> : {self.kind}" if self.lanes else f"{literal} : i32")

    def do(self, operation: str, left: Value, right: Value | int) -> Value:
        """Add an operation of `arith`, such as `addi`."""
        other = self.number(right) if isinstance(right, int) else right
        return self.code.value(f"arith.{operation} {left}, {other} : {self.kind}")

    def compare(self, order: str, left: Value, right: Value | int) -> Value:
        """Return whether, i1."""
        return self.do(f"cmpi {order},", left, right)

    def select(self, condition: Value, yes: Value | int, no: Value | int) -> Value:
        one, other = (self.number(each) if isinstance(each, int) else each for each in (yes, no))
        kinds = f"{vector_of(self.lanes, 'i1')}, {self.kind}" if self.lanes else self.kind
        return self.code.value(f"arith.select {condition}, {one}, {other} : {kinds}")

    def both(self, *conditions: Value) -> Value:
        return self._join("andi", conditions)

    def either(self, *conditions: Value) -> Value:
        return self._join("ori", conditions)

    def mix(self, value: Value) -> Value:
        """Add `pqrnn.features.projection.mix`."""
        for shift, factor in _MIX:
            value = self.do("xori", value, self.do("shrui", value, shift))
            value = value if factor is None else self.do("muli", value, factor)
        return value

    def spread(self, value: Value) -> Value:
        return self.code.value(f"vector.broadcast {value} : i32 to {self.kind}")

    def _join(self, operation: str, conditions: Sequence[Value]) -> Value:
        kind = vector_of(self.lanes, "i1") if self.lanes else "i1"
        whole = conditions[0]
        for condition in conditions[1:]:
            whole = self.code.value(f"arith.{operation} {whole}, {condition} : {kind}")
        return whole


def projection_kernel(name: str, lanes: int, sizes: TextSizes, tables: Sequence[int]) -> Kernel:
    """Return the kernel of a projection.

    It reads texts int32[texts, size / 4], the table of code points as `compile.kernels.packing.pack_table` has it
    (three parts, whose lengths are `tables`), and the seeds of both kinds of features as one int32[features / 16]. It
    writes features int8 (or float32)[texts * words, features], the mask float32[texts * words] of words that are there,
    spans int32[texts * words, 2], and how many words there are, int32[texts]. Rows past a text's words are left as they
    are, but for the first, or are zeros (`TextSizes.rest`).
    """
    return _Projection(lanes, sizes, tables).write(name)


class _Projection:
    """The kernel in the making."""

    def __init__(self, lanes: int, sizes: TextSizes, tables: Sequence[int]) -> None:
        config = sizes.config
        self.sizes, self.config = sizes, config
        self.hashes = (config.word_features // FEATURES_PER_HASH, config.ngram_features // FEATURES_PER_HASH)
        self.lanes = max(
            count for count in (1, 2, 4, 8, 16) if count <= lanes and not any(each % count for each in self.hashes)
        )
        self.over = max(count for count in (4, 8, 16) if not sizes.size % count)  # bytes at a time
        rows = sizes.texts * sizes.words
        self.code = Code()
        self.one, self.many = _Integers(self.code), _Integers(self.code, self.lanes)
        self.text = Buffer("%text", (sizes.texts, sizes.size // 4), "i32", seen=("i8", (sizes.texts, sizes.size)))
        kinds = ("%blocks", "i8"), ("%numbers", "i8"), ("%entries", "i32")
        self.tables = [Buffer(table, (size,), element) for (table, element), size in zip(kinds, tables, strict=True)]
        self.seeds = Buffer("%seeds", (sum(self.hashes),), "i32")
        self.features = Buffer("%features", (rows, config.features), "f32" if sizes.real else "i8")
        self.mask, self.spans = Buffer("%mask", (rows,), "f32"), Buffer("%spans", (rows, 2), "i32")
        self.count = Buffer("%count", (sizes.texts,), "i32")
        wide, slots = sizes.size + 2 * _MARGIN, sizes.words + 1
        self.bytes, self.claimed, self.codes, self.lengths = (self._array(wide) for _ in range(4))
        self.hashed = self._array(sizes.size)
        # By word; the last place is for what belongs to none.
        self.first, self.next, self.start, self.end, self.kind, self.upper, self.before, self.after = (
            self._array(slots) for _ in range(8)
        )
        self.grams = self._array(sizes.size * len(config.ngrams) + 1)
        self.row = self.code.times("%group", sizes.words)

    def write(self, name: str) -> Kernel:
        self.stop = self._unpack()
        self._decode()
        self._cut()
        self.code.repeat(0, self.sizes.words, 1, (), self._word)
        reads, writes = (self.text, *self.tables, self.seeds), (self.features, self.mask, self.spans, self.count)
        return Kernel(name, reads, writes, self.sizes.texts, str(self.code))

    def _array(self, size: int) -> Buffer:
        memory = memory_of((size,), "i32")
        return Buffer(self.code.value(f"memref.alloca() : {memory}"), (size,), "i32")

    def _load(self, array: Buffer, place: Value) -> Value:
        return self.code.value(f"memref.load {array.name}[{place}] : {array.memory}")

    def _store(self, value: Value, array: Buffer, place: Value) -> None:
        self.code.line(f"memref.store {value}, {array.name}[{place}] : {array.memory}")

    def _to_index(self, value: Value) -> Value:
        return self.code.value(f"arith.index_cast {value} : i32 to index")

    def _to_number(self, index: Value) -> Value:
        return self.code.value(f"arith.index_cast {index} : index to i32")

    def _look(self, array: Buffer, place: Value, offset: int, lanes: int) -> Value:
        """Load from an array over bytes, some bytes further on."""
        return load_vector(self.code, array, (self.code.add(place, self.code.index(_MARGIN + offset)),), lanes)

    def _unpack(self) -> Value:
        """Add bytes as int32, with zeros around them, and zeros where words will be.

        Return where the text ends: after it are but zero bytes, which are spaces.
        """
        code, over = self.code, self.over
        zero = code.constant(f"dense<0> : {vector_of(_MARGIN, 'i32')}")
        for array in (self.bytes, self.claimed):
            for place in (0, array.shape[0] - _MARGIN):
                store_vector(code, zero, array, (code.index(place),), _MARGIN, _MARGIN)

        def load(place: Value, state: Sequence[Value]) -> list[Value]:
            kinds = f"{vector_of(over, 'i8')} to {vector_of(over, 'i32')}"
            bytes_ = code.value(f"vector.load %text[%group, {place}] : {self.text.memory}, {vector_of(over, 'i8')}")
            wide = code.value(f"arith.extui {bytes_} : {kinds}")
            store_vector(code, wide, self.bytes, (code.add(place, code.index(_MARGIN)),), over, over)
            any_ = code.value(f"vector.reduction <or>, {wide} : {vector_of(over, 'i32')} into i32")
            there = self.one.compare("ne", any_, 0)
            return [code.value(f"arith.select {there}, {code.add(place, code.index(over))}, {state[0]} : index")]

        stop = code.repeat(0, self.sizes.size, over, [(code.index(0), "index")], load)[0]

        def clear(place: Value, _: Sequence[Value]) -> tuple[()]:
            for array in (self.first, self.next, self.start, self.end, self.kind, self.upper, self.before, self.after):
                self._store(self.one.number(0), array, place)
            return ()

        code.repeat(0, self.sizes.words + 1, 1, (), clear)
        return stop

    def _decode(self) -> None:
        """Add `pqrnn.features.projection.decode_utf8`: code point and length where a character begins, else zeros."""
        code, over = self.code, self.over
        lane = _Integers(code, over)

        def within(value: Value, low: Value | int, high: Value | int) -> Value:
            return lane.both(lane.compare("sge", value, low), lane.compare("sle", value, high))

        def decode(place: Value, _: Sequence[Value]) -> tuple[()]:
            byte, *ahead = (self._look(self.bytes, place, step, over) for step in range(4))
            leads = [within(byte, low, high) for low, high in ((0xC2, 0xDF), (0xE0, 0xEF), (0xF0, 0xF4))]
            low = lane.select(
                lane.compare("eq", byte, 0xE0), 0xA0, lane.select(lane.compare("eq", byte, 0xF0), 0x90, 0x80)
            )
            high = lane.select(
                lane.compare("eq", byte, 0xED), 0x9F, lane.select(lane.compare("eq", byte, 0xF4), 0x8F, 0xBF)
            )
            second = within(ahead[0], low, high)
            third = lane.both(within(ahead[1], 0x80, 0xBF), second)
            fourth = lane.both(within(ahead[2], 0x80, 0xBF), third)
            two, three, four = (
                lane.both(lead, good) for lead, good in zip(leads, (second, third, fourth), strict=True)
            )
            claimed = lane.select(lane.both(lane.either(*leads), second), 2, 1)
            claimed = lane.select(lane.both(lane.either(*leads[1:]), third), 3, claimed)
            claimed = lane.select(four, 4, claimed)
            store_vector(code, claimed, self.claimed, (code.add(place, code.index(_MARGIN)),), over, over)
            tails = [lane.do("andi", each, 63) for each in ahead]
            point = lane.select(lane.compare("slt", byte, 0x80), byte, REPLACEMENT)
            for good, bits, used in ((two, 31, 1), (three, 15, 2), (four, 7, 3)):
                whole = lane.do("andi", byte, bits)
                for tail in tails[:used]:
                    whole = lane.do("ori", lane.do("shli", whole, 6), tail)
                point = lane.select(good, whole, point)
            store_vector(code, point, self.codes, (code.add(place, code.index(_MARGIN)),), over, over)
            return ()

        def begin(place: Value, _: Sequence[Value]) -> tuple[()]:
            taken = lane.either(
                *(lane.compare("sgt", self._look(self.claimed, place, -step, over), step) for step in (1, 2, 3))
            )
            at = (code.add(place, code.index(_MARGIN)),)
            for source, destination in ((self.codes, self.codes), (self.claimed, self.lengths)):
                store_vector(
                    code, lane.select(taken, 0, self._look(source, place, 0, over)), destination, at, over, over
                )
            return ()

        for body in (decode, begin):
            code.loop(code.index(0), self.stop, code.index(over), (), body)

    def _cut(self) -> None:
        """Add the walk over characters that finds words:

        what is kept of each word, and the hashes of its characters.
        """
        one, code = self.one, self.code
        zero = one.number(0)
        last = one.number(self.sizes.words)

        def step(place: Value, state: list[Value]) -> list[Value]:
            before, base, other, words, kept, uppers = state
            at = code.add(place, code.index(_MARGIN))
            point, length = self._load(self.codes, at), self._load(self.lengths, at)
            real = one.compare("sgt", length, 0)
            entry = self._entry(point)
            kind, folded = one.do("andi", entry, 15), one.do("addi", point, one.do("shrsi", entry, 4))
            position = self._to_number(place)
            finish = one.do("addi", position, length)
            starts = one.both(real, self._starts(kind, position, before, base, other))
            inside = one.both(real, one.compare("ne", kind, int(BreakClass.SPACE)))
            words = one.do("addi", words, one.select(starts, 1, 0))
            stays = one.both(inside, one.compare("sle", words, last))
            slot = self._to_index(one.select(stays, one.do("subi", words, 1), last))
            first_slot = self._to_index(one.select(one.both(stays, starts), one.do("subi", words, 1), last))
            upper = one.select(one.compare("ne", folded, point), 1, 0)
            self._store(
                one.mix(one.do("addi", one.do("muli", folded, MULTIPLIER), CHARACTER_SALT)),
                self.hashed,
                self._to_index(kept),
            )
            for value, array in (
                (kept, self.first),
                (position, self.start),
                (kind, self.kind),
                (upper, self.upper),
                (uppers, self.before),
            ):
                self._store(value, array, first_slot)
            kept = one.do("addi", kept, one.select(stays, 1, 0))
            uppers = one.do("addi", uppers, one.select(stays, upper, 0))
            for value, array in ((kept, self.next), (finish, self.end), (uppers, self.after)):
                self._store(value, array, slot)
            key = one.do("addi", one.do("muli", finish, 16), kind)
            plain = one.both(real, one.compare("slt", kind, int(BreakClass.EXTEND)))
            return [
                one.select(real, key, before),
                one.select(plain, key, base),
                one.select(one.both(real, one.compare("ne", kind, int(BreakClass.REGIONAL))), finish, other),
                words,
                kept,
                uppers,
            ]

        # One more place than characters: what is written there after the last is never read.
        result = self._range(code.index(0), self.stop, [(zero, "i32")] * 6, step)
        self._store(result[3], self.count, "%group")

    def _entry(self, point: Value) -> Value:
        """Look a code point up."""
        one, (blocks, numbers, entries) = self.one, self.tables

        def look(table: Buffer, place: Value) -> Value:
            return self.code.value(f"arith.extui {self._load(table, self._to_index(place))} : i8 to i32")

        block = look(blocks, one.do("shrui", point, BLOCK_BITS))
        place = one.do("addi", one.do("muli", block, 1 << BLOCK_BITS), one.do("andi", point, (1 << BLOCK_BITS) - 1))
        return self._load(entries, self._to_index(look(numbers, place)))

    def _starts(self, kind: Value, position: Value, before: Value, base: Value, other: Value) -> Value:
        """Add the rules of words:

        whether a character begins one. `before`, `base` and `other` are as in `Projection._find_starts`.
        """
        one = self.one

        def is_(value: Value, wanted: BreakClass) -> Value:
            return one.compare("eq", value, int(wanted))

        before_kind, base_kind = one.do("andi", before, 15), one.do("andi", base, 15)
        same = one.compare("eq", kind, base_kind)
        odd = one.compare("ne", one.do("andi", one.do("shrsi", one.do("subi", position, other), 2), 1), 0)
        goes_on = one.either(
            one.both(same, one.either(is_(kind, BreakClass.LETTER), is_(kind, BreakClass.DIGIT))),
            one.both(
                one.compare("sge", kind, int(BreakClass.EXTEND)), one.compare("ne", before_kind, int(BreakClass.SPACE))
            ),
            one.both(same, is_(kind, BreakClass.PICTOGRAPH), is_(before_kind, BreakClass.JOINER)),
            one.both(is_(kind, BreakClass.REGIONAL), is_(before_kind, BreakClass.REGIONAL), odd),
        )
        ends = self.code.value(f"arith.xori {goes_on}, {self.code.constant('true')} : i1")
        return one.both(one.compare("ne", kind, int(BreakClass.SPACE)), ends)

    def _word(self, word: Value, _: Sequence[Value]) -> tuple[()]:
        """Add what is written of a word."""
        one, code = self.one, self.code
        row = code.add(self.row, word)
        total = self._load(self.count, "%group")
        present = one.compare("slt", self._to_number(word), total)
        real = code.value(f"arith.uitofp {present} : i1 to f32")
        self._store(real, self.mask, row)
        for side, array in enumerate((self.start, self.end)):
            code.line(
                f"memref.store {self._load(array, word)}, %spans[{row}, {code.index(side)}] : {self.spans.memory}"
            )
        with code.when(present) as otherwise:
            begin, end = (self._to_index(self._load(array, word)) for array in (self.first, self.next))
            self._word_part(row, begin, end)
            if self.hashes[1]:
                self._gram_part(row, word, begin, end)
            otherwise()
            with code.when(
                code.constant("true")
                if self.sizes.rest
                else code.value(f"arith.cmpi eq, {word}, {code.index(0)} : index")
            ):
                self._clear(row)
        return ()

    def _clear(self, row: Value) -> None:
        step = 16  # the number of features is a multiple of it
        zero = self.code.constant(
            f"dense<{'0.0' if self.sizes.real else '0'}> : {vector_of(step, self.features.element)}"
        )

        def store(column: Value, _: Sequence[Value]) -> tuple[()]:
            store_vector(self.code, zero, self.features, (row, column), step, step)
            return ()

        self.code.repeat(0, self.config.features, step, (), store)

    def _word_part(self, row: Value, begin: Value, end: Value) -> None:
        """Add the features of the word's own hash, the polynomial of its characters' hashes."""
        one = self.one

        def step(place: Value, state: list[Value]) -> list[Value]:
            value, power = state
            return [
                one.do("addi", value, one.do("muli", self._load(self.hashed, place), power)),
                one.do("muli", power, MULTIPLIER),
            ]

        value, _ = self._range(begin, end, [(one.number(0), "i32"), (one.number(1), "i32")], step)
        self._store(value, self.grams, self.code.index(0))
        self._stretch(row, 0, self.hashes[0], self.code.index(1))

    def _gram_part(self, row: Value, word: Value, begin: Value, end: Value) -> None:
        """Add the features of n-grams and shape."""
        one, code = self.one, self.code
        size = self._to_number(code.value(f"arith.subi {end}, {begin} : index"))
        uppers = one.do("subi", self._load(self.after, word), self._load(self.before, word))
        shape = one.do("muli", self._load(self.kind, word), 65536)
        shape = one.do("addi", shape, one.do("muli", one.do("minsi", size, 15), 4096))
        shape = one.do("addi", shape, one.do("muli", self._load(self.upper, word), 2))
        shape = one.do("addi", shape, one.select(one.compare("sgt", uppers, 1), 1, 0))
        self._store(one.mix(one.do("addi", one.do("muli", shape, MULTIPLIER), SHAPE_SALT)), self.grams, code.index(0))
        filled = code.index(1)
        for order in self.config.ngrams:
            filled = self._grams(order, begin, end, filled)
        self._stretch(row, self.hashes[0], self.hashes[1], filled, clip=True)

    def _grams(self, order: int, begin: Value, end: Value, filled: Value) -> Value:
        """Add the hashes of n-grams of one length behind those that are there; return how many there are then."""
        one, code = self.one, self.code
        stop = code.value(f"arith.subi {end}, {code.index(order - 1)} : index")

        def step(place: Value, state: list[Value]) -> list[Value]:
            value = self._load(self.hashed, code.add(place, code.index(order - 1)))
            for back in range(order - 2, -1, -1):
                here = self._load(self.hashed, code.add(place, code.index(back)))
                value = one.do("addi", here, one.do("muli", value, MULTIPLIER))
            first = code.value(f"arith.cmpi eq, {place}, {begin} : index")
            last = code.value(f"arith.cmpi eq, {code.add(place, code.index(order))}, {end} : index")
            marks = one.do("addi", one.select(first, START_MARK, 0), one.select(last, END_MARK, 0))
            self._store(one.do("addi", one.do("addi", value, marks), mix_number(order)), self.grams, state[0])
            return [code.add(state[0], code.index(1))]

        return self._range(begin, stop, [(filled, "index")], step)[0]

    def _stretch(self, row: Value, offset: int, hashes: int, count: Value, *, clip: bool = False) -> None:
        """Add ternary numbers of the first `count` hashes in `grams`, summed, from the hash `offset` on.

        `clip`: whether the sums are cut off at -1 and 1.
        """
        code, many = self.code, self.many
        pairs = vector_of(2 * self.lanes, "i16")
        ones = code.constant(f"dense<1> : {pairs}")

        def halves(value: Value) -> Value:
            return code.value(f"vector.bitcast {value} : {many.kind} to {pairs}")

        def group(number: Value, _: Sequence[Value]) -> tuple[()]:
            place = code.add(number, code.index(offset))
            seeds = load_vector(code, self.seeds, (place,), self.lanes)

            def add(gram: Value, sums: list[Value]) -> list[Value]:
                bits = many.mix(many.do("xori", many.spread(self._load(self.grams, gram)), seeds))
                found = []
                for feature, total in enumerate(
                    sums
                ):  # of which the upper half of a lane has the one that is 8 further on
                    plus, minus = (
                        code.value(
                            f"arith.andi {halves(many.do('shrui', bits, shift) if shift else bits)}, {ones} : {pairs}"
                        )
                        for shift in (2 * feature, 2 * feature + 1)
                    )
                    difference = code.value(f"arith.subi {plus}, {minus} : {pairs}")
                    found.append(code.value(f"arith.addi {total}, {difference} : {pairs}"))
                return found

            zero = code.constant(f"dense<0> : {pairs}")
            sums = self._range(code.index(0), count, [(zero, pairs)] * (FEATURES_PER_HASH // 2), add)
            if clip:
                for operation, bound in (("minsi", 1), ("maxsi", -1)):
                    sums = [
                        code.value(f"arith.{operation} {each}, {code.constant(f'dense<{bound}> : {pairs}')} : {pairs}")
                        for each in sums
                    ]
            self._store_features(row, code.times(place, FEATURES_PER_HASH), sums)
            return ()

        code.repeat(0, hashes, self.lanes, (), group)

    def _store_features(self, row: Value, column: Value, sums: list[Value]) -> None:
        """Add the store of counters, the features of a hash side by side:

        four of them in a lane, then four lanes of a hash together.
        """
        code, many = self.code, self.many
        pairs = vector_of(2 * self.lanes, "i16")
        words = [code.value(f"vector.bitcast {each} : {pairs} to {many.kind}") for each in sums]
        quads = []
        for half in (0, 16):
            for start in (0, 4):
                parts = [
                    many.do("andi", many.do("shrui", word, half) if half else word, 255)
                    for word in words[start : start + 4]
                ]
                whole = parts[0]
                for place, part in enumerate(parts[1:], 1):
                    whole = many.do("ori", whole, many.do("shli", part, 8 * place))
                quads.append(whole)
        wide = 4 * self.lanes

        def join(left: Value, right: Value, size: int, step: int) -> Value:
            """Lay runs of `step` numbers of two vectors side by side in turns."""
            picks = [
                half * size + run * step + each
                for run in range(size // step)
                for half in (0, 1)
                for each in range(step)
            ]
            kinds = ", ".join([vector_of(size, "i32")] * 2)
            return code.value(f"vector.shuffle {left}, {right} [{', '.join(map(str, picks))}] : {kinds}")

        whole = join(
            join(quads[0], quads[1], self.lanes, 1), join(quads[2], quads[3], self.lanes, 1), 2 * self.lanes, 2
        )
        bytes_ = code.value(f"vector.bitcast {whole} : {vector_of(wide, 'i32')} to {vector_of(4 * wide, 'i8')}")
        if self.sizes.real:
            bytes_ = code.value(f"arith.sitofp {bytes_} : {vector_of(4 * wide, 'i8')} to {vector_of(4 * wide, 'f32')}")
        store_vector(code, bytes_, self.features, (row, column), 4 * wide, 4 * wide)

    def _range(
        self,
        start: Value,
        stop: Value,
        carried: Sequence[tuple[Value, str]],
        body: Callable[[Value, list[Value]], Sequence[Value]],
    ) -> list[Value]:
        return self.code.loop(start, stop, self.code.index(1), carried, body)
