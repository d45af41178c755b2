"""Which words go on and how they come back, by values worked out by hand, and for any significance."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles.effort import examples

from pqrnn.model.word_selection import (
    drops_nothing,
    gather_rows,
    measure_significance,
    rank_words,
    restore_words,
    select_words,
)


def test_significance_is_the_attention_received_and_padding_has_none() -> None:
    attention = torch.tensor([[[[0.7, 0.3, 0.0], [0.4, 0.6, 0.0], [0.5, 0.5, 0.0]]]])  # the last row asks for nobody
    mask = torch.tensor([[[1.0], [1.0], [0.0]]])
    torch.testing.assert_close(measure_significance(attention, mask), torch.tensor([[1.1, 0.9, -1.0]]))
    two_heads = attention.repeat(1, 2, 1, 1)
    torch.testing.assert_close(measure_significance(two_heads, mask), torch.tensor([[2.2, 1.8, -1.0]]))


def test_ranks_by_hand_and_the_first_of_equals_goes_first() -> None:
    found = rank_words(torch.tensor([[0.2, 0.9, 0.2, 0.5], [1.0, 1.0, 1.0, -1.0]]))
    assert found.tolist() == [[2, 0, 3, 1], [0, 1, 2, 3]]
    assert found.dtype == torch.int32


def test_a_selection_by_hand() -> None:
    significance = torch.tensor([[0.2, 0.9, 0.1, 0.5, 0.3], [0.4, 0.6, 0.8, -1.0, -1.0]])
    found = select_words(significance, torch.tensor([5, 3], dtype=torch.int32), 60, 3)
    assert found.indices.tolist() == [[1, 3, 4], [2, 1, 0]]
    assert found.mask[..., 0].tolist() == [[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]]  # 60 % of 5 are 3, of 3 are 2


def test_words_that_were_dropped_come_back_with_their_last_state() -> None:
    first = torch.tensor([[[1.0], [2.0], [3.0], [4.0]]])
    chosen = select_words(torch.tensor([[0.1, 0.9, 0.8, 0.7]]), torch.tensor([4], dtype=torch.int32), 75, 3)
    second = gather_rows(first, chosen.indices) * 10.0
    assert second.flatten().tolist() == [20.0, 30.0, 40.0]
    again = select_words(torch.tensor([[0.3, 0.1, 0.2]]), torch.tensor([4], dtype=torch.int32), 50, 2)
    third = gather_rows(second, again.indices) * 10.0
    found = restore_words([(first, chosen), (second, again)], third)
    assert found.flatten().tolist() == [1.0, 200.0, 30.0, 400.0]


@examples(100)
@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0, 1e-30]), min_size=1, max_size=12), st.integers(1, 100), st.data())
def test_the_selection_is_a_stable_sort(values: list[float], share: int, data: st.DataObject) -> None:
    padding = data.draw(st.integers(0, 3))
    width = len(values) + padding
    significance = torch.tensor([values + [-1.0] * padding])
    room = min(width, max(2, -(-width * share // 100)))
    found = select_words(significance, torch.tensor([len(values)], dtype=torch.int32), share, room)
    wanted = sorted(range(len(values)), key=lambda position: (-values[position], position))
    kept = min(len(values), max(2, -(-len(values) * share // 100)))
    assert found.mask[0, :, 0].tolist() == [1.0] * kept + [0.0] * (room - kept)
    assert found.indices[0, :kept].tolist() == wanted[:kept]
    states = torch.arange(width, dtype=torch.float32)[None, :, None]
    restored = restore_words([(states, found)], gather_rows(states, found.indices) + 100.0)
    assert [int(value) >= 100 for value in restored.flatten()] == [place in wanted[:kept] for place in range(width)]
    assert [int(value) % 100 for value in restored.flatten()] == list(range(width))


@pytest.mark.parametrize(
    ("share", "before", "words", "nothing"),
    [(100, 100, 9, True), (80, 100, 4, True), (80, 100, 5, False), (45, 55, 5, False), (1, 50, 2, True)],
)
def test_when_nothing_is_dropped(share: int, before: int, words: int, nothing: bool) -> None:
    assert drops_nothing(share, before, words) is nothing


def test_gradients_reach_every_word_once() -> None:
    states = torch.randn(2, 5, 3, requires_grad=True)
    chosen = select_words(torch.rand(2, 5), torch.tensor([5, 5], dtype=torch.int32), 40, 2)
    restore_words([(states, chosen)], gather_rows(states, chosen.indices)).sum().backward()
    assert states.grad is not None
    assert torch.equal(states.grad, torch.ones(2, 5, 3))
