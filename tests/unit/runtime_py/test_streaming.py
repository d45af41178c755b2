"""What the beginning of a text leaves open."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime_py.streaming import read_partial

_NAMES = ("alarm", "music", "weather", "none")
_LOGITS = st.lists(st.floats(-50, 50, width=32), min_size=4, max_size=4)


def _parser(*rows: list[float]) -> Any:
    """A parser whose logits depend on the number of words; the last row stands for all longer texts."""

    def logits(text: str) -> SimpleNamespace:
        return SimpleNamespace(intent=np.array(rows[min(len(text.split()), len(rows)) - 1], np.float32))

    labels = SimpleNamespace(intents=_NAMES)
    return SimpleNamespace(logits=logits, manifest=SimpleNamespace(labels=labels))


def test_intents_within_the_margin_can_still_win_the_likeliest_first() -> None:
    partial = read_partial(_parser([1.0, 5.0, 4.0, -3.0]), "play some jazz", margin=4.0, hold=1)
    assert partial.candidates == ("music", "weather", "alarm")
    assert partial.intent == "music"
    assert not partial.settled
    assert partial.scores[0] == pytest.approx(np.exp(5) / np.exp([1.0, 5.0, 4.0, -3.0]).sum(), rel=1e-5)
    assert partial.to_dict()["candidates"][1]["intent"] == "weather"


def test_an_intent_has_won_when_it_led_for_some_words() -> None:
    parser = _parser([9.0, 0.0, 0.0, 0.0], [0.0, 9.0, 0.0, 0.0])
    texts = ("play", "play some", "play some jazz", "play some jazz now")
    found = [read_partial(parser, text, margin=4.0, hold=3) for text in texts]
    assert [each.candidates for each in found] == [("alarm",), ("music", "alarm"), ("music", "alarm"), ("music",)]
    assert [each.settled for each in found] == [False, False, False, True]
    assert read_partial(parser, "play", margin=4.0, hold=1).settled


def test_nothing_said_leaves_everything_open() -> None:
    for text in ("", "  "):
        partial = read_partial(_parser([0.0, 90.0, 0.0, 0.0]), text, 1.0, 1)
        assert set(partial.candidates) == set(_NAMES)
        assert not partial.settled


@settings(max_examples=60)
@given(_LOGITS, _LOGITS, st.floats(0, 20), st.floats(0, 20), st.integers(1, 3))
def test_a_larger_margin_and_longer_holding_leave_more_open(
    first: list[float], last: list[float], one: float, other: float, hold: int
) -> None:
    parser = _parser(first, last)
    few, many = (read_partial(parser, "a b", margin, hold) for margin in sorted((one, other)))
    assert set(few.candidates) <= set(many.candidates)
    assert few.intent == many.intent == _NAMES[int(np.argmax(np.array(last, np.float32)))]
    assert set(few.candidates) <= set(read_partial(parser, "a b", min(one, other), hold + 1).candidates)
    assert list(few.scores) == sorted(few.scores, reverse=True)


@pytest.mark.parametrize(("margin", "hold"), [(-1.0, 1), (float("nan"), 1), (1.0, 0)])
def test_what_is_no_margin_is_refused(margin: float, hold: int) -> None:
    with pytest.raises(ValueError, match="margin"):
        read_partial(_parser([0.0] * 4), "a", margin, hold)
