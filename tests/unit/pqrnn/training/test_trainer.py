"""Training: learns, stops, resumes after a kill at any step to the very same weights, and refuses to mix runs."""

from __future__ import annotations

import itertools
import json
import signal
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
import torch
from makers.rooms import make_rooms

from pqrnn.augmentation.restyling import Restyler
from pqrnn.checkpoint import load_checkpoint
from pqrnn.data.examples import Example, SlotSpan
from pqrnn.dataset.encoded import encode_examples
from pqrnn.distillation.transfer_set import Lexicon
from pqrnn.errors import CheckpointError, TrainingError
from pqrnn.evaluation.frames import frame_of_example, frame_of_parse
from pqrnn.evaluation.metrics import score_frames
from pqrnn.evaluation.prediction import predict_texts
from pqrnn.features.projection import Projection
from pqrnn.recipes.settings import ModelConfig, ProjectionConfig, TrainingConfig
from pqrnn.training import artifacts
from pqrnn.training import step as training_step
from pqrnn.training import trainer as training
from pqrnn.training.config import learning_rate
from pqrnn.training.scorer import rewrite_all
from pqrnn.training.scores import REWRITTEN, choosing_score
from pqrnn.training.trainer import train
from runtime_py.decode.decoder import Decoder

_MODEL = ModelConfig(projection=ProjectionConfig(word_features=64, ngram_features=64), bottleneck=32, state=16)
_CONFIG = TrainingConfig(epochs=6, batch=8, learning_rate=1e-2, patience=0, swap=0.3, misspell=0.1)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "whole"
    train(folder, make_rooms()[::2], make_rooms()[1::2], _MODEL, _CONFIG)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("kills", [[1], [2, 3], [5, 11], [17]])
def test_resumes_after_kills_to_the_same_weights(
    finished: Path, tmp_path: Path, kills: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "_SAVE_SECONDS", 0.0)  # a state after every step: kills fall between any two
    for step in kills:
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path, make_rooms()[::2], make_rooms()[1::2], _MODEL, _CONFIG, stop_after=step)
        assert not (tmp_path / "checkpoint.json").exists()
    train(tmp_path, make_rooms()[::2], make_rooms()[1::2], _MODEL, _CONFIG)
    assert (tmp_path / "model.safetensors").read_bytes() == (finished / "model.safetensors").read_bytes()
    assert (tmp_path / "log.jsonl").read_text() == (finished / "log.jsonl").read_text()


@pytest.mark.slow
def test_resumes_when_the_last_state_is_older_than_the_kill(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(
            tmp_path, make_rooms()[::2], make_rooms()[1::2], _MODEL, _CONFIG, stop_after=10
        )  # in epoch 4; the state is that of epoch 3
    train(tmp_path, make_rooms()[::2], make_rooms()[1::2], _MODEL, _CONFIG)
    assert (tmp_path / "model.safetensors").read_bytes() == (finished / "model.safetensors").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(("module", "name"), [(training_step, "update_average"), (artifacts, "plot_curves")])
def test_ctrl_c_in_the_middle_of_a_change_waits_for_its_end(
    finished: Path, tmp_path: Path, module: ModuleType, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state that is kept is whole.

    So it is between a step's change of the weights and that of their average, and between an epoch's count and its log.
    """
    original, calls = getattr(module, name), []

    def interrupted(*arguments: Any) -> None:
        calls.append(0)
        if len(calls) == 4:
            signal.raise_signal(signal.SIGINT)
        original(*arguments)

    if name == "plot_curves":
        monkeypatch.setattr(artifacts, "_DRAW_SECONDS", 0.0)  # after every epoch, as where epochs take long
    monkeypatch.setattr(module, name, interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, make_rooms()[::2], make_rooms()[1::2], _MODEL, _CONFIG)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    train(tmp_path, make_rooms()[::2], make_rooms()[1::2], _MODEL, _CONFIG)
    assert (tmp_path / "model.safetensors").read_bytes() == (finished / "model.safetensors").read_bytes()
    assert (tmp_path / "log.jsonl").read_text() == (finished / "log.jsonl").read_text()


@pytest.mark.slow
def test_another_seed_gives_other_weights(finished: Path, tmp_path: Path) -> None:
    train(tmp_path, make_rooms()[::2], make_rooms()[1::2], _MODEL, TrainingConfig(**{**_settings(_CONFIG), "seed": 1}))
    assert (tmp_path / "model.safetensors").read_bytes() != (finished / "model.safetensors").read_bytes()


def test_learns_and_reads_back(tmp_path: Path) -> None:
    config = TrainingConfig(**{**_settings(_CONFIG), "epochs": 40, "swap": 0.0, "misspell": 0.0})
    outcome = train(tmp_path, make_rooms(), make_rooms(), _MODEL, config)
    checkpoint = load_checkpoint(tmp_path)
    decoder = Decoder(checkpoint.facts.labels.intents, checkpoint.facts.labels.tags)
    parses = predict_texts(checkpoint.model, decoder, [example.text for example in make_rooms()])
    scores = score_frames([frame_of_example(each) for each in make_rooms()], [frame_of_parse(each) for each in parses])
    assert scores.exact_match.value > 0.95
    # The score from bytes is the score that training saw with cached features.
    assert scores.exact_match.value == pytest.approx(outcome.metrics["dev"]["exact_match"]["value"], abs=1e-6)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert [json.loads(line)["epoch"] for line in (tmp_path / "log.jsonl").read_text().splitlines()] == list(
        range(1, 41)
    )


@pytest.mark.parametrize(("seconds", "drawn"), [(0.0, [1, 2, 3, 3]), (1e9, [3])])
def test_curves_are_drawn_now_and_then_and_at_the_end(
    tmp_path: Path, seconds: float, drawn: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs: list[int] = []
    monkeypatch.setattr(artifacts, "_DRAW_SECONDS", seconds)
    monkeypatch.setattr(artifacts, "plot_curves", lambda log, path: epochs.append(len(log)))
    config = TrainingConfig(**{**_settings(_CONFIG), "epochs": 3})
    train(tmp_path, make_rooms()[::2], make_rooms()[1::2], _MODEL, config)
    assert epochs == drawn


def test_stops_early(tmp_path: Path) -> None:
    config = TrainingConfig(**{**_settings(_CONFIG), "epochs": 30, "patience": 2, "learning_rate": 0.0})
    still = msgspec.structs.replace(_MODEL, norm="none")  # observed means and variances would move at any learning rate
    outcome = train(tmp_path, make_rooms()[::2], make_rooms()[1::2], still, config)
    assert outcome.ended == "early stop"
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 3


def test_a_finished_run_is_not_run_again(finished: Path) -> None:
    before = (finished / "model.safetensors").stat().st_mtime_ns
    assert train(finished, make_rooms()[::2], make_rooms()[1::2], _MODEL, _CONFIG).ended == "was finished"
    assert (finished / "model.safetensors").stat().st_mtime_ns == before


def test_other_settings_are_refused_and_restart_obeys(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, make_rooms()[::2], make_rooms()[1::2], _MODEL, _CONFIG, stop_after=4)
    other = TrainingConfig(**{**_settings(_CONFIG), "epochs": 1})
    for folder in (finished, tmp_path):
        with pytest.raises(TrainingError, match="--restart"):
            train(folder, make_rooms()[::2], make_rooms()[1::2], _MODEL, other)
    assert train(tmp_path, make_rooms()[::2], make_rooms()[1::2], _MODEL, other, restart=True).ended == "done"


def test_no_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="nothing to learn from"):
        train(tmp_path, [], make_rooms(), _MODEL, _CONFIG)


def test_rows_that_cannot_be_tagged_train_the_intent(tmp_path: Path) -> None:
    odd = Example("switch on the kitchen lights", "on", (SlotSpan("room", 14, 18), SlotSpan("room", 16, 21)))
    config = TrainingConfig(**{**_settings(_CONFIG), "epochs": 1})
    train(tmp_path, [*make_rooms(), odd], [odd], _MODEL, config)
    assert json.loads((tmp_path / "checkpoint.json").read_text())["metrics"]["dev"]["exact_match"]["value"] == 0.0


def test_checkpoint_holds_no_pickle_and_says_where_it_is_from(finished: Path) -> None:
    assert not any(path.suffix in {".pt", ".pth", ".pkl", ".bin"} for path in finished.rglob("*"))
    facts = load_checkpoint(finished).facts
    assert facts.labels.intents == ("dim", "off", "on")
    assert facts.labels.tags == ("O", "B-room", "I-room")
    assert len(facts.data["train"]) == len(facts.data["dev"]) == 64
    assert sum(count for *_, count in facts.lengths) == len(make_rooms()[::2])
    assert set(facts.golden_texts) <= {example.text for example in make_rooms()[::2]}


@pytest.mark.parametrize("damage", ["checkpoint.json", "model.safetensors"])
def test_damaged_checkpoints_are_refused(finished: Path, tmp_path: Path, damage: str) -> None:
    for path in finished.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / damage).write_bytes((finished / damage).read_bytes()[:-40])
    with pytest.raises(CheckpointError, match=damage.split(".")[0]):
        load_checkpoint(tmp_path)


def test_learning_rate_rises_then_falls_to_nothing() -> None:
    config = TrainingConfig(warmup=10)
    rates = [learning_rate(config, step, 1000) for step in range(1000)]
    assert rates.index(max(rates)) == 9
    assert rates[0] == pytest.approx(config.learning_rate / 10, rel=1e-4)
    assert rates[-1] < config.learning_rate * 1e-5
    assert all(b < a for a, b in itertools.pairwise(rates[10:]))


def test_bfloat16_products_train_too(tmp_path: Path) -> None:
    config = TrainingConfig(**{**_settings(_CONFIG), "epochs": 2, "precision": "bfloat16"})
    train(tmp_path, make_rooms()[::2], make_rooms()[1::2], _MODEL, config)
    assert all(value.dtype == torch.float32 for value in load_checkpoint(tmp_path).model.state_dict().values())


def _settings(config: TrainingConfig) -> dict[str, object]:
    return {name: getattr(config, name) for name in config.__struct_fields__}


def test_an_epoch_is_chosen_by_clean_and_rewritten_texts_where_these_are_learned(tmp_path: Path) -> None:
    rows = [replace(row, locale="en-US") for row in make_rooms()]
    for name, restyle in (("with", 0.5), ("without", 0.0)):
        config = msgspec.structs.replace(_CONFIG, restyle=restyle)
        train(tmp_path / name, rows[::2], rows[1::2], _MODEL, config)
        log = [json.loads(line)["dev"] for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        assert all((REWRITTEN in scores) == bool(restyle) for scores in log)
        best = json.loads((tmp_path / name / "checkpoint.json").read_text())["training"]["best_epoch"]
        assert best == max(range(1, len(log) + 1), key=lambda epoch: (choosing_score(log[epoch - 1]), epoch))
    assert choosing_score({"exact_match": {"value": 0.5}, REWRITTEN: {"value": 0.25}}) == 0.375


def test_development_texts_are_rewritten_always_in_the_same_way() -> None:
    table = Lexicon()
    rows = [replace(row, locale="en-US") for row in make_rooms()]
    dataset = encode_examples(rows, table, ("on", "off", "dim"), ("O", "B-room", "I-room"))
    projection = Projection(ProjectionConfig())
    restyle = Restyler(dataset.examples.words, ("O", "B-room", "I-room"), projection, table)
    made = rewrite_all(dataset, restyle)
    assert made == rewrite_all(dataset, restyle)
    assert len(made) == len([row for row in dataset.utterances if row.tags is not None])
    assert all(row.words != before.words for row, before in zip(made, dataset.utterances, strict=True))
    dataset.utterances[0] = dataset.utterances[0]._replace(tags=None)
    assert len(rewrite_all(dataset, restyle)) == len(made) - 1
