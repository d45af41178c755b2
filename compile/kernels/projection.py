"""The projection kernel: bytes become words and their features, bit for bit those of `pqrnn.features.projection`.

Compiled operation by operation the projection is some eighty launches over arrays of words times bytes. In this kernel
a group has one text, which is read once, character by character; what is kept of it are the hashes of its words'
characters, and for each word the hashes of its n-grams. These are stretched to features with two 16-bit counters in
every 32-bit lane. The kernel needs no special instruction, only vectors of int32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from compile.kernels.arithmetic import Int32Values
from compile.kernels.feature_writer import FeatureWriter
from compile.kernels.kernel import Buffer, Kernel
from compile.kernels.memory import allocate_array, load_element, store_element, store_vector, to_index, to_number
from compile.kernels.mlir_builder import Code, Value, vector_of
from compile.kernels.utf8_decoder import Utf8Decoder
from compile.kernels.word_finder import WordFinder
from pqrnn.features.hashing import END_MARK, FEATURES_PER_HASH, MULTIPLIER, SHAPE_SALT, START_MARK, mix_number
from pqrnn.recipes.settings import ProjectionConfig


@dataclass(frozen=True, slots=True)
class TextSizes:
    """Shape of a projection.

    Attributes:
        texts: Number of texts.
        size: Bytes of each text, a multiple of 4.
        words: Number of word rows of each text.
        config: Settings of the features.
        float32: Whether features are float32 instead of int8.
        rest: Whether all rows past a text's words are set to zero, and not only the first row of a text without words.
    """

    texts: int
    size: int
    words: int
    config: ProjectionConfig
    float32: bool = False
    rest: bool = False


def projection_kernel(name: str, lanes: int, sizes: TextSizes, tables: Sequence[int]) -> Kernel:
    """Return the kernel of a projection.

    It reads texts int32[texts, size / 4], the four parts of the table of code points
    (`compile.kernels.packing.PackedTable`), the folds int32[3 * rows] as one array, and the seeds of both kinds of
    features as one int32[features / 16]. It writes features int8 (or float32)[texts * words, features], the mask
    float32[texts * words], which is one where a word is, spans int32[texts * words, 2], and the number of words
    int32[texts]. Rows past a text's words are left as they are, but for the first, or are zeros (`TextSizes.rest`).

    Args:
        name: Name of the function that runs the kernel.
        lanes: 32-bit numbers in a vector register of the target.
        sizes: Shape of the projection.
        tables: Lengths of the four parts of the table of code points, and of the folds.
    """
    return _Projection(lanes, sizes, tables).write(name)


class _Projection:
    """The kernel while it is being written: its buffers, and one method for each step."""

    def __init__(self, lanes: int, sizes: TextSizes, tables: Sequence[int]) -> None:
        config = sizes.config
        self.sizes, self.config = sizes, config
        self.hashes = (config.word_features // FEATURES_PER_HASH, config.ngram_features // FEATURES_PER_HASH)
        lanes = max(
            count for count in (1, 2, 4, 8, 16) if count <= lanes and not any(size % count for size in self.hashes)
        )
        rows = sizes.texts * sizes.words
        self.code = Code()
        self.one = Int32Values(self.code)
        self.text = Buffer("%text", (sizes.texts, sizes.size // 4), "i32", seen=("i8", (sizes.texts, sizes.size)))
        kinds = [("%pages", "i8"), ("%ranges", "i16"), ("%blocks", "i16"), ("%entries", "i32"), ("%folds", "i32")]
        self.tables = [Buffer(table, (size,), element) for (table, element), size in zip(kinds, tables, strict=True)]
        self.seeds = Buffer("%seeds", (sum(self.hashes),), "i32")
        self.features = Buffer("%features", (rows, config.features), "f32" if sizes.float32 else "i8")
        self.mask, self.spans = Buffer("%mask", (rows,), "f32"), Buffer("%spans", (rows, 2), "i32")
        self.count = Buffer("%count", (sizes.texts,), "i32")
        self.decoder = Utf8Decoder(self.code, self.text, sizes.size)
        self.finder = WordFinder(self.code, self.decoder, self.tables, sizes.words, config.version)
        self.grams = allocate_array(self.code, sizes.size * len(config.ngrams) + 1)
        self.writer = FeatureWriter(self.code, lanes, self.seeds, self.grams, self.features)
        self.row = self.code.times("%group", sizes.words)

    def write(self, name: str) -> Kernel:
        stop = self.decoder.unpack()
        self.code.repeat(0, self.sizes.words + 1, 1, (), self._clear_word)
        self.decoder.decode(stop)
        self._store(self.finder.find(stop), self.count, "%group")
        self.code.repeat(0, self.sizes.words, 1, (), self._word)
        reads, writes = (self.text, *self.tables, self.seeds), (self.features, self.mask, self.spans, self.count)
        return Kernel(name, reads, writes, self.sizes.texts, str(self.code))

    def _load(self, array: Buffer, index: Value) -> Value:
        return load_element(self.code, array, index)

    def _store(self, value: Value, array: Buffer, index: Value) -> None:
        store_element(self.code, value, array, index)

    def _to_index(self, value: Value) -> Value:
        return to_index(self.code, value)

    def _to_number(self, index: Value) -> Value:
        return to_number(self.code, index)

    def _clear_word(self, word: Value, _: Sequence[Value]) -> tuple[()]:
        for array in self.finder.arrays():
            self._store(self.one.number(0), array, word)
        return ()

    def _word(self, word: Value, _: Sequence[Value]) -> tuple[()]:
        """Add the outputs of a word: mask, span and features."""
        one, code = self.one, self.code
        row = code.add(self.row, word)
        total = self._load(self.count, "%group")
        present = one.compare("slt", self._to_number(word), total)
        self._store(code.value(f"arith.uitofp {present} : i1 to f32"), self.mask, row)
        for side, array in enumerate((self.finder.start, self.finder.end)):
            value = one.select(present, self._load(array, word), 0)  # marks at the end were words for a while
            code.line(f"memref.store {value}, %spans[{row}, {code.index(side)}] : {self.spans.memory}")
        with code.when(present) as otherwise:
            begin, end = (self._to_index(self._load(array, word)) for array in (self.finder.first, self.finder.next))
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
            f"dense<{'0.0' if self.sizes.float32 else '0'}> : {vector_of(step, self.features.element)}"
        )

        def store(column: Value, _: Sequence[Value]) -> tuple[()]:
            store_vector(self.code, zero, self.features, (row, column), step, step)
            return ()

        self.code.repeat(0, self.config.features, step, (), store)

    def _word_part(self, row: Value, begin: Value, end: Value) -> None:
        """Add the features of the word's own hash, the polynomial of its characters' hashes."""
        one = self.one

        def step(index: Value, state: list[Value]) -> list[Value]:
            value, power = state
            hashed = self._load(self.finder.hashed, index)
            if self.config.version > 1:
                hashed = one.do("addi", hashed, self._load(self.finder.accents, index))
            return [
                one.do("addi", value, one.do("muli", hashed, power)),
                one.do("muli", power, MULTIPLIER),
            ]

        value, _ = self._range(begin, end, [(one.number(0), "i32"), (one.number(1), "i32")], step)
        self._store(value, self.grams, self.code.index(0))
        self.writer.stretch(row, 0, self.hashes[0], self.code.index(1))

    def _gram_part(self, row: Value, word: Value, begin: Value, end: Value) -> None:
        """Add the features of n-grams and shape."""
        one, code = self.one, self.code
        size = self._to_number(code.value(f"arith.subi {end}, {begin} : index"))
        finder = self.finder
        shape = one.do("muli", self._load(finder.kind, word), 65536)
        shape = one.do("addi", shape, one.do("muli", one.do("minsi", size, 15), 4096))
        if self.config.version == 1:
            uppers = one.do("subi", self._load(finder.after, word), self._load(finder.before, word))
            shape = one.do("addi", shape, one.do("muli", self._load(finder.upper, word), 2))
            shape = one.do("addi", shape, one.select(one.compare("sgt", uppers, 1), 1, 0))
        self._store(one.mix(one.do("addi", one.do("muli", shape, MULTIPLIER), SHAPE_SALT)), self.grams, code.index(0))
        filled = code.index(1)
        for order in self.config.ngrams:
            filled = self._grams(order, begin, end, filled)
        self.writer.stretch(row, self.hashes[0], self.hashes[1], filled, clip=True)

    def _grams(self, order: int, begin: Value, end: Value, filled: Value) -> Value:
        """Add the hashes of n-grams of one length after the first `filled` hashes; return how many there are then."""
        one, code = self.one, self.code
        stop = code.value(f"arith.subi {end}, {code.index(order - 1)} : index")

        def step(index: Value, state: list[Value]) -> list[Value]:
            value = self._load(self.finder.hashed, code.add(index, code.index(order - 1)))
            for back in range(order - 2, -1, -1):
                here = self._load(self.finder.hashed, code.add(index, code.index(back)))
                value = one.do("addi", here, one.do("muli", value, MULTIPLIER))
            first = code.value(f"arith.cmpi eq, {index}, {begin} : index")
            last = code.value(f"arith.cmpi eq, {code.add(index, code.index(order))}, {end} : index")
            marks = one.do("addi", one.select(first, START_MARK, 0), one.select(last, END_MARK, 0))
            self._store(one.do("addi", one.do("addi", value, marks), mix_number(order)), self.grams, state[0])
            return [code.add(state[0], code.index(1))]

        return self._range(begin, stop, [(filled, "index")], step)[0]

    def _range(
        self,
        start: Value,
        stop: Value,
        carried: Sequence[tuple[Value, str]],
        body: Callable[[Value, list[Value]], Sequence[Value]],
    ) -> list[Value]:
        return self.code.loop(start, stop, self.code.index(1), carried, body)
