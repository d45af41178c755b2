"""A run that is stopped at any moment goes on to the very same weights; it can be ended early, and never keeps NaN."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from makers.rooms import make_rooms

from pqrnn.checkpoint import load_checkpoint, training_identity
from pqrnn.errors import TrainingError
from pqrnn.model.batch_norm import MaskedBatchNorm
from pqrnn.recipes.settings import ModelConfig, ProjectionConfig, TrainingConfig
from pqrnn.run_folder import STATE
from pqrnn.training import artifacts, batches, resume, scorer
from pqrnn.training import step as training_step
from pqrnn.training import trainer as training
from pqrnn.training.reporting import TrainingOutcome, TrainingReporter
from pqrnn.training.resume import TrainingState, read_progress
from pqrnn.training.scores import choosing_score
from pqrnn.training.signals import Signals
from pqrnn.training.trainer import train
from runtime_py.atomic_files import write_atomic

pytestmark = pytest.mark.slow

_MODEL = ModelConfig(projection=ProjectionConfig(word_features=32, ngram_features=32), bottleneck=16, state=8)
_CONFIG = TrainingConfig(epochs=4, batch=8, learning_rate=1e-2, patience=0, swap=0.3, misspell=0.1)
_TRAIN, _DEV = make_rooms()[::2], make_rooms()[1::2]  # three steps an epoch


def _train(folder: Path, config: TrainingConfig = _CONFIG, **options: Any) -> TrainingOutcome:
    return train(folder, _TRAIN, _DEV, _MODEL, config, **options)


@pytest.fixture(scope="module", autouse=True)
def _without_curves() -> Iterator[None]:
    """Drawing takes longer than all that is learned here; `test_trainer.py` draws."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(artifacts, "plot_curves", lambda log, path: write_atomic(path, b"curves"))
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "whole"
    _train(folder)
    return folder


def _assert_same(folder: Path, other: Path) -> None:
    for name in ("model.safetensors", "log.jsonl"):
        assert (folder / name).read_bytes() == (other / name).read_bytes()


def _signal_at(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, call: int, number: int, after: bool) -> None:
    """Let a signal arrive before or after some call of a function, once."""
    original, calls = getattr(owner, name), []

    def interrupted(*arguments: Any, **named: Any) -> Any:
        calls.append(0)
        if len(calls) == call and not after:
            signal.raise_signal(number)
        result = original(*arguments, **named)
        if len(calls) == call and after:
            signal.raise_signal(number)
        return result

    monkeypatch.setattr(owner, name, interrupted)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("owner", "name", "call"),
    [
        (MaskedBatchNorm, "follow", 7),  # running statistics: those of the norm, long before the weights change
        (MaskedBatchNorm, "follow", 12),
        (training_step, "joint_loss", 5),
        (training_step, "all_reduce", 5),
        (training_step, "update_average", 4),
        (training_step, "learning_rate", 8),
        (torch.optim.AdamW, "zero_grad", 6),
        (batches.TrainingBatches, "draw", 6),
        (torch, "manual_seed", 7),
        (scorer, "predict_encoded", 2),
        (resume.TrainingState, "end_epoch", 2),
        (artifacts, "plot_curves", 2),
        (artifacts, "save_state", 2),
        (artifacts, "write_atomic", 2),
    ],
)
def test_a_stop_at_any_moment_changes_nothing(
    finished: Path, tmp_path: Path, owner: Any, name: str, call: int, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        if name == "plot_curves":
            patch.setattr(artifacts, "_DRAW_SECONDS", 0.0)  # after every epoch, as where epochs take long
        _signal_at(patch, owner, name, call, signal.SIGINT, after)
        with pytest.raises(KeyboardInterrupt):
            _train(tmp_path)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert (tmp_path / STATE).is_file() and not (tmp_path / "checkpoint.json").exists()
    _train(tmp_path)
    _assert_same(tmp_path, finished)


def test_other_signals_that_python_handles_wait_for_the_end_of_a_step_too(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        with monkeypatch.context() as patch:
            _signal_at(patch, MaskedBatchNorm, "follow", 7, signal.SIGTERM, True)
            patch.setattr(training, "_SAVE_SECONDS", 0.0)  # nobody saves what `SystemExit` ends
            with pytest.raises(SystemExit):
                _train(tmp_path)
        assert signal.getsignal(signal.SIGTERM) is end
    finally:
        signal.signal(signal.SIGTERM, before)
    _train(tmp_path)
    _assert_same(tmp_path, finished)


def test_a_second_stop_while_the_state_is_written_leaves_it_whole(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        _signal_at(patch, MaskedBatchNorm, "follow", 7, signal.SIGINT, False)
        _signal_at(patch, artifacts, "save_state", 1, signal.SIGINT, False)
        with pytest.raises(KeyboardInterrupt):
            _train(tmp_path)
    assert [path.name for path in (tmp_path / STATE).parent.iterdir()] == [Path(STATE).name]
    assert read_progress(tmp_path / STATE).step == 3
    _train(tmp_path)
    _assert_same(tmp_path, finished)


def test_a_block_that_fails_is_not_taken_for_whole() -> None:
    """An error within it comes first: a stop that was held back must not have the half-done step saved."""
    with pytest.raises(ValueError, match="broken"), Signals() as signals, signals.hold():
        signal.raise_signal(signal.SIGINT)
        raise ValueError("broken")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_state_of_an_earlier_version_is_gone_on_from(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        _train(tmp_path, stop_after=7)
    _rewrite_progress(tmp_path, lambda progress: [progress.pop(name) for name in ("described", "changes")])
    with pytest.raises(TrainingError, match=r"of a version that did not keep their names.*--restart"):
        _train(tmp_path, _with(batch=16))
    _train(tmp_path)
    _assert_same(tmp_path, finished)


class _FinishAt(TrainingReporter):
    """Sends the signal that asks for an early end."""

    def __init__(self, step: int) -> None:
        self._step = step

    def step(self, done: int, loss: float) -> None:
        if done == self._step:
            os.kill(os.getpid(), signal.SIGUSR1)


@pytest.mark.parametrize(("step", "epochs"), [(8, 2), (9, 2), (1, 1)])
def test_a_signal_ends_a_run_and_keeps_its_best_epoch(finished: Path, tmp_path: Path, step: int, epochs: int) -> None:
    """Before the first epoch is done there is nothing to keep: then it ends after that."""
    before = signal.getsignal(signal.SIGUSR1)
    outcome = _train(tmp_path, reporter=_FinishAt(step))
    assert outcome.ended == "ended early" and signal.getsignal(signal.SIGUSR1) == before
    _assert_ended_early(finished, tmp_path, outcome, epochs)


def _assert_ended_early(finished: Path, folder: Path, outcome: TrainingOutcome, epochs: int) -> None:
    lines = (folder / "log.jsonl").read_text().splitlines()
    assert lines == (finished / "log.jsonl").read_text().splitlines()[:epochs]
    facts = load_checkpoint(folder).facts
    best = max((json.loads(line)["dev"] for line in reversed(lines)), key=choosing_score)
    assert outcome.metrics["dev"]["exact_match"]["value"] == best["exact_match"]["value"]
    assert facts.training["ended_early"] == epochs
    assert training_identity(facts) != training_identity(load_checkpoint(finished).facts)
    assert not (folder / STATE).exists()
    assert _train(folder).ended == "was finished"


def test_an_unfinished_run_is_ended_by_finish(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no unfinished run.*--finish"):
        _train(tmp_path, finish=True)
    with pytest.raises(KeyboardInterrupt):
        _interrupt(tmp_path, 2)
    with pytest.raises(TrainingError, match="no epoch of this run is done"):
        _train(tmp_path, finish=True)
    with pytest.raises(KeyboardInterrupt):
        _interrupt(tmp_path, 8)
    with pytest.raises(TrainingError, match="--restart throws"):
        _train(tmp_path, finish=True, restart=True)
    outcome = _train(tmp_path, finish=True)
    assert outcome.ended == "ended early"
    _assert_ended_early(finished, tmp_path, outcome, 2)
    assert _train(tmp_path, finish=True).ended == "was finished"


class _InterruptAt(TrainingReporter):
    def __init__(self, step: int) -> None:
        self._step = step

    def step(self, done: int, loss: float) -> None:
        if done == self._step:
            signal.raise_signal(signal.SIGINT)


def _interrupt(folder: Path, step: int, config: TrainingConfig = _CONFIG) -> None:
    _train(folder, config, reporter=_InterruptAt(step))


def _with(**changes: Any) -> TrainingConfig:
    return msgspec.structs.replace(_CONFIG, **changes)


class _Notes(TrainingReporter):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_an_unfinished_run_takes_more_epochs_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        _interrupt(tmp_path, 8)
    told = _Notes()
    outcome = _train(tmp_path, _with(epochs=6, patience=5, threads=1), reporter=told)
    assert outcome.ended == "done"
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 6
    assert told.notes == [
        "goes on from step 8 with another setting: --epochs 4 there, 6 here",
        "goes on from step 8 with another setting: --patience 0 there, 5 here",
        "weights chosen on development data: prior of frames 0.4, penalty of a slot that never came with its intent 2, "
        "margin of intents 1",
    ]
    facts = load_checkpoint(tmp_path).facts
    assert facts.training["changes"] == [{"step": 8, "training.epochs": [4, 6], "training.patience": [0, 5]}]
    assert facts.training["epochs"] == 6
    assert _train(tmp_path, _with(epochs=6, patience=5)).ended == "was finished"


def test_a_stop_after_a_change_goes_on_with_what_was_changed(tmp_path: Path) -> None:
    parts, whole = tmp_path / "parts", tmp_path / "whole"
    with pytest.raises(KeyboardInterrupt):
        _interrupt(whole, 8)
    shutil.copytree(whole, parts)
    _train(whole, _with(epochs=6))
    with pytest.raises(KeyboardInterrupt):
        _interrupt(parts, 11, _with(epochs=6))
    _train(parts, _with(epochs=6))
    _assert_same(parts, whole)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"batch": 16}, "--batch 8 there, 16 here"),
        ({"seed": 3, "epochs": 9}, "--seed 0 there, 3 here"),
        ({"learning_rate": 0.1}, "--learning-rate 0.01 there, 0.1 here"),
        ({"warmup": 7}, "training.warmup 200 there, 7 here"),
        ({"epochs": 2}, "2 epochs are done.*--finish"),
    ],
)
def test_what_may_not_change_is_said_by_name(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        _interrupt(tmp_path, 8)
    before = (tmp_path / STATE).read_bytes()
    with pytest.raises(TrainingError, match=f"{named}.*--restart"):
        _train(tmp_path, _with(**changes))
    assert (tmp_path / STATE).read_bytes() == before


def test_other_data_and_another_shape_are_said_by_name(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        _interrupt(tmp_path, 8)
    wider = msgspec.structs.replace(_MODEL, bottleneck=24)
    for folder in (tmp_path, finished):
        with pytest.raises(TrainingError, match=r"with other settings or data .the training utterances are others."):
            train(folder, _TRAIN[1:], _DEV, _MODEL, _CONFIG)
        with pytest.raises(TrainingError, match="--bottleneck 16 there, 24 here; the development utterances"):
            train(folder, _TRAIN, _DEV[1:], wider, _CONFIG)
        with pytest.raises(TrainingError, match="the weights to start from are others"):
            train(folder, _TRAIN, _DEV, _MODEL, _CONFIG, initial=load_checkpoint(finished).model.state_dict())
    with pytest.raises(TrainingError, match=r"was trained with other settings or data .--epochs 4 there, 9 here."):
        _train(finished, _with(epochs=9))


def _poison(monkeypatch: pytest.MonkeyPatch, call: int, value: float, only_gradient: bool = False) -> None:
    """Make a loss, or its gradient alone, no finite number at one step."""
    original, calls = training_step.joint_loss, []

    def broken(*arguments: Any) -> torch.Tensor:
        calls.append(0)
        loss: torch.Tensor = original(*arguments)
        if len(calls) != call:
            return loss
        factor = torch.tensor(value)
        return loss + (loss - loss.detach()) * factor if only_gradient else loss * factor

    monkeypatch.setattr(training_step, "joint_loss", broken)


@pytest.mark.parametrize(
    ("value", "gradient", "said"),
    [
        (float("nan"), False, "loss is nan"),
        (float("inf"), False, "loss is inf"),
        (float("inf"), True, "loss is nan|gradient of the loss is"),
    ],
)
def test_a_loss_that_is_no_number_stops_the_run_at_its_step(
    finished: Path, tmp_path: Path, value: float, gradient: bool, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "_SAVE_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        _poison(patch, 8, value, gradient)
        with pytest.raises(TrainingError, match=f"step 8: the ({said}).*--finish keeps the best of the 2 epochs"):
            _train(tmp_path)
    progress = read_progress(tmp_path / STATE)
    assert progress.step == 7 and len(progress.log) == 2
    shutil.copytree(tmp_path, tmp_path / "copy")
    _train(tmp_path)  # what came of a broken machine, not of the settings, goes on as if nothing had been
    _assert_same(tmp_path, finished)
    _assert_ended_early(finished, tmp_path / "copy", _train(tmp_path / "copy", finish=True), 2)


def test_a_loss_that_is_no_number_from_the_start_says_how_to_begin_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _poison(monkeypatch, 1, float("nan"))
    with pytest.raises(TrainingError, match="step 1: the loss is nan") as error:
        _train(tmp_path)
    assert "--finish" not in str(error.value) and "--restart with a lower --learning-rate (now 0.01)" in str(
        error.value
    )
    assert not (tmp_path / STATE).exists() and not (tmp_path / "checkpoint.json").exists()


def test_a_learning_rate_that_breaks_everything_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"step [0-9]+: the (loss|gradient)"):
        _train(tmp_path, _with(learning_rate=1e30, clip=1e30, epochs=40))
    assert not (tmp_path / "checkpoint.json").exists()


def _rewrite_progress(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the head of a state file, and nothing else of it."""
    from safetensors import safe_open
    from safetensors.torch import save

    with safe_open(folder / STATE, "pt") as file:
        progress = json.loads(file.metadata()["progress"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    change(progress)
    (folder / STATE).write_bytes(save(tensors, {"progress": json.dumps(progress)}))


@pytest.mark.parametrize("name", ["save_state", "write_atomic", "plot_curves", "save_checkpoint"])
def test_a_full_disk_is_said_with_the_folder_and_the_run_goes_on_afterwards(
    finished: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picture is drawn at the end, as the checkpoint is written."""
    original, calls = getattr(artifacts, name), []

    def full(*arguments: Any) -> Any:
        calls.append(0)
        if len(calls) == (1 if name in ("save_checkpoint", "plot_curves") else 2):
            raise OSError(28, "No space left on device")
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(artifacts, name, full)
        with pytest.raises(TrainingError, match=f"{tmp_path}: cannot be written .No space left on device."):
            _train(tmp_path)
    _train(tmp_path)
    _assert_same(tmp_path, finished)


def test_what_a_kill_left_half_written_is_removed(finished: Path, tmp_path: Path) -> None:
    """And nothing else: neither a person's hidden files nor those of another name."""
    with pytest.raises(KeyboardInterrupt):
        _train(tmp_path, stop_after=4)
    scraps = [tmp_path / "state" / ".training.safetensors.0123abcd", tmp_path / ".log.jsonl.ffffffff"]
    kept = [tmp_path / ".log.jsonl.swp", tmp_path / ".notes.0123abcd"]
    for path in (*scraps, *kept):
        path.write_bytes(b"half")
    _train(tmp_path)
    assert not any(path.exists() for path in scraps) and all(path.exists() for path in kept)
    _assert_same(tmp_path, finished)


def test_progress_without_the_newer_fields_is_read() -> None:
    earlier = msgspec.json.encode({"settings": "s", "step": 3, "best": 0.5})
    progress = msgspec.json.decode(earlier, type=TrainingState)
    assert progress.described is None and progress.changes == [] and progress.keeps_weights
