"""The comparison of distillations: students side by side are those of the command, and nothing is made twice."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from makers.encoder import write_encoder
from makers.rooms import make_rooms

from benchmarks import distillation
from benchmarks.distillation import OBJECTIVES, CachedTeacher, Shape, distil_together
from pqrnn import change
from pqrnn.data.writer import write_jsonl
from pqrnn.encoders.run import run
from pqrnn.encoders.teachers import EncoderTeacher
from pqrnn.encoders.texts import make_corpus
from pqrnn.recipes.encoder_settings import DistillEncoderRecipe

SMALL = {"training.steps": 4, "training.batch": 4, "objective.head_steps": 2, "training.precision": "float32"}
TEXTS = [f"switch on light {number} in the {room}" for number in range(12) for room in ("hall", "kitchen")]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder"))


def test_students_side_by_side_are_those_of_the_command(encoder: Path, tmp_path: Path) -> None:
    """Also with dropout: every step of every student has dice of its own."""
    corpus = make_corpus(TEXTS, 8)
    shape = Shape("words", 2, 32)
    recipes = {
        name: change(DistillEncoderRecipe(), {**shape.settings(), **SMALL, **OBJECTIVES[name]})
        for name in ("od", "hs last", "mha")
    }
    together = {name: tmp_path / "together" / name for name in recipes}
    distil_together(recipes, together, CachedTeacher(str(encoder)), corpus)
    for name, recipe in recipes.items():
        run(tmp_path / "alone" / name, EncoderTeacher(str(encoder)), corpus, recipe, source={})
        weights = [
            (folder / name / "model.safetensors").read_bytes() for folder in (tmp_path / "together", tmp_path / "alone")
        ]
        assert weights[0] == weights[1], name


def test_every_objective_has_settings_that_there_are() -> None:
    for shape in (Shape("words", 3, 192), Shape("subwords", 2, 128), Shape("qrnn", 2, 384)):
        for settings in OBJECTIVES.values():
            recipe = change(DistillEncoderRecipe(), {**shape.settings(), **settings})
            assert recipe.model.layers == shape.layers


def test_rows_for_every_student_its_floor_and_its_ceiling_and_nothing_twice(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rooms").mkdir()
    rows = make_rooms()
    for split, part in (("train", rows), ("dev", rows[::3])):
        write_jsonl(part, tmp_path / "rooms" / f"{split}.jsonl")
    arguments = ["--work", "tiny", "--teacher", str(encoder), "--data", str(tmp_path / "rooms")]
    arguments += ["--task", f"rooms={tmp_path / 'rooms'}", "--shape", "words:1x32", "--shape", "subwords:1x32"]
    arguments += ["--objectives", "mha", "hs last", "--steps", "2", "--labels", "20", "--epochs", "1", "--ceiling"]
    arguments += ["--folder", str(tmp_path / "work")]
    monkeypatch.setattr(sys, "argv", ["distillation", *arguments])
    distillation.main()
    kept = _rows(capsys)
    assert len(kept) == 2 * 3 + 1
    assert {row["peer"] for row in kept} == {"mha", "hs last", "untrained", "teacher"}
    assert {row["work"] for row in kept} == {
        f"tiny, {shape}, rooms with 20 labels" for shape in ("words:1x32", "subwords:1x32", "teacher")
    }
    monkeypatch.setattr(distillation, "Run", None)  # a student that is there needs no run
    distillation.main()
    assert _rows(capsys) == kept
    monkeypatch.setattr(sys, "argv", ["distillation", *arguments, "--finished", "--shape", "words:2x32"])
    distillation.main()
    assert _rows(capsys) == kept  # nothing is learned for a shape that is not there


def _rows(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]
    return rows


def test_wrong_arguments_are_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="NAME=DATA"):
        distillation.read_task("rooms", None, 10, 0)
    monkeypatch.setattr(sys, "argv", ["distillation", "--work", "x", "--shape", "words:3by192"])
    with pytest.raises(SystemExit):
        distillation.main()
    assert "words:3x192" in capsys.readouterr().err
