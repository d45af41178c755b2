"""A package is compared only with the checkpoint that it decides like."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from compile.support.errors import VerificationError
from compile.verify.parity import check_labels
from runtime_py.decode.labels import Labels

_OWN = Labels(("play", "stop"), ("O", "B-song", "I-song"), ((0,), ()), (((1,), (2, 0)), ((3,),)))


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({}, ""),
        ({"intents": ["stop", "play"]}, "intents are in another order: number 0 is 'stop' in the package"),
        ({"intents": ["play", "halt"]}, r"intents differ .*: halt only in the package; stop only in the checkpoint"),
        ({"tags": ["O", "B-song"]}, r"tags differ \(2 in the package, 3 in the checkpoint\): I-song only in the check"),
        ({"frames": [[0], [0]]}, r"frames of 1 intents differ; those of 'stop': \[song\] in the package, \[\] in the"),
        ({"frames": []}, "the package has no frames"),
        ({"frame_counts": []}, "the package has no counts of frames"),
        ({"frame_counts": [[[1], [3, 0]], [[3]]]}, "counts of frames of 1 intents differ; those of 'play'"),
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
    with pytest.raises(VerificationError, match=match):
        check_labels(checkpoint, package)
