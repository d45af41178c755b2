"""Weights from anybody are compared with what they have to be before a network takes memory for them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from benchmarks.hostile.subjects import make_subject
from pqrnn.checkpoint import load_checkpoint, read_facts
from pqrnn.errors import CheckpointError, PqrnnError
from pqrnn.model.parser import ParserModel
from pqrnn.model.shape import count_weights
from pqrnn.recipes.settings import ModelConfig, ProjectionConfig, TransformerConfig
from pqrnn.run_folder import FACTS, WEIGHTS


@pytest.fixture
def run(tmp_path: Path) -> Path:
    make_subject(tmp_path, b"no code " * 100)
    return tmp_path / "run"


@settings(max_examples=25)
@given(
    st.builds(
        ModelConfig,
        projection=st.builds(
            ProjectionConfig, word_features=st.sampled_from((16, 64)), ngram_features=st.sampled_from((0, 32))
        ),
        bottleneck=st.integers(1, 20),
        state=st.integers(1, 9),
        layers=st.integers(1, 3),
        kernel=st.integers(1, 3),
        refinements=st.integers(0, 2),
        pool_peaks=st.booleans(),
    ),
    st.integers(1, 9),
    st.integers(1, 9),
)
def test_no_parser_has_fewer_numbers_than_are_counted(config: ModelConfig, intents: int, tags: int) -> None:
    numbers = sum(value.numel() for value in ParserModel(config, intents, tags).state_dict().values())
    assert numbers / 4 < count_weights(config, intents, tags) <= numbers


def test_the_same_of_transformers() -> None:
    config = ModelConfig(network="transformer", transformer=TransformerConfig(width=16, heads=2, ffn=24), layers=2)
    numbers = sum(value.numel() for value in ParserModel(config, 3, 5).state_dict().values())
    assert numbers / 2 < count_weights(config, 3, 5) <= numbers


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused(run: Path, value: float) -> None:
    weights = load_file(run / WEIGHTS)
    weights["tags.bias"][1] = value
    save_file(weights, run / WEIGHTS)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: tags\.bias holds a number that is not finite"):
        load_checkpoint(run)


def test_a_pipe_is_not_waited_for(run: Path) -> None:
    for name in (WEIGHTS, FACTS):
        (run / name).rename(run / "kept")
        os.mkfifo(run / name)
        with pytest.raises(CheckpointError):
            load_checkpoint(run)
        (run / name).unlink()
        (run / "kept").rename(run / name)
    load_checkpoint(run)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ('"layers":1', "Expected `int` <= 64"),
        ('"state":8', "Expected `int` <= "),
        ('"bottleneck":8', "Expected `int` <= "),
    ],
)
def test_a_size_that_nobody_trains_is_refused_at_once(run: Path, name: str, said: str) -> None:
    content = (run / FACTS).read_text().replace(" ", "").replace("\n", "")
    assert name in content
    (run / FACTS).write_text(content.replace(name, f"{name[:-1]}1000000000"))
    with pytest.raises(CheckpointError, match=said):
        load_checkpoint(run)


def test_more_numbers_than_the_file_has_are_refused_before_they_are_made(run: Path) -> None:
    content = (run / FACTS).read_text().replace(" ", "").replace("\n", "")
    (run / FACTS).write_text(content.replace('"state":8', '"state":16000'))
    with pytest.raises(CheckpointError, match=r"weights that its facts describe take [\d,]+ at least"):
        load_checkpoint(run)


def test_tensors_of_another_type_are_refused_and_of_fewer_bits_read(run: Path) -> None:
    weights = load_file(run / WEIGHTS)
    before = load_checkpoint(run).model.state_dict()
    save_file({name: value.half() for name, value in weights.items()}, run / WEIGHTS)
    after = load_checkpoint(run).model.state_dict()
    assert all(torch.allclose(before[name], after[name], atol=1e-2) for name in before)
    save_file({name: value.int() for name, value in weights.items()}, run / WEIGHTS)
    with pytest.raises(CheckpointError, match=r"is I32\[.*describe F32"):
        load_checkpoint(run)


def test_facts_with_labels_that_make_no_sense_are_refused(run: Path) -> None:
    content = (run / FACTS).read_text()
    (run / FACTS).write_text(content.replace('"B-time"', '"X-time"'))
    with pytest.raises(CheckpointError, match="tag 'X-time' is neither"):
        read_facts(run, ModelConfig)


def test_an_error_quotes_nothing_that_a_terminal_obeys() -> None:
    assert str(PqrnnError("a\x1b[31mb\x9b2J")) == "a\\x1b[31mb\\x9b2J"
    assert str(PqrnnError("two\nlines")) == "two\nlines"
