"""Pairs are cut out of training rows alone, and what is measured is what the decisions say."""

from __future__ import annotations

import random

import pytest

from benchmarks.unseen_pairs import cut_pairs, list_pairs, share_unseen
from pqrnn.data.examples import Example, SlotSpan


def _make(intent: str, label: str, times: int) -> list[Example]:
    return [Example(f"{label} {number}", intent, (SlotSpan(label, 0, len(label)),)) for number in range(times)]


# "play" comes with a room and "wake" with a song now and then; each slot and each intent is mostly elsewhere.
_ROWS = [*_make("play", "song", 30), *_make("play", "room", 4), *_make("wake", "time", 30), *_make("wake", "song", 5)]
_ROWS += [*_make("light", "room", 20), Example("light", "light", ())]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.0, 0.03, 0.08])
def test_as_many_test_rows_as_wanted_have_a_pair_that_training_lacks(share: float, seed: int) -> None:
    made = cut_pairs({"train": _ROWS, "dev": _ROWS[:9], "test": _ROWS}, 0, share, random.Random(seed))
    assert share_unseen(made["train"], made["test"]) >= share
    assert (share_unseen(made["train"], made["test"]) > 0) == (share > 0)
    assert made["test"] == _ROWS
    cut = {pair for row in _ROWS for pair in list_pairs(row)} - {
        pair for row in made["train"] for pair in list_pairs(row)
    }
    assert cut <= {("play", "room"), ("wake", "song")}
    assert sorted(row.text + row.intent for row in made["train"]) == sorted(
        row.text + row.intent for row in _ROWS if not list_pairs(row) & cut
    )


def test_rows_are_kept_by_number_and_what_training_lost_altogether_is_tested_nowhere() -> None:
    rows = [*_ROWS, *_make("rare", "odd", 1)]
    made = cut_pairs({"train": rows, "dev": rows, "test": rows}, 40, 0.05, random.Random(3))
    assert len(made["train"]) == 40
    intents = {row.intent for row in made["train"]}
    assert all(row.intent in intents for name in ("dev", "test") for row in made[name])
