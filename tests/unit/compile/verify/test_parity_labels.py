"""A package is compared only with the checkpoint that it decides like."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from compile.verify.parity import check_labels
from runtime_py.decode.labels import Labels

_OWN = Labels(("play", "stop"), ("O", "B-song", "I-song"), ((0,), ()), (((1,), (2, 0)), ((3,),)))


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({}, ""),
        ({"intents": ["stop", "play"]}, "their labels differ"),
        ({"tags": ["O", "B-song"]}, "their labels differ"),
        ({"frames": [[0], [0]]}, "decides by other slots"),
        ({"frame_counts": []}, "decides by other slots"),
        ({"frame_counts": [[[1], [3, 0]], [[3]]]}, "decides by other slots"),
    ],
)
def test_labels_have_to_be_those_of_the_checkpoint(changed: dict[str, Any], match: str) -> None:
    own = {
        "intents": ["play", "stop"],
        "tags": ["O", "B-song", "I-song"],
        "frames": [[0], []],
        "frame_counts": [[[1], [2, 0]], [[3]]],
    }
    checkpoint: Any = SimpleNamespace(facts=SimpleNamespace(labels=_OWN))
    package = msgspec.convert(own | changed, Labels)
    if not match:
        check_labels(checkpoint, package)
        return
    with pytest.raises(ValueError, match=match):
        check_labels(checkpoint, package)
