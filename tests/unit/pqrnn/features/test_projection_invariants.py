"""What the rest of the parser relies on.

A word's features depend on the word alone, and a text's words on the text alone.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles.effort import examples
from oracles.projection_2 import IGNORED, JOINER, PICTOGRAPH, REGIONAL, SPACE, TERMINAL, own_class
from oracles.texts import byte_texts, texts
from oracles.unicode_classes import break_class

from pqrnn.features.projection import Projection
from pqrnn.features.unicode_table import load_unicode_table
from pqrnn.features.utf8 import pack_texts
from pqrnn.recipes.settings import ProjectionConfig

SIZE, ROWS = 64, 12
FIRST, PROJECTION = (
    Projection(ProjectionConfig(word_features=32, ngram_features=48, version=version)) for version in (1, 2)
)
EACH_VERSION = pytest.mark.parametrize("projection", [FIRST, PROJECTION], ids=["version 1", "version 2"])
GUARD = b" 0"  # marks are words only where something follows


@EACH_VERSION
@examples(150)
@given(data=byte_texts(SIZE))
def test_a_word_has_the_same_features_alone_and_is_one_word(projection: Projection, data: bytes) -> None:
    found = projection(pack_texts([data], SIZE), SIZE)
    count = int(found.word_count[0])
    words = [data[start:end] for start, end in found.spans[0, :count].tolist()]
    if words:
        alone = projection(pack_texts([word + GUARD for word in words], SIZE + 4), 2)
        assert alone.word_count.tolist() == [2] * count
        assert alone.spans[:, 0].tolist() == [[0, len(word)] for word in words]
        assert torch.equal(alone.features[:, 0], found.features[0, :count])
    assert not found.features[0, count:].any()
    assert not found.spans[0, count:].any()


@examples(100)
@given(byte_texts(SIZE), st.integers(1, 6))
def test_fewer_rows_are_a_prefix_and_the_count_stays(data: bytes, rows: int) -> None:
    full, cut = PROJECTION(pack_texts([data], SIZE), SIZE), PROJECTION(pack_texts([data], SIZE), rows)
    assert torch.equal(cut.word_count, full.word_count)
    assert torch.equal(cut.spans, full.spans[:, :rows])
    assert torch.equal(cut.features, full.features[:, :rows])


@examples(100)
@given(st.lists(byte_texts(40), min_size=2, max_size=5), st.sampled_from([40, 44, 64, 128]))
def test_padding_and_company_do_not_matter(batch: list[bytes], size: int) -> None:
    together = PROJECTION(pack_texts(batch, size), ROWS)
    for row, data in enumerate(batch):
        alone = PROJECTION(pack_texts([data], 40), ROWS)
        for whole, part in zip(together, alone, strict=True):
            assert torch.equal(whole[row], part[0])


@examples(150)
@given(byte_texts(SIZE))
def test_words_are_in_order_and_leave_out_exactly_the_spaces(data: bytes) -> None:
    spans, counts = FIRST.segment(pack_texts([data], SIZE), SIZE)
    position = 0
    for start, end in [*spans[0, : counts[0]].tolist(), (len(data), len(data))]:
        assert position <= start <= end <= len(data)
        assert {break_class(character) for character in data[position:start].decode()} <= {SPACE}
        assert SPACE not in {break_class(character) for character in data[start:end].decode("utf-8", "replace")}
        assert start < end or start == len(data)
        position = end


@examples(100)
@given(byte_texts(SIZE))
def test_segmenting_alone_finds_the_words_of_the_projection(data: bytes) -> None:
    packed = pack_texts([data], SIZE)
    found = PROJECTION(packed, ROWS)
    spans, counts = PROJECTION.segment(packed, ROWS)
    assert torch.equal(spans, found.spans)
    assert torch.equal(counts, found.word_count)


@examples(150)
@given(byte_texts(SIZE))
def test_words_leave_out_only_what_is_no_part_of_any(data: bytes) -> None:
    spans, counts = PROJECTION.segment(pack_texts([data], SIZE), SIZE)
    position = 0
    for start, end in [*spans[0, : counts[0]].tolist(), (len(data), len(data))]:
        assert position <= start <= end <= len(data)
        skipped = {own_class(character) for character in data[position:start].decode("utf-8", "replace")}
        assert skipped <= {SPACE, JOINER, IGNORED, TERMINAL, PICTOGRAPH, REGIONAL}
        if start < end:
            word = data[start:end].decode("utf-8", "replace")
            assert own_class(word[0]) not in (SPACE, JOINER, IGNORED)
            assert own_class(word[-1]) not in (SPACE, JOINER, IGNORED)
            assert SPACE not in map(own_class, word)
        position = end


@EACH_VERSION
@examples(100)
@given(left=byte_texts(28), space=st.sampled_from([" ", "\0", "\u3000", "\u200b"]), right=byte_texts(28))
def test_words_on_both_sides_of_a_space_do_not_touch(
    projection: Projection, left: bytes, space: str, right: bytes
) -> None:
    """Nor do their decodings: what is cut off at the end of the left is not completed from the right."""
    whole = [left + space.encode() + right, left, right]
    found = projection(pack_texts([text + GUARD for text in whole], SIZE), SIZE)
    both, before, after = (count - 1 for count in found.word_count.tolist())
    assert both == before + after
    assert torch.equal(found.features[0, :both], torch.cat([found.features[1, :before], found.features[2, :after]]))


def test_every_simple_case_pair_has_the_same_word_features() -> None:
    """The upper case alone, and between letters, is a word like its lower case: all 1433 mappings of Unicode 15."""
    entries = load_unicode_table(1).entries()
    upper = np.flatnonzero(entries >> 13)
    pairs = [(chr(code), chr(code + (entries[code] >> 13))) for code in upper.tolist()]
    assert len(pairs) == 1433
    own = FIRST.config.word_features
    for frame in ("{}", "a{}b"):
        batches = [pack_texts([frame.format(pair[side]).encode() for pair in pairs], 8) for side in (0, 1)]
        found, lowered = (FIRST(batch, 3) for batch in batches)
        assert torch.equal(found.word_count, lowered.word_count)
        assert torch.equal(found.features[..., :own], lowered.features[..., :own])
        # Nothing else is folded: n-grams and shape still know the capital.
        assert not torch.equal(found.features[..., own:], lowered.features[..., own:])


@examples(100)
@given(texts())
def test_lower_case_texts_have_the_same_words(text: str) -> None:
    # Simple mappings only: the full ones may add characters (İ), and Ⓜ alone changes its class, from an emoji to a
    # letter in a circle.
    entries = load_unicode_table(1).entries()
    lower = "".join(chr(ord(character) + (int(entries[ord(character)]) >> 13)) for character in text)
    size = 4 * 96
    found, lowered = (FIRST(pack_texts([value.encode()[:size]], size), 96) for value in (text[:96], lower[:96]))
    assert torch.equal(found.word_count, lowered.word_count)
    own = FIRST.config.word_features
    assert torch.equal(found.features[..., :own], lowered.features[..., :own])
