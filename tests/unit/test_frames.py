"""The best parse that makes sense, against trying all of them."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime_py.decoding import Decoder
from runtime_py.frames import Frames
from runtime_py.tags import TagScheme

_TAGS = ["O", "B-time", "I-time", "B-song", "I-song", "B2-time"]
_INTENTS = 3
_FRAMES = [[1], [0], [0, 1]]  # of song, time
_LOGITS = st.integers(-40, 40).map(lambda number: number / 8)


def _makes_sense(intent: int, tags: tuple[int, ...], frames: list[list[int]]) -> bool:
    slots = ["song", "time"]
    before = ""
    for tag in tags:
        name, _, label = _TAGS[tag].partition("-")
        if label and frames and slots.index(label) not in frames[intent]:
            return False
        if name == "I" and before != label:
            return False
        before = label
    return True


def _sum(intent: np.ndarray, rows: np.ndarray, number: int, tags: tuple[int, ...]) -> float:
    return float(intent[number]) + sum(float(row[tag]) for row, tag in zip(rows, tags, strict=True))


@given(
    intent=st.lists(_LOGITS, min_size=_INTENTS, max_size=_INTENTS),
    rows=st.lists(st.lists(_LOGITS, min_size=len(_TAGS), max_size=len(_TAGS)), max_size=4),
    frames=st.sampled_from([_FRAMES, [], [[], [], []]]),
)
def test_nothing_that_makes_sense_is_better(intent: list[float], rows: list[list[float]], frames: list[list[int]]) -> None:
    scores, logits = np.array(intent, np.float32), np.array(rows, np.float32).reshape(-1, len(_TAGS))
    number, tags = Frames(TagScheme(_TAGS), frames).decide(scores, logits)
    assert _makes_sense(number, tuple(tags), frames)
    best = max(
        _sum(scores, logits, each, chain)
        for each in range(_INTENTS)
        for chain in product(range(len(_TAGS)), repeat=len(rows))
        if _makes_sense(each, chain, frames)
    )
    assert _sum(scores, logits, number, tuple(tags)) == best  # eighths: sums are exact in any order


@given(
    intent=st.lists(_LOGITS, min_size=_INTENTS, max_size=_INTENTS), rows=st.lists(st.lists(_LOGITS, min_size=len(_TAGS), max_size=len(_TAGS)), max_size=6)
)
def test_the_largest_logits_are_kept_where_they_make_sense(intent: list[float], rows: list[list[float]]) -> None:
    scores, logits = np.array(intent, np.float32), np.array(rows, np.float32).reshape(-1, len(_TAGS))
    largest = int(scores.argmax()), tuple(int(row.argmax()) for row in logits)
    number, tags = Frames(TagScheme(_TAGS), _FRAMES).decide(scores, logits)
    assert ((number, tuple(tags)) == largest) == _makes_sense(*largest, _FRAMES)


def test_an_intent_gives_way_to_one_that_knows_the_slot() -> None:
    decoder = Decoder(["play", "wake"], _TAGS, [[0], [1]])
    tags = np.full((2, len(_TAGS)), -5.0, np.float32)
    tags[0, 0] = tags[1, 1] = 5.0  # the second word is surely a time
    parse = decoder.parse("at seven", b"at seven", np.array([1.0, 0.5], np.float32), tags, np.array([[0, 2], [3, 8]], np.int32))
    assert (parse.intent, [(slot.label, slot.text) for slot in parse.slots]) == ("wake", [("time", "seven")])
    assert parse.score == pytest.approx(1 / (1 + np.exp(0.5)))
    sure = decoder.parse("at seven", b"at seven", np.array([20.0, 0.5], np.float32), tags, np.array([[0, 2], [3, 8]], np.int32))
    assert (sure.intent, sure.slots) == ("play", ())


def test_a_slot_begins_before_it_goes_on() -> None:
    decoder = Decoder(["play"], _TAGS)
    tags = np.full((3, len(_TAGS)), -5.0, np.float32)
    tags[0, 0], tags[0, 3], tags[1, 4], tags[2, 4] = 1.0, 0.5, 4.0, 4.0
    spans = np.array([[0, 3], [4, 8], [9, 10]], np.int32)
    parse = decoder.parse("the blue x", b"the blue x", np.zeros(1, np.float32), tags, spans)
    assert [(slot.label, slot.text) for slot in parse.slots] == [("song", "the blue x")]


def test_without_a_tag_for_outside_the_largest_logits_are_taken() -> None:
    frames = Frames(TagScheme(["B-a", "I-a"]), [[]])
    assert frames.decide(np.zeros(1, np.float32), np.array([[0.0, 1.0]], np.float32)) == (0, [1])
