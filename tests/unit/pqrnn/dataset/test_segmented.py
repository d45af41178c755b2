"""Texts are segmented once, however many stages need their words."""

from __future__ import annotations

import pytest
from makers.rooms import make_rooms

from pqrnn.data.examples import Example
from pqrnn.dataset import segmented
from pqrnn.dataset.encoded import encode_examples
from pqrnn.dataset.labels import list_labels
from pqrnn.dataset.segmented import SegmentedExamples, segment_examples
from pqrnn.distillation.transfer_set import Lexicon, make_transfer_set
from pqrnn.recipes.settings import TransferConfig


def test_it_is_the_sequence_of_its_examples() -> None:
    examples = make_rooms()
    found = segment_examples(examples)
    assert isinstance(found, SegmentedExamples)
    assert segment_examples(found) is found
    assert list(found) == examples and len(found) == len(examples)
    assert found[0] == examples[0] and found[1:3] == examples[1:3]


def test_words_are_those_at_the_spans() -> None:
    found = segment_examples([Example("Où est-elle, hm?", "ask"), Example("", "none")])
    assert found.texts[0] == "Où est-elle, hm?".encode()
    assert found.words[0] == [found.texts[0][start:end] for start, end in found.spans[0]]
    assert found.words[0][0] == "Où".encode()
    assert found.words[1] == []


def test_labels_encoding_and_a_transfer_set_share_one_segmentation(monkeypatch: pytest.MonkeyPatch) -> None:
    original, calls = segmented.segment_texts, []

    def counted(*arguments: object) -> object:
        calls.append(0)
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(segmented, "segment_texts", counted)
    training = segment_examples(make_rooms())
    assert not calls
    labels = list_labels(training)
    encode_examples(training, Lexicon(), labels.intents, labels.tags)
    make_transfer_set(training, [], labels.outputs(), TransferConfig(variants=1))
    assert len(calls) == 1
