"""A part of the projection kernel: the walk over characters that finds words (`pqrnn.features.characters`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from compile.kernels.arithmetic import Int32Values
from compile.kernels.hangul import HangulComposer
from compile.kernels.kernel import Buffer
from compile.kernels.memory import allocate_array, load_element, store_element, to_index, to_number
from compile.kernels.mlir_builder import Code, Value
from compile.kernels.packing import BLOCK_BITS, ENTRY_BITS, RANGE_BITS
from compile.kernels.utf8_decoder import MARGIN, Utf8Decoder
from pqrnn.features.characters import FULL_STOP
from pqrnn.features.hashing import ACCENT_SALT, CHARACTER_SALT, MULTIPLIER
from pqrnn.features.unicode_table import CLASS_BITS, FOLD_BITS, LONGEST_FOLD, BreakClass


class _Character(NamedTuple):
    """What is known of the character at a byte before its word is: numbers int32, conditions i1."""

    begins: Value
    kind: Value
    folded: Value
    upper: Value
    row: Value
    counted: Value
    visible: Value
    extends: Value


class _State(NamedTuple):
    """What the walk carries from byte to byte, int32 each.

    Attributes:
        last: Class of the last character.
        before: Class of the last visible character.
        base: Class of the last visible character that extends nothing.
        regionals: Regional indicators in a row up to here.
        single: Whether the last base is a word of its own that is a letter.
        words: Words so far.
        certain: Words up to the last character that is neither a mark nor a pictograph.
        pictured: Words up to the last character that is no mark.
        kept: Hashes so far.
        uppers: Capitals so far, in words that are kept.
    """

    last: Value
    before: Value
    base: Value
    regionals: Value
    single: Value
    words: Value
    certain: Value
    pictured: Value
    kept: Value
    uppers: Value


class WordFinder:
    """Finds the words of a text and keeps the hashes of their characters.

    Attributes:
        hashed: Hashes of characters, one after the other.
        accents: Sums of the hashes of the accents of each of them; from version 2 on.
        first: For each word, the index of its first hash. The last element of this and the following arrays, which
            have one for each word, is for what belongs to no word.
        next: The index after its last hash.
        start: Its first byte.
        end: The byte after its last.
        kind: The class of its first character.
        upper: Whether its first character is a capital; in version 1.
        before: Number of capitals before it; in version 1.
        after: Number of capitals up to its end; in version 1.
    """

    def __init__(self, code: Code, decoder: Utf8Decoder, tables: Sequence[Buffer], words: int, version: int) -> None:
        """Reserve memory.

        Args:
            code: Function that the walk is written into.
            decoder: Decoder of the text.
            tables: The four parts of the table of code points, and the folds.
            words: Number of words that are kept.
            version: Version of the projection.
        """
        self._code, self._decoder, self._tables = code, decoder, tables
        self._words, self._version = words, version
        self._one = Int32Values(code)
        self._hangul = HangulComposer(code, decoder) if version > 1 else None
        size = decoder.codes.shape[0] - 2 * MARGIN + LONGEST_FOLD  # a fold reaches over the last byte for a while
        self.hashed = allocate_array(code, size)
        self.accents = allocate_array(code, size if version > 1 else 1)
        self.first, self.next, self.start, self.end, self.kind, self.upper, self.before, self.after = (
            allocate_array(code, words + 1) for _ in range(8)
        )

    def find(self, stop: Value) -> Value:
        """Add the walk up to `stop`; return the number of words."""
        code, one = self._code, self._one
        if self._hangul is not None:
            self._decoder.close(stop)
            self._hangul.compose(stop)
        zero = one.number(0)
        carried = [(zero, "i32")] * len(_State._fields)
        # What is written after the last character is never read.
        result = _State(*code.loop(code.index(0), stop, code.index(1), carried, self._step))
        if self._version == 1:
            return result.words
        return one.select(one.compare("ne", result.certain, 0), result.certain, result.pictured)

    def arrays(self) -> tuple[Buffer, ...]:
        """Return the arrays with an element for each word."""
        return self.first, self.next, self.start, self.end, self.kind, self.upper, self.before, self.after

    def _step(self, offset: Value, state: Sequence[Value]) -> Sequence[Value]:
        one, old = self._one, _State(*state)
        position = to_number(self._code, offset)
        length = self._load(self._decoder.lengths, self._code.add(offset, self._code.index(MARGIN)))
        finish = one.do("addi", position, length)
        character = self._read(offset, length)
        kind, visible = character.kind, character.visible
        inside = self._both(visible, one.compare("ne", kind, int(BreakClass.SPACE)))
        starts = self._both(inside, self._negate(self._goes_on(character, old)))
        words = one.do("addi", old.words, one.select(starts, 1, 0))
        stays = self._both(inside, one.compare("sle", words, self._words))
        begun = one.do("subi", words, 1)
        slot = to_index(self._code, one.select(stays, begun, self._words))
        first_slot = to_index(self._code, one.select(self._both(stays, starts), begun, self._words))
        for value, array in (
            (old.kept, self.first),
            (position, self.start),
            (self._shape_class(kind), self.kind),
            (character.upper, self.upper),
            (old.uppers, self.before),
        ):
            self._store(value, array, first_slot)
        kept = self._keep(character, starts, stays, old.kept)
        uppers = one.do("addi", old.uppers, one.select(stays, character.upper, 0))
        for value, array in ((kept, self.next), (finish, self.end), (uppers, self.after)):
            self._store(value, array, slot)
        solid = self._both(visible, self._negate(character.extends))
        regional = self._is(kind, BreakClass.REGIONAL)
        run = one.select(regional, one.do("addi", old.regionals, 1), 0)
        is_content = self._is_content(character, old)
        picture = self._either(regional, self._is(kind, BreakClass.PICTOGRAPH))
        return _State(
            one.select(character.begins, kind, old.last),
            one.select(visible, kind, old.before),
            one.select(solid, kind, old.base),
            one.select(visible, run, old.regionals),
            one.select(solid, one.select(self._is_single(kind, character.row, starts, old), 1, 0), old.single),
            words,
            one.select(self._both(is_content, self._negate(picture)), words, old.certain),
            one.select(is_content, words, old.pictured),
            kept,
            uppers,
        )

    def _read(self, offset: Value, length: Value) -> _Character:
        """Add the lookup of the character at a byte."""
        one, code = self._one, self._code
        at = code.add(offset, code.index(MARGIN))
        begins = one.compare("sgt", length, 0)
        if self._hangul is None:
            point = self._load(self._decoder.codes, at)
            entry = self._entry(point)
            kind, folded = one.do("andi", entry, 15), self._fold(point, entry)
            upper = one.select(one.compare("ne", folded, point), 1, 0)
            extends = self._either(self._is(kind, BreakClass.EXTEND), self._is(kind, BreakClass.JOINER))
            yes = code.constant("true")
            return _Character(begins, kind, folded, upper, one.number(0), yes, begins, extends)
        point = self._load(self._hangul.codes, at)
        counted = one.compare("ne", self._load(self._hangul.counted, at), 0)
        entry = self._entry(point)
        kind = one.select(counted, one.do("andi", entry, 15), int(BreakClass.EXTEND))
        hidden = self._either(self._is(kind, BreakClass.JOINER), self._is(kind, BreakClass.IGNORED))
        extends = self._either(self._is(kind, BreakClass.EXTEND), self._is(kind, BreakClass.ACCENT))
        row = one.do("andi", one.do("shrui", entry, CLASS_BITS), (1 << FOLD_BITS) - 1)
        visible = self._both(begins, self._negate(hidden))
        return _Character(begins, kind, self._fold(point, entry), one.number(0), row, counted, visible, extends)

    def _fold(self, point: Value, entry: Value) -> Value:
        return self._one.do("addi", point, self._one.do("shrsi", entry, CLASS_BITS + FOLD_BITS))

    def _entry(self, point: Value) -> Value:
        """Add the lookup of a code point in the table (`compile.kernels.packing.PackedTable`)."""
        one, code, (*stages, entries, _) = self._one, self._code, self._tables

        def look(table: Buffer, number: Value) -> Value:
            value = self._load(table, to_index(code, number))
            return code.value(f"arith.extui {value} : {table.element} to i32")

        def inside(number: Value, low: int, bits: int) -> Value:
            """Add the index of the element that the given bits of the code point choose, of those of a number."""
            chosen = one.do("andi", one.do("shrui", point, low) if low else point, (1 << bits) - 1)
            return one.do("addi", one.do("muli", number, 1 << bits), chosen)

        low = RANGE_BITS + BLOCK_BITS + ENTRY_BITS
        number = one.do("shrui", point, low)
        for stage, bits in zip(stages, (RANGE_BITS, BLOCK_BITS, ENTRY_BITS), strict=True):
            low -= bits
            number = inside(look(stage, number), low, bits)
        return self._load(entries, to_index(code, number))

    def _goes_on(self, character: _Character, old: _State) -> Value:
        """Add the rules that say whether a character goes on with a word."""
        one, kind = self._one, character.kind
        same = one.compare("eq", kind, old.base)
        odd = one.compare("ne", one.do("andi", old.regionals, 1), 0)
        attached = self._both(character.extends, one.compare("ne", old.before, int(BreakClass.SPACE)))
        return self._either(
            self._both(same, self._either(self._is(kind, BreakClass.LETTER), self._is(kind, BreakClass.DIGIT))),
            attached,
            self._both(same, self._is(kind, BreakClass.PICTOGRAPH), self._is(old.last, BreakClass.JOINER)),
            self._both(self._is(kind, BreakClass.REGIONAL), self._is(old.before, BreakClass.REGIONAL), odd),
        )

    def _is_single(self, kind: Value, row: Value, starts: Value, old: _State) -> Value:
        """Add whether a base is a word so far that is a single letter, and not one of a row of unspaced ones."""
        one = self._one
        unspaced = self._both(
            self._is(kind, BreakClass.UNSPACED), one.compare("ne", old.base, int(BreakClass.UNSPACED))
        )
        single = self._both(starts, self._either(self._is(kind, BreakClass.LETTER), unspaced))
        return single if self._version == 1 else self._both(single, one.compare("eq", self._folds(row, 1), 0))

    def _is_content(self, character: _Character, old: _State) -> Value:
        """Add whether a character is visible and no mark, or a mark that stays."""
        one, kind = self._one, character.kind
        mark = self._is(kind, BreakClass.TERMINAL)
        blank = self._either(self._is(kind, BreakClass.SPACE), mark)
        after_letter = self._either(
            *(self._is(old.before, each) for each in (BreakClass.LETTER, BreakClass.UNSPACED, BreakClass.ACCENT))
        )
        stays = self._both(
            mark,
            one.compare("eq", character.folded, FULL_STOP),
            one.compare("ne", old.single, 0),
            after_letter,
        )
        return self._both(character.visible, self._either(self._negate(blank), stays))

    def _shape_class(self, kind: Value) -> Value:
        if self._version == 1:
            return kind
        return self._one.select(self._is(kind, BreakClass.TERMINAL), int(BreakClass.SYMBOL), kind)

    def _keep(self, character: _Character, starts: Value, stays: Value, kept: Value) -> Value:
        """Add the hashes of a character; return how many there are then."""
        one, code = self._one, self._code
        if self._version == 1:
            self._store(self._hash(character.folded), self.hashed, to_index(code, kept))
            return one.do("addi", kept, one.select(stays, 1, 0))
        accented = self._is(character.kind, BreakClass.ACCENT)
        is_accent = self._both(accented, self._negate(starts))
        at = to_index(code, kept)
        self._store(self._hash(one.select(accented, 0, character.folded)), self.hashed, at)
        self._store(one.number(0), self.accents, at)
        step = self._both(stays, character.counted, self._negate(is_accent))
        after = one.do("addi", kept, one.select(step, 1, 0))
        for column in range(1, LONGEST_FOLD):
            more = self._folds(character.row, column)
            exists = self._both(stays, one.compare("ne", more, 0))
            with code.when(exists):
                index = to_index(code, after)
                self._store(self._hash(more), self.hashed, index)
                self._store(one.number(0), self.accents, index)
            after = one.do("addi", after, one.select(exists, 1, 0))
        # Accents belong to the last of the character's hashes, and an accent to that before it.
        composed = one.compare("ne", character.row, 0)
        with code.when(self._both(stays, character.counted, self._either(composed, accented))):
            target = to_index(code, one.do("subi", after, 1))
            own = one.mix(one.do("addi", one.do("muli", character.folded, MULTIPLIER), ACCENT_SALT))
            added = one.do("addi", self._folds(character.row, 0), one.select(accented, own, 0))
            self._store(one.do("addi", self._load(self.accents, target), added), self.accents, target)
        return after

    def _folds(self, row: Value, column: int) -> Value:
        index = self._one.do("addi", self._one.do("muli", row, LONGEST_FOLD), column)
        return self._load(self._tables[-1], to_index(self._code, index))

    def _hash(self, point: Value) -> Value:
        one = self._one
        return one.mix(one.do("addi", one.do("muli", point, MULTIPLIER), CHARACTER_SALT))

    def _is(self, value: Value, wanted: BreakClass) -> Value:
        return self._one.compare("eq", value, int(wanted))

    def _both(self, *conditions: Value) -> Value:
        return self._one.both(*conditions)

    def _either(self, *conditions: Value) -> Value:
        return self._one.either(*conditions)

    def _negate(self, condition: Value) -> Value:
        return self._code.value(f"arith.xori {condition}, {self._code.constant('true')} : i1")

    def _load(self, array: Buffer, index: Value) -> Value:
        return load_element(self._code, array, index)

    def _store(self, value: Value, array: Buffer, index: Value) -> None:
        store_element(self._code, value, array, index)
