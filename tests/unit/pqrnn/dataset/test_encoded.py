"""What the labels of a parser say about the utterances that it learned."""

from __future__ import annotations

from pqrnn.data.examples import Example, SlotSpan
from pqrnn.dataset.labels import list_labels
from runtime_py.decode.frame_search import LONGEST


def _example(intent: str, text: str, *labels: str) -> Example:
    """One slot for each of the first words."""
    words, at, slots = text.split(), 0, []
    for word, label in zip(words, labels, strict=False):
        slots.append(SlotSpan(label, at, at + len(word)))
        at += len(word) + 1
    return Example(text=text, intent=intent, slots=tuple(slots), locale="en")


def test_frames_are_counted() -> None:
    labels = list_labels(
        [
            _example("play", "blue sky now", "song", "song"),
            _example("play", "sky five more", "song", "time"),
            _example("play", "five sky please", "time", "song"),
            _example("play", "something"),
            _example("stop", "stop it"),
        ]
    )
    assert labels.intents == ("play", "stop")
    assert labels.frames == ((0, 1), ())  # of song, time
    assert labels.frame_counts == (((1,), (1, 0, 0), (2, 0, 1)), ((1,),))


def test_long_frames_go_with_their_intent_but_are_not_counted() -> None:
    many = " ".join(["ab"] * (LONGEST + 1))
    labels = list_labels(
        [_example("play", many, *["song"] * (LONGEST + 1)), _example("play", many, *["song"] * LONGEST)]
    )
    assert labels.frames == ((0,),)
    assert labels.frame_counts == (((1, *[0] * LONGEST),),)


def test_without_slots_nothing_is_counted() -> None:
    assert list_labels([_example("play", "play it")]).frame_counts == ()
