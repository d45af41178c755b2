"""Runs of task-agnostic distillation: every objective learns, a kill loses nothing, parsers begin with the result."""

from __future__ import annotations

import gzip
import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from makers.rooms import make_rooms
from typer.testing import CliRunner

import pqrnn
from pqrnn.checkpoint import load_checkpoint
from pqrnn.cli.running import app
from pqrnn.data.writer import write_jsonl
from pqrnn.encoders import run as encoder_run
from pqrnn.encoders.checkpoint import is_encoder, load_body, read_encoder
from pqrnn.encoders.run import EncoderOutcome, run
from pqrnn.encoders.students import is_body
from pqrnn.encoders.teachers import EncoderTeacher
from pqrnn.encoders.texts import Corpus, load_texts
from pqrnn.errors import CheckpointError, DataError, TrainingError
from pqrnn.recipes.encoder_settings import DistillEncoderRecipe
from pqrnn.recipes.recipes import FinetuneRecipe, TrainRecipe

SMALL = {
    "model.projection.word_features": 64,
    "model.projection.ngram_features": 64,
    "model.bottleneck": 16,
    "model.layers": 2,
    "model.dropout": 0.0,
    "model.transformer.width": 16,
    "model.transformer.heads": 2,
    "model.transformer.ffn": 32,
    "training.steps": 30,
    "training.batch": 8,
    "training.learning_rate": 5e-3,
    "objective.head_steps": 20,
}
QRNN = {
    "model.network": "qrnn",
    "model.state": 8,
    "model.transformer.width": 128,
    "model.transformer.heads": 4,
    "model.transformer.ffn": 512,
}


def recipe(**changes: Any) -> DistillEncoderRecipe:
    given = {name.replace("__", "."): value for name, value in changes.items()}
    return pqrnn.change(DistillEncoderRecipe(), {**SMALL, **given})


def distil(folder: Path, encoder: Path, corpus: Corpus, settings: DistillEncoderRecipe, **more: Any) -> EncoderOutcome:
    return run(folder, EncoderTeacher(str(encoder)), corpus, settings, source={"teacher": "tiny"}, **more)


def digests(folder: Path) -> dict[str, bytes]:
    names = ("model.safetensors", "log.jsonl")
    return {name: (folder / name).read_bytes() for name in names}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"objective__teacher_layer": 1, "objective__relation_heads": 4},
        {"objective__objective": "hs", "objective__mapping": "uniform-consecutive"},
        {"objective__objective": "od"},
        QRNN,
        {**QRNN, "objective.objective": "hs", "objective.mapping": "last"},
        {"student__input": "subwords"},
        {"student__input": "subwords", "student__initial": "embeddings", "objective__objective": "hs"},
        {"student__input": "subwords", "student__prune": False, "objective__objective": "od"},
    ],
    ids=str,
)
def test_every_objective_learns_in_every_kind_of_student(
    changes: dict[str, Any], encoder: Path, corpus: Corpus, tmp_path: Path
) -> None:
    outcome = distil(tmp_path, encoder, corpus, recipe(**changes))
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert log[-1]["step"] == outcome.facts.steps == 30
    least = (
        1.0 if outcome.facts.recipe["objective"]["objective"] == "od" else 0.9
    )  # it has the teacher's own entropy in it
    assert log[-1]["held_out"] < least * log[0]["held_out"]
    assert outcome.ended == "done" and is_encoder(tmp_path)
    assert not (tmp_path / "state" / "training.safetensors").exists()
    assert distil(tmp_path, encoder, corpus, recipe(**changes)).ended == "was finished"


@pytest.mark.parametrize("changes", [{}, {"objective__objective": "od"}, {"student__input": "subwords"}], ids=str)
def test_a_kill_anywhere_ends_in_the_same_weights(
    changes: dict[str, Any], encoder: Path, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distil(tmp_path / "whole", encoder, corpus, recipe(**changes))
    monkeypatch.setattr(encoder_run, "_SAVE_SECONDS", 0.0)
    for step in (1, 9, 10, 29):
        with pytest.raises(KeyboardInterrupt):
            distil(tmp_path / "cut", encoder, corpus, recipe(**changes), stop_after=step)
        assert not is_encoder(tmp_path / "cut")
    distil(tmp_path / "cut", encoder, corpus, recipe(**changes))
    assert digests(tmp_path / "cut") == digests(tmp_path / "whole")


@pytest.mark.parametrize("changes", [{}, {"student__input": "subwords"}], ids=str)
@pytest.mark.parametrize("name", ["write_facts", "read_revision"])
def test_a_kill_while_the_encoder_is_written_loses_nothing(
    name: str, changes: dict[str, Any], encoder: Path, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    settings = recipe(**changes, training__steps=5)
    distil(tmp_path / "whole", encoder, corpus, settings)
    with monkeypatch.context() as patch:
        patch.setattr(encoder_run, name, kill)
        with pytest.raises(KeyboardInterrupt):
            distil(tmp_path / "cut", encoder, corpus, settings)
    assert not is_encoder(tmp_path / "cut")
    assert distil(tmp_path / "cut", encoder, corpus, settings).facts.steps == 5
    assert digests(tmp_path / "cut") == digests(tmp_path / "whole")


def test_a_stop_during_a_step_waits_for_its_record(
    encoder: Path, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distil(tmp_path / "whole", encoder, corpus, recipe(training__steps=6))
    plain = encoder_run.Run._held_out

    def held_out(run: encoder_run.Run) -> float:
        signal.raise_signal(signal.SIGINT)
        return plain(run)

    with monkeypatch.context() as patch:
        patch.setattr(encoder_run.Run, "_held_out", held_out)
        with pytest.raises(KeyboardInterrupt):
            distil(tmp_path / "cut", encoder, corpus, recipe(training__steps=6))
    distil(tmp_path / "cut", encoder, corpus, recipe(training__steps=6))
    assert digests(tmp_path / "cut") == digests(tmp_path / "whole")


def test_a_stop_keeps_what_was_learned_and_finish_ends_it(encoder: Path, corpus: Corpus, tmp_path: Path) -> None:
    class _Stopping(encoder_run.TrainingReporter):
        def step(self, done: int, loss: float) -> None:
            if done == 7:
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(TrainingError, match="nothing to --finish"):
        distil(tmp_path, encoder, corpus, recipe(), finish=True)
    with pytest.raises(KeyboardInterrupt):
        distil(tmp_path, encoder, corpus, recipe(), reporter=_Stopping())
    with pytest.raises(TrainingError, match=r"unfinished run .*objective.objective mha there, hs here"):
        distil(tmp_path, encoder, corpus, recipe(objective__objective="hs"))
    outcome = distil(tmp_path, encoder, corpus, recipe(), finish=True)
    assert (outcome.ended, outcome.facts.steps, outcome.facts.ended_early) == ("ended early", 7, True)


def test_what_is_there_is_not_overwritten(encoder: Path, corpus: Corpus, tmp_path: Path) -> None:
    distil(tmp_path, encoder, corpus, recipe(training__steps=2))
    with pytest.raises(TrainingError, match=r"other settings or data \(training.steps 2 there, 3 here\)"):
        distil(tmp_path, encoder, corpus, recipe(training__steps=3))
    assert distil(tmp_path, encoder, corpus, recipe(training__steps=3), restart=True).facts.steps == 3
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "model.safetensors").write_text("somebody's")
    for restart in (False, True):
        with pytest.raises(TrainingError, match="of something else"):
            distil(tmp_path / "other", encoder, corpus, recipe(), restart=restart)
    assert (tmp_path / "other" / "model.safetensors").read_text() == "somebody's"


def test_the_teachers_own_guesses_are_taken_where_it_has_a_head(guesser: Path, corpus: Corpus, tmp_path: Path) -> None:
    notes: list[str] = []

    class _Noting(encoder_run.TrainingReporter):
        def note(self, text: str) -> None:
            notes.append(text)

    distil(tmp_path, guesser, corpus, recipe(objective__objective="od"), reporter=_Noting())
    assert any("head that it was trained with" in note for note in notes)
    assert not list(tmp_path.glob("state/*"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"objective__objective": "hs", "model__layers": 3}, "needs a teacher with as many layers"),
        ({"objective__relation_heads": 5}, "5 relation heads do not divide"),
    ],
)
def test_objectives_that_do_not_suit_are_refused(
    changes: dict[str, Any], said: str, encoder: Path, corpus: Corpus, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=said):
        distil(tmp_path, encoder, corpus, recipe(**changes))


def test_parsers_begin_with_an_encoder_of_words(encoder: Path, corpus: Corpus, tmp_path: Path) -> None:
    """`train` starts from its body, whatever the labels; another shape and another kind of folder are refused."""
    data = tmp_path / "rooms.jsonl"
    write_jsonl(make_rooms(), data)
    distil(tmp_path / "encoder", encoder, corpus, recipe())
    settings = pqrnn.change(
        TrainRecipe(),
        {**{name: value for name, value in SMALL.items() if name.startswith("model.")}, "model.network": "transformer"},
    )
    settings = pqrnn.change(settings, {"training.epochs": 1, "training.learning_rate": 1e-9, "training.average": 0.0})
    pqrnn.train(str(data), tmp_path / "run", recipe=settings, initial=tmp_path / "encoder")
    body = load_body(tmp_path / "encoder", settings.model)
    weights = load_checkpoint(tmp_path / "run").model.state_dict()
    assert set(body) == {name for name in weights if is_body(name)}
    for name, value in body.items():
        if "norm.mean" not in name and "norm.variance" not in name:  # of batch norm, which follow the data
            torch.testing.assert_close(weights[name], value, rtol=0, atol=1e-6)
    assert load_checkpoint(tmp_path / "run").facts.data["initial"]
    wide = pqrnn.change(settings, {"model.transformer.ffn": 48})
    with pytest.raises(TrainingError, match=r"transformer = .*same shape"):
        pqrnn.train(str(data), tmp_path / "other", recipe=wide, initial=tmp_path / "encoder")
    with pytest.raises(CheckpointError, match="no trained parser"):
        pqrnn.train(str(data), tmp_path / "other", recipe=settings, initial=tmp_path)
    again = pqrnn.train(str(data), tmp_path / "again", recipe=settings, initial=tmp_path / "run")
    assert again.ended == "done"


def test_an_encoder_of_subwords_is_fine_tuned_as_any_other(encoder: Path, corpus: Corpus, tmp_path: Path) -> None:
    data = tmp_path / "rooms.jsonl"
    write_jsonl(make_rooms(), data)
    distil(tmp_path / "encoder", encoder, corpus, recipe(student__input="subwords"))
    settings = pqrnn.change(FinetuneRecipe(), {"teacher.encoder": str(tmp_path / "encoder"), "training.epochs": 2})
    assert pqrnn.finetune(str(data), tmp_path / "teacher", recipe=settings).ended == "done"
    with pytest.raises(CheckpointError, match="pqrnn finetune --encoder"):
        pqrnn.train(str(data), tmp_path / "run", initial=tmp_path / "encoder")


def test_texts_that_are_tested_on_are_left_out_wherever_they_stand(tmp_path: Path) -> None:
    rows = make_rooms()
    for split, part in (("train", rows[:20]), ("dev", rows[20:30]), ("test", rows[30:40])):
        (tmp_path / "set").mkdir(exist_ok=True)
        write_jsonl(part, tmp_path / "set" / f"{split}.jsonl")
    tested = {example.text for example in rows[30:40]}
    lines = [*sorted(tested)[:3], "a sentence of its own", "", "  spaces around  "]
    (tmp_path / "plain.txt").write_text("\n".join(lines))
    (tmp_path / "packed.gz").write_bytes(gzip.compress(b"ein zweiter Satz\n"))
    found, left_out = load_texts([str(tmp_path / "set")], [tmp_path / "plain.txt", tmp_path / "packed.gz"])
    assert left_out == 3
    assert not {text.lower() for text in found} & {text.lower() for text in tested}
    assert {"a sentence of its own", "spaces around", "ein zweiter Satz", rows[0].text, rows[25].text} <= set(found)


def test_texts_that_cannot_be_read_are_named(encoder: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_bytes(b"good\nb\xffd\n")
    with pytest.raises(DataError, match=r"bad.txt:2: byte 0xff"):
        pqrnn.distill_encoder(str(encoder), tmp_path / "out", text=[tmp_path / "bad.txt"])
    with pytest.raises(DataError, match="--data, or plain files with --text"):
        pqrnn.distill_encoder(str(encoder), tmp_path / "out")
    (tmp_path / "one.txt").write_text("hello\n")
    with pytest.raises(DataError, match="too few"):
        pqrnn.distill_encoder(str(encoder), tmp_path / "out", text=[tmp_path / "one.txt"])
    with pytest.raises(DataError, match=r"nowhere.txt"):
        pqrnn.distill_encoder(str(encoder), tmp_path / "out", text=[tmp_path / "nowhere.txt"])
    assert not (tmp_path / "out").exists()


def test_the_command_distils_and_says_what_comes_next(encoder: Path, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("\n".join(f"switch on light number {number}" for number in range(40)))
    arguments = ["distill-encoder", "--teacher", str(encoder), "--text", str(tmp_path / "texts.txt")]
    arguments += ["--out", str(tmp_path / "out"), "--steps", "3", "--batch", "4", "--layers", "1", "--objective", "hs"]
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["ended"], said["steps"], said["input"]) == ("done", 3, "words")
    done = CliRunner().invoke(app, arguments)
    assert "was finished" in done.output and "pqrnn train --initial" in done.output.replace("\n", " ")
    wrong = CliRunner().invoke(app, [*arguments, "--objective", "kd"])
    assert wrong.exit_code != 0 and "mha, hs, od" in str(wrong.exception)
    assert read_encoder(tmp_path / "out").config.layers == 1


def test_an_encoder_is_no_parser_and_says_how_it_becomes_one(encoder: Path, corpus: Corpus, tmp_path: Path) -> None:
    distil(tmp_path, encoder, corpus, recipe(training__steps=1))
    with pytest.raises(CheckpointError, match=r"no trained parser but an encoder .*`pqrnn train --initial"):
        load_checkpoint(tmp_path)
    done = CliRunner().invoke(app, ["compile", str(tmp_path), "--out", str(tmp_path / "a.pqrnn")])
    assert done.exit_code != 0 and "encoder without a task" in str(done.exception)


def test_damage_is_named(encoder: Path, corpus: Corpus, tmp_path: Path) -> None:
    distil(tmp_path, encoder, corpus, recipe(training__steps=1))
    facts = read_encoder(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(CheckpointError, match=r"model.safetensors: cannot be read"):
        load_body(tmp_path, facts.config)
    (tmp_path / "encoder.json").write_text('{"format": 9}')
    with pytest.raises(CheckpointError, match=r"encoder.json"):
        read_encoder(tmp_path)
    with pytest.raises(CheckpointError, match="no distilled encoder"):
        read_encoder(tmp_path / "nowhere")
