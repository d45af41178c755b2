"""Averages of parsers: against sums written out, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pqrnn.checkpoint import load_checkpoint
from pqrnn.data.examples import Example
from pqrnn.errors import AveragingError
from pqrnn.recipes.settings import ModelConfig, ProjectionConfig, TrainingConfig
from pqrnn.training.trainer import train
from pqrnn.training.weight_averaging import average_checkpoints, average_weights

_MODEL = ModelConfig(projection=ProjectionConfig(word_features=64, ngram_features=64), bottleneck=32, state=16)
_EXAMPLES = [
    Example(f"{verb} the {room} lights", verb) for verb in ("dim", "raise") for room in ("hall", "attic", "kitchen")
]


def _train(folder: Path, seed: int, model: ModelConfig = _MODEL, examples: list[Example] = _EXAMPLES) -> Path:
    train(
        folder,
        examples,
        examples,
        model,
        TrainingConfig(epochs=2, batch=4, learning_rate=1e-2, patience=0, misspell=0.0, seed=seed),
    )
    return folder


def test_the_mean_is_that_of_each_number_and_counts_stay() -> None:
    generator = torch.Generator().manual_seed(0)
    weights = [{"a": torch.randn(3, 2, generator=generator), "n": torch.tensor(number)} for number in range(3)]
    mean = average_weights(weights)
    for row in range(3):
        for column in range(2):
            assert mean["a"][row, column].item() == pytest.approx(
                sum(each["a"][row, column].item() for each in weights) / 3, abs=1e-6
            )
    assert mean["a"].dtype == torch.float32 and int(mean["n"]) == 0


def test_parsers_are_averaged_scored_and_kept(tmp_path: Path) -> None:
    folders = [_train(tmp_path / str(seed), seed) for seed in range(2)]
    metrics = average_checkpoints(folders, _EXAMPLES, tmp_path / "mean")
    made, one, other = (load_checkpoint(folder) for folder in (tmp_path / "mean", *folders))
    for name, tensor in made.model.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, (one.model.state_dict()[name] + other.model.state_dict()[name]) / 2)
    assert made.facts.metrics == metrics and set(metrics["dev"]) == set(one.facts.metrics["dev"])
    assert [each["name"] for each in made.facts.training["averaged"]] == ["0", "1"]
    with pytest.raises(AveragingError, match="holds a trained parser"):
        average_checkpoints(folders, _EXAMPLES, tmp_path / "mean")


def test_what_does_not_average_is_refused(tmp_path: Path) -> None:
    first = _train(tmp_path / "first", 0)
    with pytest.raises(AveragingError, match="two or more"):
        average_checkpoints([first], _EXAMPLES, tmp_path / "out")
    wider = _train(tmp_path / "wider", 0, ModelConfig(projection=_MODEL.projection, bottleneck=32, state=24))
    with pytest.raises(AveragingError, match=r"wider: state is 24, and that of .*first is 16"):
        average_checkpoints([first, wider], _EXAMPLES, tmp_path / "out")
    renamed = _train(tmp_path / "renamed", 0, examples=[Example(each.text, each.intent + "2") for each in _EXAMPLES])
    with pytest.raises(AveragingError, match="other labels"):
        average_checkpoints([first, renamed], _EXAMPLES, tmp_path / "out")
    assert not (tmp_path / "out").exists()
