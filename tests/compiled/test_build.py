"""`pqrnn build`: every stage, going on after a stop with the same result, a teacher that teaches nothing."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from makers.encoder import write_encoder
from typer.testing import CliRunner

import pqrnn
from pqrnn.building.build import BuildOutcome, preview_build
from pqrnn.building.reporting import BuildReporter
from pqrnn.building.state import STAGE_FOLDER, STATE, BuildState, discard_build, save_state
from pqrnn.cli.running import app
from pqrnn.errors import BuildError
from pqrnn.recipes.recipes import BuildRecipe
from runtime_py import Parser

_ROOMS = ("kitchen", "hall", "cellar", "garage", "attic", "garden", "living room", "bathroom")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Commands with an intent that anything learns in a few steps, in one file without splits."""
    rows = []
    for verb, intent in (("switch on", "on"), ("turn off", "off"), ("dim", "dim")):
        for room in _ROOMS:
            for pattern in ("{} the {} lights", "please {} the {} lights", "{} {}", "{} lights in the {} now"):
                text = pattern.format(verb, room)
                start = text.index(room)
                slot = {"start": start, "end": start + len(room), "label": "room"}
                rows.append({"text": text, "intent": intent, "slots": [slot], "locale": "en"})
    path = tmp_path_factory.mktemp("data") / "commands.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder"))


def _recipe(**changes: Any) -> BuildRecipe:
    """A parser that is trained and compiled in seconds, and a teacher that is better than one of a single epoch."""
    small = {
        "train.model.projection.word_features": 64,
        "train.model.projection.ngram_features": 64,
        "train.model.bottleneck": 16,
        "train.model.state": 8,
        "train.training.epochs": 1,
        "train.training.batch": 16,
        "finetune.training.epochs": 25,
        "finetune.training.batch": 8,
        "finetune.training.learning_rate": 3e-3,
    }
    recipe = pqrnn.change(BuildRecipe(), {**small, **changes})
    rounds = tuple(
        pqrnn.change(
            one,
            {"training.epochs": epochs, "training.batch": 16, "training.learning_rate": 1e-2, "transfer.variants": 1},
        )
        for one, epochs in zip(recipe.rounds, (4, 2), strict=True)
    )
    return msgspec.structs.replace(recipe, rounds=rounds)


def _digests(folder: Path, *patterns: str) -> dict[str, str]:
    paths = sorted(path for pattern in patterns for path in folder.glob(pattern))
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def _results(outcome: BuildOutcome) -> tuple[Any, ...]:
    """All that a build gives but its times: weights, code, golden vectors, scores."""
    stages = {name: msgspec.structs.replace(result, seconds=0.0) for name, result in outcome.stages.items()}
    return (
        _digests(outcome.work, "*/model.safetensors"),
        _digests(outcome.package, "variants/*/*", "golden/*"),
        stages,
        outcome.kept,
        outcome.failures,
    )


@pytest.fixture(scope="module")
def built(data: Path, encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> BuildOutcome:
    out = tmp_path_factory.mktemp("built") / "lights.pqrnn"
    return pqrnn.build(str(data), out, recipe=_recipe(), encoder=str(encoder))


def test_every_stage_runs_and_the_best_parser_is_shipped(built: BuildOutcome) -> None:
    names = ["supervised", "teacher", "round-1", "round-2-seed-1", "round-2-seed-2", "average"]
    assert list(built.stages) == [*names, "quantize", "compile", "check"]
    scores = {name: built.stages[name].exact_match or 0.0 for name in names if name != "teacher"}
    assert built.kept in scores and scores[built.kept] == max(scores.values())
    assert (built.stages["teacher"].exact_match or 0.0) > scores["supervised"]
    assert built.stages["check"].flips == 0 and built.stages["check"].passed
    assert built.failures == []
    assert not any(result.skipped for result in built.stages.values())
    with Parser.load(built.package) as parser:
        assert parser("turn off the hall lights").intent in ("on", "off", "dim")


def test_a_finished_build_is_not_run_again(built: BuildOutcome, data: Path, encoder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in built.work.rglob("*") if path.is_file()}
    again = pqrnn.build(str(data), built.package, recipe=_recipe(), encoder=str(encoder))
    assert again == built
    assert {path: path.stat().st_mtime_ns for path in built.work.rglob("*") if path.is_file()} == before


class _Stop(BuildReporter):
    """Stops a build at a step, once, as Ctrl-C or a kill would: nothing is told to the code that is stopped."""

    def __init__(self, name: str, step: int) -> None:
        self._name, self._step, self._here = name, step, False

    def stage(self, position: int, stage: Any) -> None:
        self._here = stage.name == self._name
        if self._here and self._step == 0:
            raise KeyboardInterrupt

    def step(self, done: int, loss: float) -> None:
        if self._here and done == self._step:
            raise KeyboardInterrupt

    def answers(self, done: int, total: int) -> None:
        if self._here and self._step == -1:
            raise KeyboardInterrupt


def test_a_build_that_was_stopped_at_many_points_ends_in_the_same_package(
    built: BuildOutcome, data: Path, encoder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "lights.pqrnn"
    build: Callable[..., BuildOutcome] = pqrnn.build
    stops = [("supervised", 3), ("teacher", 17), ("round-1", -1), ("round-1", 9), ("round-2-seed-2", 2)]
    stops += [("average", 0), ("quantize", 0), ("compile", 0), ("check", 0)]
    for name, step in stops:
        with pytest.raises(KeyboardInterrupt):
            build(str(data), out, recipe=_recipe(), encoder=str(encoder), reporter=_Stop(name, step))
    assert _results(build(str(data), out, recipe=_recipe(), encoder=str(encoder))) == _results(built)


def test_other_settings_are_not_mixed_with_a_build_that_is_there(
    built: BuildOutcome, data: Path, encoder: Path
) -> None:
    with pytest.raises(BuildError, match="other settings"):
        pqrnn.build(str(data), built.package, recipe=_recipe(seeds=[3]), encoder=str(encoder))


def test_a_preview_names_the_stages_and_writes_nothing(data: Path, encoder: Path, tmp_path: Path) -> None:
    preview = preview_build(str(data), tmp_path / "lights.pqrnn", recipe=_recipe(), encoder=str(encoder))
    assert [stage.name for stage in preview.stages][:3] == ["supervised", "teacher", "round-1"]
    assert preview.training + preview.development == 96
    assert any("held out" in note for note in preview.notes)
    assert list(tmp_path.iterdir()) == []


def test_a_teacher_that_is_weaker_teaches_nothing(data: Path, encoder: Path, tmp_path: Path) -> None:
    changes = {"train.training.epochs": 8, "finetune.training.epochs": 1, "finetune.training.learning_rate": 1e-6}
    out, work, stop = tmp_path / "lights.pqrnn", tmp_path / "work", _Stop("compile", 0)
    with pytest.raises(KeyboardInterrupt):  # what follows is that of any parser
        pqrnn.build(str(data), out, recipe=_recipe(**changes), encoder=str(encoder), work=work, reporter=stop)
    state = msgspec.json.decode((work / STATE).read_bytes(), type=BuildState)
    assert "weaker than the supervised parser" in state.stages["teacher"].note
    assert state.stages["round-1"].skipped and state.stages["average"].skipped
    assert state.kept == "supervised"


def test_the_command_builds_without_a_teacher_and_says_what_each_stage_gave(data: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "small.toml"
    recipe.write_text(
        "[train.model]\nbottleneck = 16\nstate = 8\n[train.model.projection]\nword_features = 64\nngram_features = 64\n"
        "[train.training]\nepochs = 6\nbatch = 16\n[goals]\nexact_match = 1.0\n"
    )
    out = tmp_path / "lights.pqrnn"
    arguments = ["build", str(data), "--out", str(out), "--recipe", str(recipe), "--encoder", "none"]
    planned = CliRunner().invoke(app, [*arguments, "--dry-run"], catch_exceptions=False)
    assert planned.exit_code == 0 and "supervised" in planned.output and not out.exists()
    done = CliRunner().invoke(app, [*arguments, "--dev-share", "0.2", "--json"], catch_exceptions=False)
    document = json.loads(done.stdout)
    assert list(document["stages"]) == ["supervised", "quantize", "compile", "check"]
    reached = document["stages"]["check"]["dev"]["exact_match"]["value"] == 1.0
    assert done.exit_code == (0 if reached else 1) == bool(document["failures"])
    shown = CliRunner().invoke(app, [*arguments, "--dev-share", "0.2"], catch_exceptions=False)
    assert "of supervised" in shown.output and shown.exit_code == done.exit_code


def test_a_package_for_other_machines_is_built_and_said_to_be_unchecked(
    built: BuildOutcome, data: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runtime_py.errors import UnsupportedTargetError
    from runtime_py.tools import check

    def refuse(*_: Any) -> Any:
        raise UnsupportedTargetError("it has: raspberry-pi-4")

    state = built.work / "build.json"
    before = state.read_bytes()
    document = json.loads(before)
    del document["stages"]["check"]
    state.write_text(json.dumps(document))
    monkeypatch.setattr(check, "check_package", refuse)
    outcome = pqrnn.build(str(data), built.package, recipe=_recipe(), encoder=str(encoder))
    state.write_bytes(before)
    assert outcome.stages["check"].skipped and "raspberry-pi-4" in outcome.stages["check"].note
    assert outcome.failures == []


def test_restart_removes_a_build_and_nothing_else(built: BuildOutcome, tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    with pytest.raises(BuildError, match="no build to throw away"):
        discard_build(tmp_path)
    for name in ("build.json", "round-2-seed-1/model.safetensors", "lessons-1/lessons.json", "mine.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    discard_build(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["letters", "mine.txt"]
    folders = [path.name for path in built.work.iterdir() if path.is_dir()]
    assert len(folders) > 5 and all(STAGE_FOLDER.fullmatch(name) for name in folders)


def test_a_kill_right_after_the_package_appeared_is_gone_on_from(
    built: BuildOutcome, data: Path, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pqrnn import api

    compile_run, out = api.compile, tmp_path / "lights.pqrnn"
    work = shutil.copytree(built.work, tmp_path / "lights.pqrnn.build")
    state = msgspec.json.decode((work / STATE).read_bytes(), type=BuildState)
    del state.stages["compile"], state.stages["check"]
    state.writing = False
    save_state(work, state)

    def stop(*arguments: Any, **named: Any) -> Any:
        compile_run(*arguments, **named)
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "compile", stop)
    with pytest.raises(KeyboardInterrupt):
        pqrnn.build(str(data), out, recipe=_recipe(), encoder=str(encoder))
    assert out.exists()
    monkeypatch.undo()
    assert pqrnn.build(str(data), out, recipe=_recipe(), encoder=str(encoder)).failures == []


def test_a_package_of_another_build_is_not_overwritten(built: BuildOutcome, data: Path, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="is not of this build"):
        pqrnn.build(str(data), built.package, recipe=_recipe(), encoder="none", work=tmp_path / "work")


def test_a_transformer_is_shipped_in_float32(data: Path, tmp_path: Path) -> None:
    recipe = pqrnn.change(
        _recipe(**{"train.model.state": 192}),
        {
            "train.model.network": "transformer",
            "train.model.transformer.width": 32,
            "train.model.transformer.ffn": 32,
            "train.model.layers": 1,
            "train.training.epochs": 8,
            "train.training.learning_rate": 5e-3,
        },
    )
    outcome = pqrnn.build(str(data), tmp_path / "lights.pqrnn", recipe=recipe, encoder="none")
    assert list(outcome.stages) == ["supervised", "quantize", "compile", "check"]
    assert "float32" in outcome.stages["quantize"].note
    assert outcome.stages["quantize"].dev == outcome.stages["supervised"].dev
    assert outcome.stages["check"].flips == 0 and outcome.failures == []
    with Parser.load(outcome.package) as parser:
        assert parser.manifest.model.precision == "float32"
        assert parser("turn off the hall lights").intent in ("on", "off", "dim")
