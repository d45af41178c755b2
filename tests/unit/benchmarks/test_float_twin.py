"""The float32 run that is made of a parser in 8 bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.float_twin import make_float_twin
from pqrnn.checkpoint import load_checkpoint
from pqrnn.evaluation.prediction import compute_logits
from pqrnn.zoo.shelf import SHIPPED


def test_a_twin_answers_as_the_parser_in_8_bits(tmp_path: Path) -> None:
    run = SHIPPED / "snips-en"
    make_float_twin(run, tmp_path / "twin")
    one, twin = load_checkpoint(run), load_checkpoint(tmp_path / "twin")
    assert twin.model.config.precision == "float32"
    assert twin.facts.labels == one.facts.labels
    texts = ["play some jazz", "book a table for two in paris", "what is the weather in rome tomorrow"]
    for ours, theirs in zip(compute_logits(one.model, texts), compute_logits(twin.model, texts), strict=True):
        assert np.abs(ours.intent - theirs.intent).max() < 0.5
        assert ours.intent.argmax() == theirs.intent.argmax()
        assert np.array_equal(ours.tags.argmax(-1), theirs.tags.argmax(-1))
    with pytest.raises(SystemExit, match="float32 already"):
        make_float_twin(tmp_path / "twin", tmp_path / "again")
