"""What a memo of words would save, against values computed by hand."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.memo import bound_saving


def test_a_text_reads_all_weights_unless_the_memo_has_each_of_its_words() -> None:
    counts = Counter({b"on": 5, b"turn": 4, b"it": 1})
    texts = [[b"turn", b"on"], [b"turn", b"it", b"on", b"on"]]
    saving = bound_saving(counts, texts, 2, weights=100, saved=40, row=3)
    assert saving.words == pytest.approx(5 / 6)
    assert saving.texts == pytest.approx(1 / 2)
    assert saving.products == pytest.approx(5 * 40 / (6 * 100))  # 5 of 6 words leave out 40 of 100 products
    # The first text reads 2 rows of 3 bytes instead of 40 weights; the second reads 3 rows and the weights, too.
    assert saving.bytes == pytest.approx(((40 - 6) + (0 - 9)) / 200)
    assert saving.size == 6


def test_a_memo_of_more_words_than_there_are_has_those_there_are() -> None:
    saving = bound_saving(Counter({b"on": 1}), [[b"on"]], 8, weights=10, saved=10, row=2)
    assert (saving.size, saving.words, saving.products) == (2, 1.0, 1.0)
