"""Projecting in bulk gives what projecting one text at a time gives."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles.effort import examples
from oracles.projection_2 import project, segment
from oracles.texts import byte_texts

from pqrnn.features.projection import Projection
from pqrnn.features.segmentation import group_texts, segment_texts
from pqrnn.features.utf8 import pack_texts
from pqrnn.features.word_table import WordFeatures
from pqrnn.recipes.settings import ProjectionConfig

CONFIG = ProjectionConfig(word_features=32, ngram_features=32)
PROJECTION = Projection(CONFIG)


@examples(60)
@given(st.lists(byte_texts(120), max_size=6))
def test_words_of_many_texts_are_those_of_the_oracle(texts: list[bytes]) -> None:
    wanted = [
        [(word.characters[0].start, max(each.end for each in word.characters)) for word in segment(text)]
        for text in texts
    ]
    assert segment_texts(PROJECTION, texts) == wanted


@pytest.mark.slow
@examples(60)
@given(st.lists(byte_texts(48), min_size=1, max_size=5))
def test_rows_are_the_features_of_the_words_in_their_texts(texts: list[bytes]) -> None:
    table = WordFeatures(PROJECTION)
    for text, spans in zip(texts, segment_texts(PROJECTION, texts), strict=True):
        rows = table.index(text[start:end] for start, end in spans)
        found = PROJECTION(pack_texts([text], 48), 48).features[0, : len(spans)]
        assert torch.equal(table.table[rows].float(), found)


def test_rows_stay_as_the_table_grows_and_each_word_has_one() -> None:
    table = WordFeatures(PROJECTION)
    assert table.index([]) == []
    assert table.index([b"set", b"timer", b"set"]) == [0, 1, 0]
    before = table.table.clone()
    assert table.index([b"timer", "数".encode(), b"x" * 300, b"set"]) == [1, 2, 3, 0]
    assert len(table) == 4
    assert (table.table.dtype, table.table.shape) == (torch.int8, (4, CONFIG.features))
    assert torch.equal(table.table[:2], before)
    assert torch.equal(table.table[3].float(), torch.from_numpy(project(b"x" * 300, 1, CONFIG).features[0]))


@pytest.mark.parametrize("word", [b"", b" ", b"two words", b"don't", "数字".encode(), b"\xff\xff"], ids=ascii)
def test_what_is_not_one_word_is_an_error_and_changes_nothing(word: bytes) -> None:
    table = WordFeatures(PROJECTION)
    table.index([b"kept"])
    with pytest.raises(ValueError, match="not a single word"):
        table.index([b"fresh", word])
    assert len(table) == len(table.table) == 1
    assert table.index([b"fresh"]) == [1]


@pytest.mark.slow
def test_dense_layers_see_each_distinct_word_once() -> None:
    table = WordFeatures(PROJECTION)
    rows = torch.tensor([table.index([b"a", b"b", b"a"]), table.index([b"c", b"a", b"c"])])
    linear, seen = torch.nn.Linear(CONFIG.features, 5), []

    def dense(features: torch.Tensor) -> torch.Tensor:
        seen.append(len(features))
        found: torch.Tensor = linear(features)
        return found

    torch.testing.assert_close(table.project(rows, dense), linear(table.table[rows].float()))
    assert seen == [3]


@examples(60)
@given(st.lists(st.integers(0, 9000), max_size=60))
def test_groups_hold_every_text_once_with_room_for_it(lengths: list[int]) -> None:
    texts = [b"a" * length for length in lengths]
    seen = []
    for size, rows in group_texts(texts):
        assert size > 0 and size % 16 == 0
        assert all(size - 16 < len(texts[row]) <= size or size == 16 for row in rows)
        assert len(rows) == 1 or size * len(rows) <= 1 << 13
        seen += rows
    assert sorted(seen) == list(range(len(texts)))
