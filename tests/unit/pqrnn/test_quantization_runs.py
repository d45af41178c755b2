"""`pqrnn quantize`: as it is, after learning, taken up again after a kill, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from makers.rooms import make_rooms
from safetensors.torch import load_file
from typer.testing import CliRunner, Result

from pqrnn.checkpoint import load_checkpoint
from pqrnn.cli.running import app
from pqrnn.data.examples import Example
from pqrnn.data.writer import write_jsonl
from pqrnn.model.int8 import IntegerLinear
from pqrnn.quantization import prepare_qat
from pqrnn.recipes.settings import ModelConfig, ProjectionConfig, TrainingConfig
from pqrnn.training import trainer as training
from pqrnn.training.trainer import train

pytestmark = pytest.mark.slow

_MODEL = ModelConfig(projection=ProjectionConfig(word_features=64, ngram_features=64), bottleneck=32, state=16)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that is training and development data."""
    path = tmp_path_factory.mktemp("data") / "rooms.jsonl"
    write_jsonl(make_rooms(), path)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "float"
    config = TrainingConfig(
        epochs=12, batch=8, learning_rate=1e-2, patience=0, swap=0.3, misspell=0.1, smoothing=0.05, seed=3
    )
    train(folder, make_rooms(), make_rooms(), _MODEL, config)
    return folder


def _quantize(run: Path, data: Path, out: Path, *options: str) -> Result:
    return CliRunner().invoke(
        app, ["quantize", str(run), "--data", str(data), "--dev", str(data), "--out", str(out), *options]
    )


def _dev(folder: Path) -> float:
    value: float = load_checkpoint(folder).facts.metrics["dev"]["exact_match"]["value"]
    return value


def test_as_it_is(run: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "int8"
    done = _quantize(run, data, out, "--json")
    assert done.exit_code == 0, done.output
    checkpoint, before = load_checkpoint(out), load_checkpoint(run)
    assert any(isinstance(module, IntegerLinear) for module in checkpoint.model.modules())
    assert (checkpoint.facts.config.precision, checkpoint.facts.config.norm) == ("int8", "none")
    assert checkpoint.facts.labels == before.facts.labels
    assert checkpoint.facts.golden_texts == before.facts.golden_texts
    assert checkpoint.facts.training["quantized"] == "after training"
    assert json.loads(done.stdout)["metrics"] == checkpoint.facts.metrics
    assert abs(_dev(out) - _dev(run)) <= 1 / len(make_rooms())
    assert (out / "model.safetensors").stat().st_size < 0.4 * (run / "model.safetensors").stat().st_size
    again = _quantize(run, data, out)
    assert "holds a trained parser" in str(again.exception)
    assert _quantize(run, data, out, "--restart").exit_code == 0


def test_after_learning_with_the_settings_of_its_own_training(run: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "int8"
    done = _quantize(run, data, out, "--epochs", "2", "--learning-rate", "1e-3", "--json")
    assert done.exit_code == 0, done.output
    facts = load_checkpoint(out).facts
    assert {value.dtype for value in load_file(out / "model.safetensors").values()} == {torch.int8, torch.float16}
    wanted = {
        "epochs": 2,
        "learning_rate": 1e-3,
        "patience": 0,
        "batch": 8,
        "swap": 0.3,
        "misspell": 0.1,
        "smoothing": 0.05,
        "seed": 3,
    }
    assert {name: facts.training[name] for name in wanted} == wanted
    assert facts.data["quantized"] == str(run)
    assert _dev(out) >= _dev(run) - 0.05
    untouched = tmp_path / "as-it-is"
    assert _quantize(run, data, untouched).exit_code == 0
    assert (out / "model.safetensors").read_bytes() != (untouched / "model.safetensors").read_bytes()
    scored = CliRunner().invoke(app, ["evaluate", str(out), "--data", str(data), "--split", "all", "--json"])
    assert scored.exit_code == 0, scored.output
    assert json.loads(scored.stdout)["exact_match"]["value"] == _dev(out)  # from bytes, in integers: what training said


def test_in_4_bits_as_it_is_and_after_learning(run: Path, data: Path, tmp_path: Path) -> None:
    plain, learned, whole = tmp_path / "plain", tmp_path / "learned", tmp_path / "int8"
    assert _quantize(run, data, whole).exit_code == 0
    done = _quantize(run, data, plain, "--bits", "4")
    assert done.exit_code == 0, done.output
    assert _dev(plain) >= _dev(run) - 0.05
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (plain, whole)]
    assert sizes[0] < 0.7 * sizes[1]  # so small a parser is half header, biases and scales
    done = _quantize(run, data, learned, "--bits", "4", "--epochs", "2", "--learning-rate", "1e-3", "--json")
    assert done.exit_code == 0, done.output
    assert _dev(learned) >= _dev(plain)
    for folder in (plain, learned):
        checkpoint = load_checkpoint(folder)
        assert (checkpoint.facts.config.precision, checkpoint.facts.config.weight_bits) == ("int8", 4)
        assert {value.dtype for value in load_file(folder / "model.safetensors").values()} == {
            torch.uint8,
            torch.float16,
        }
        # A weight that the scales cut off is the largest that there is.
        assert max(int(m.weight.abs().max()) for m in checkpoint.model.modules() if isinstance(m, IntegerLinear)) == 7
    scored = CliRunner().invoke(app, ["evaluate", str(learned), "--data", str(data), "--split", "all", "--json"])
    assert scored.exit_code == 0, scored.output
    assert json.loads(scored.stdout)["exact_match"]["value"] == _dev(learned)
    shown = CliRunner().invoke(app, ["recipe", "show", str(learned)])
    assert "bits = 4" in shown.output


@pytest.mark.parametrize(("kills", "bits"), [([1], 8), ([2, 5], 8), ([2, 5], 4)])
def test_learning_resumes_after_kills_to_the_same_integers(
    run: Path, tmp_path: Path, kills: list[int], bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "_SAVE_SECONDS", 0.0)
    prepared = prepare_qat(load_checkpoint(run).model, make_rooms(), bits)
    config = TrainingConfig(epochs=2, batch=8, learning_rate=1e-3, patience=0)

    def learn(name: str, **more: Any) -> None:
        train(
            tmp_path / name,
            make_rooms()[::2],
            make_rooms()[1::2],
            prepared.config,
            config,
            initial=prepared.state_dict(),
            **more,
        )

    learn("whole")
    for step in kills:
        with pytest.raises(KeyboardInterrupt):
            learn("killed", stop_after=step)
    learn("killed")
    assert (tmp_path / "killed" / "model.safetensors").read_bytes() == (
        tmp_path / "whole" / "model.safetensors"
    ).read_bytes()


def test_other_weights_to_start_from_are_other_settings(run: Path, tmp_path: Path) -> None:
    prepared = prepare_qat(load_checkpoint(run).model, make_rooms())
    config = TrainingConfig(epochs=1, batch=8, patience=0)
    initial = prepared.state_dict()
    train(tmp_path, make_rooms(), make_rooms(), prepared.config, config, initial=initial)
    assert train(tmp_path, make_rooms(), make_rooms(), prepared.config, config, initial=initial).ended == "was finished"
    with pytest.raises(training.TrainingError, match="other settings"):
        train(
            tmp_path,
            make_rooms(),
            make_rooms(),
            prepared.config,
            config,
            initial={**initial, "tags.bias": initial["tags.bias"] + 1.0},
        )


def test_what_makes_no_sense_is_said_in_a_sentence(run: Path, data: Path, tmp_path: Path) -> None:
    assert "that is the parser to quantize" in str(_quantize(run, data, run).exception)
    assert "say for how long with --epochs" in str(
        _quantize(run, data, tmp_path / "a", "--lessons", str(tmp_path)).exception
    )
    other = tmp_path / "other.jsonl"
    write_jsonl([Example("stop", "stop", ())], other)
    assert "other intents or slots" in str(_quantize(run, other, tmp_path / "b").exception)
    assert _quantize(run, data, tmp_path / "c").exit_code == 0
    assert "in 8 bits already" in str(_quantize(tmp_path / "c", data, tmp_path / "d").exception)
    assert not (tmp_path / "a").exists()
    refused = _quantize(run, data, tmp_path / "e", "--bits", "3")
    assert refused.exit_code != 0
    assert "bits must be 8 or 4, not 3" in f"{refused.output} {refused.exception}"
    assert not (tmp_path / "e").exists()


def test_learning_never_ends_with_less_than_it_began_with(run: Path, tmp_path: Path) -> None:
    prepared = prepare_qat(load_checkpoint(run).model, make_rooms())
    config = TrainingConfig(
        epochs=2, batch=8, learning_rate=10.0, warmup=0, average=0.0, patience=0
    )  # nothing sensible comes of that
    with pytest.raises(KeyboardInterrupt):
        train(
            tmp_path / "killed",
            make_rooms(),
            make_rooms(),
            prepared.config,
            config,
            initial=prepared.state_dict(),
            stop_after=8,
        )
    for name in ("whole", "killed"):
        outcome = train(
            tmp_path / name, make_rooms(), make_rooms(), prepared.config, config, initial=prepared.state_dict()
        )
        log = [
            json.loads(line)["dev"]["exact_match"]["value"]
            for line in (tmp_path / name / "log.jsonl").read_text().splitlines()
        ]
        assert max(log) < outcome.metrics["dev"]["exact_match"]["value"]
        kept, wanted = load_checkpoint(tmp_path / name).model.state_dict(), prepared.folded().state_dict()
        assert all(torch.equal(kept[key], wanted[key]) for key in wanted)
