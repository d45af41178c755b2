"""The weights of the frames are chosen by what mends more development utterances than it breaks."""

from __future__ import annotations

import numpy as np
import pytest

from pqrnn.data.examples import Example, SlotSpan
from pqrnn.evaluation.frame_weights import DEFAULT, choose_frame_weights, decide_on
from pqrnn.evaluation.prediction import Prediction
from runtime_py.decode.labels import Labels

# "play" never came with a time, nor "wake" with a song.
_LABELS = Labels(
    ("play", "wake"), ("O", "B-song", "I-song", "B-time", "I-time"), ((0,), (1,)), (((9, 0), (1,)), ((9, 1), (1,)))
)


def _answer(play: float, time: float, song: float = -9.0) -> Prediction:
    """Logits of the one word "noon": for "play" over "wake", and for a time and a song over no slot."""
    return Prediction(
        np.array([play, 0.0], np.float32),
        np.array([[0.0, song, -9.0, time, -9.0]], np.float32),
        np.array([[0, 4]], np.int32),
    )


_PLAY_AT_NOON = Example("noon", "play", (SlotSpan("time", 0, 4),))
_PLAY = Example("noon", "play", ())


def test_pairs_that_training_lacks_are_allowed_where_development_has_them() -> None:
    examples, answers = [_PLAY_AT_NOON] * 40, [_answer(5.0, 1.5)] * 40
    labels, scores = decide_on(_LABELS, examples, answers)
    assert scores.exact_match.value == 1.0
    assert labels.frame_weights
    assert (labels.frame_weights.penalty or 0.0) < 1.5


def test_the_defaults_stay_where_nothing_is_better() -> None:
    assert choose_frame_weights(_LABELS, [_PLAY] * 40, [_answer(5.0, 1.5)] * 40) == DEFAULT


@pytest.mark.parametrize(("mended", "broken", "changes"), [(1, 0, False), (2, 0, True), (9, 6, False), (12, 6, True)])
def test_a_difference_that_chance_makes_changes_nothing(mended: int, broken: int, changes: bool) -> None:
    examples = [_PLAY_AT_NOON] * mended + [_PLAY] * broken
    answers = [_answer(5.0, 1.5)] * (mended + broken)
    assert (choose_frame_weights(_LABELS, examples, answers) != DEFAULT) == changes


def test_without_slots_there_is_nothing_to_weigh() -> None:
    labels = Labels(("play", "wake"), ("O",), ((), ()))
    answers = [Prediction(np.array([1.0, 0.0], np.float32), np.zeros((1, 1), np.float32), np.array([[0, 4]], np.int32))]
    found, scores = decide_on(labels, [_PLAY], answers)
    assert found == labels
    assert scores.exact_match.value == 1.0
