"""The hold-out of data without a development split: the built-in split's `dev` part, or the share asked for."""

from __future__ import annotations

import pytest

from pqrnn.data.examples import Example
from pqrnn.data.grammar.splits import split_of
from pqrnn.data.training_data import hold_out

_EXAMPLES = [Example(f"switch on light {number}", "on") for number in range(5000)]


def test_the_default_share_is_the_dev_part_of_the_built_in_split() -> None:
    kept, held = hold_out(_EXAMPLES, 0.1)
    assert [example.text for example in held] == [one.text for one in _EXAMPLES if split_of(one.text) == "dev"]
    assert len(kept) + len(held) == len(_EXAMPLES)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.9])
@pytest.mark.parametrize("seed", [0, 7])
def test_about_the_share_is_held_out_whatever_the_case_of_a_text(share: float, seed: int) -> None:
    held = hold_out(_EXAMPLES, share, seed)[1]
    assert abs(len(held) / len(_EXAMPLES) - share) < 0.03
    shouted = hold_out([Example(f"{one.text.upper()}!", one.intent) for one in _EXAMPLES], share, seed)[1]
    assert [one.text for one in shouted] == [f"{one.text.upper()}!" for one in held]
    assert hold_out(_EXAMPLES, 0.0, seed)[1] == [] and hold_out(_EXAMPLES, 1.0, seed)[0] == []
