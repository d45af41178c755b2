"""How close a call a part of a transformer makes, by hand, and that such texts do not become golden ones."""

from __future__ import annotations

import math

import torch

from compile.verify.choices import smallest_choice
from pqrnn.model.word_selection import Choice, select_words, watch_choices


def test_the_closest_call_counts_by_hand() -> None:
    first = Choice(50, torch.tensor([[0.5, 0.1, 0.45, 0.3, -1.0]]))  # of four words two go on: 0.45 against 0.3
    second = Choice(25, torch.tensor([[0.5, 0.45]]))  # two at least go on
    assert math.isclose(smallest_choice([first, second], 4), 0.15, rel_tol=1e-6)
    assert smallest_choice([second], 4) == math.inf
    assert smallest_choice([], 4) == math.inf


def test_a_tie_is_no_distance_and_padding_is_none_of_the_words() -> None:
    assert smallest_choice([Choice(50, torch.tensor([[0.5, 0.3, 0.3, 0.1]]))], 4) == 0.0
    assert smallest_choice([Choice(50, torch.tensor([[0.5, 0.3, -1.0, -1.0]]))], 2) == math.inf


def test_choices_are_seen_while_they_are_watched() -> None:
    significance, words = torch.rand(2, 5), torch.tensor([5, 3], dtype=torch.int32)
    with watch_choices() as seen:
        select_words(significance, words, 60, 3)
    select_words(significance, words, 40, 2)
    assert [choice.share for choice in seen] == [60]
    assert torch.equal(seen[0].significance, significance)
