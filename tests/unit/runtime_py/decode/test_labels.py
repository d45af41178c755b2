"""Labels are one struct: what a checkpoint, a logit store and a manifest hold is equal, and checked alike."""

from typing import Any

import msgspec
import pytest
from makers.runtime_fakes import fake_manifest

from pqrnn.checkpoint import Facts
from pqrnn.distillation.logit_store import StoreIndex
from runtime_py.decode.labels import Labels
from runtime_py.package_format.manifest import Manifest

_JSON = (
    b'{"intents":["play","stop"],"tags":["O","B-song","I-song"],"frames":[[0],[]],"frame_counts":[[[1],[2,0]],[[3]]]}'
)


def test_labels_are_written_as_they_were_read() -> None:
    assert msgspec.json.encode(msgspec.json.decode(_JSON, type=Labels)) == _JSON


def test_labels_without_frames_are_those_of_earlier_formats() -> None:
    labels = msgspec.json.decode(b'{"intents":["play"],"tags":["O"]}', type=Labels)
    assert labels == Labels(("play",), ("O",)) == labels.outputs()
    assert msgspec.json.encode(labels) == b'{"intents":["play"],"tags":["O"],"frames":[],"frame_counts":[]}'


def test_whatever_holds_labels_holds_these() -> None:
    for holder in (Facts, StoreIndex, Manifest):
        assert next(field.type for field in msgspec.structs.fields(holder) if field.name == "labels") is Labels
    assert isinstance(fake_manifest().labels, Labels)


@pytest.mark.parametrize(
    "changed",
    [
        {"intents": []},
        {"intents": [""]},
        {"tags": []},
        {"tags": ["O", ""]},
        {"frames": [[-1]]},
        {"frame_counts": [[[]]]},
        {"frame_counts": [[[1, 0, 0, 0, 0, 0, 0]]]},
        {"surprise": 1},
    ],
)
def test_labels_that_no_decoder_could_use_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(msgspec.json.decode(_JSON) | changed, Labels)
