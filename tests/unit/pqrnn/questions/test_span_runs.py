"""Runs that train span models: they learn, a kill loses nothing, parts learn too, and mistakes are said."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from makers.encoder import write_encoder
from makers.questions import SHORT, make_questions, write_squad
from typer.testing import CliRunner

import pqrnn
from pqrnn.api.questions import draw_questions
from pqrnn.cli.running import app
from pqrnn.data.questions.squad import Answer, Question
from pqrnn.errors import CheckpointError, DataError, TrainingError
from pqrnn.model.length_config import LengthConfig, full_config
from pqrnn.questions import run as span_run
from pqrnn.questions.batches import collate_spans, cut_training, read_steps
from pqrnn.questions.checkpoint import is_span_model, load_span_model, read_span_facts
from pqrnn.questions.evaluate import encode_questions, mean_window_macs, predict_answers, predict_logits, score_model
from pqrnn.questions.model import SpanModel, span_distance, span_loss
from pqrnn.questions.run import SpanOutcome, make_model, run
from pqrnn.recipes.question_settings import FinetuneQuestionsRecipe
from pqrnn.run_folder import QUESTIONS
from pqrnn.training.reporting import TrainingReporter
from pqrnn.training.sandwich import draw_parts
from runtime_py.questions.windows import Span, find_span

QUESTIONS_GIVEN = make_questions()


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def recipe(encoder: Path, **changes: Any) -> FinetuneQuestionsRecipe:
    given = {name.replace("__", "."): value for name, value in changes.items()}
    settings = {
        **SHORT,
        "spans.encoder": str(encoder),
        "spans.dropout": 0.0,
        "training.batch": 8,
        "training.epochs": 8,
        "training.learning_rate": 3e-3,
        "training.precision": "float32",
    }
    return pqrnn.change(FinetuneQuestionsRecipe(), {**settings, **given})


def learn(folder: Path, settings: FinetuneQuestionsRecipe, **more: Any) -> SpanOutcome:
    return run(folder, QUESTIONS_GIVEN, settings, source={"data": "letters"}, **more)


def digests(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("model.safetensors", "log.jsonl")}


@pytest.fixture(scope="module")
def trained(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    learn(folder, recipe(encoder, spans__train_embeddings=True, training__epochs=20))
    return folder


def test_it_learns_and_says_what_it_learned(trained: Path, encoder: Path) -> None:
    model, facts = load_span_model(trained)
    unseen = encode_questions(model, make_questions(30, seed=1))
    assert score_model(model, unseen).exact_match > 0.9
    assert score_model(SpanModel(model.config).eval(), unseen).exact_match < 0.5
    assert facts.steps == 100 and facts.parameters == model.parameters_count()
    assert sum(times for _, times in facts.lengths) == len(QUESTIONS_GIVEN) and len(facts.golden) == 24
    assert not (trained / "state" / "training.safetensors").exists()
    again = learn(trained, recipe(encoder, spans__train_embeddings=True, training__epochs=20))
    assert again.ended == "was finished"


def test_a_window_teaches_where_it_holds_the_whole_answer(encoder: Path) -> None:
    reader = make_model(recipe(encoder), None).make_reader()
    context = " ".join("abcdefghijklmnopqrstuvwxyz")
    windows = cut_training([Question("1", "x", context, (Answer("p q r", context.index("p")),))], reader)
    # 26 letters in windows of 24 - 4 = 20, 8 apart: letters 15 to 17 lie in both
    assert [(len(window.row), window.head, window.first, window.last) for window in windows] == [
        (24, 3, 18, 20),
        (22, 3, 10, 12),
    ]
    batch = collate_spans(windows, 0)
    assert batch.inside.sum(1).tolist() == [20, 18] and batch.counts.tolist() == [24, 22]
    for row in range(2):
        found = batch.tokens[row, batch.first[row] : batch.last[row] + 1].tolist()
        assert found == list(reader.read("x", "p q r").context)
    with pytest.raises(DataError, match="nothing to learn from"):
        cut_training([Question("1", "x", "a  b", (Answer(" ", 1),))], reader)


def test_an_epoch_reads_every_window_once_in_an_order_of_its_own(encoder: Path) -> None:
    windows = cut_training(QUESTIONS_GIVEN, make_model(recipe(encoder), None).make_reader())
    seen = []
    for _, batch in read_steps(windows, 0, seed=3, size=8, first=0, last=10):
        seen += [tuple(row[:count]) for row, count in zip(batch.tokens.tolist(), batch.counts.tolist(), strict=True)]
    half = len(windows)
    assert sorted(seen[:half]) == sorted(seen[half:]) == sorted(window.row for window in windows)
    assert seen[:half] != seen[half:]


@pytest.mark.parametrize("adaptive", [False, True])
def test_a_kill_anywhere_ends_in_the_same_weights(
    adaptive: bool, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = recipe(encoder, training__adaptive__enabled=adaptive, training__epochs=2, spans__dropout=0.1)
    learn(tmp_path / "whole", settings)
    monkeypatch.setattr(span_run, "_SAVE_SECONDS", 0.0)
    for step in (1, 5, 9):
        with pytest.raises(KeyboardInterrupt):
            learn(tmp_path / "cut", settings, stop_after=step)
        assert not is_span_model(tmp_path / "cut")
    learn(tmp_path / "cut", settings)
    assert digests(tmp_path / "cut") == digests(tmp_path / "whole")


def test_ctrl_c_saves_and_an_end_keeps_what_was_learned(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, taken = recipe(encoder), span_run._Run.step

    def interrupt(self: Any, number: int, batch: Any) -> float:
        if number == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return taken(self, number, batch)

    with monkeypatch.context() as patch:
        patch.setattr(span_run._Run, "step", interrupt)
        with pytest.raises(KeyboardInterrupt):
            learn(tmp_path, settings)
    outcome = learn(tmp_path, settings, finish=True)
    assert outcome.ended == "ended early" and outcome.facts.steps == 4 and outcome.facts.ended_early
    load_span_model(tmp_path)
    with pytest.raises(TrainingError, match="no unfinished run"):
        learn(tmp_path / "nothing", settings, finish=True)


def test_parts_learn_beside_the_whole(trained: Path, encoder: Path, tmp_path: Path) -> None:
    part, unseen = LengthConfig((40, 16)), make_questions(30, seed=1)
    settings = recipe(
        encoder, spans__train_embeddings=True, training__adaptive__enabled=True, training__adaptive__length_drop=0.6
    )
    learn(tmp_path, settings, initial=trained)
    after, _ = load_span_model(tmp_path)
    encoded = encode_questions(after, unseen)
    assert score_model(after, encoded).f1 > 0.9
    assert score_model(after, encoded, part).f1 > 0.9
    counts = encoded.window_lengths()
    assert mean_window_macs(after, counts, part) < 0.7 * mean_window_macs(after, counts)
    assert mean_window_macs(after, counts, full_config(2)) == mean_window_macs(after, counts)


def test_the_loss_of_a_step_is_the_mean_over_the_whole_and_its_parts(encoder: Path, tmp_path: Path) -> None:
    settings = recipe(encoder, training__adaptive__enabled=True, training__adaptive__length_drop=0.6)
    model = make_model(settings, None).eval()
    windows = cut_training(QUESTIONS_GIVEN[:5], model.make_reader())
    batch = collate_spans(windows, 0)
    made = span_run._Run(tmp_path, model, windows, settings, TrainingReporter())
    with torch.no_grad():
        whole = model(batch.tokens, batch.heads, batch.counts)
        parts = draw_parts(2, settings.training.adaptive, 0, 4)
        distances = [
            float(span_distance(model(batch.tokens, batch.heads, batch.counts, part), whole, batch.inside))
            for part in parts
        ]
        wanted = (float(span_loss(whole, batch.inside, batch.first, batch.last)) + sum(distances)) / (len(parts) + 1)
        assert len(parts) > 1 and max(distances) > 0.0
        assert float(made._loss(4, batch)) == pytest.approx(wanted, rel=1e-5)


def test_answers_over_windows_are_those_of_single_windows(trained: Path) -> None:
    model, _ = load_span_model(trained)
    encoded = encode_questions(model, make_questions(6, seed=2, longest=50))
    assert max(len(pair.windows) for pair in encoded.pairs) > 2
    answers = predict_answers(model, encoded)
    for question, pair, answer in zip(encoded.questions, encoded.pairs, answers, strict=True):
        starts, ends = [], []
        for window in pair.windows:
            row = pair.row(window)
            with torch.inference_mode():
                logits = model(torch.tensor([row]), torch.tensor([len(pair.head)]), torch.tensor([len(row)]))
            inside = slice(len(pair.head), len(row) - len(pair.tail))
            starts.append(logits.start[0, inside].numpy())
            ends.append(logits.end[0, inside].numpy())
        span = find_span(starts, ends, pair.windows, 4)
        assert isinstance(span, Span)
        assert (answer.start, answer.end) == (pair.offsets[span.first][0], pair.offsets[span.last][1])
        assert question.context[answer.start : answer.end] == answer.text
        for mine, its in zip(predict_logits(model, [pair])[0][0], starts, strict=True):
            np.testing.assert_allclose(mine, its, atol=1e-4)


def test_what_is_in_the_way_is_said_and_nothing_is_lost(trained: Path, encoder: Path, tmp_path: Path) -> None:
    kept = digests(trained)
    with pytest.raises(TrainingError, match=r"other settings or data .*epochs 20 there, 8 here"):
        learn(trained, recipe(encoder, spans__train_embeddings=True))
    assert digests(trained) == kept
    with pytest.raises(CheckpointError, match=r"no questions\.json here"):
        learn(tmp_path / "a", recipe(encoder), initial=tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "checkpoint.json").write_text("{}")
    with pytest.raises(TrainingError, match=r"holds checkpoint\.json of something else"):
        learn(tmp_path / "other", recipe(encoder))
    with pytest.raises(CheckpointError, match="a parser, which answers no questions"):
        read_span_facts(tmp_path / "other")
    second = tmp_path / "second"
    second.mkdir()
    write_encoder(second)
    with pytest.raises(TrainingError, match=r"is made of the encoder .*give --encoder"):
        learn(tmp_path / "b", recipe(second), initial=trained)
    assert not (tmp_path / "a").exists() and not (tmp_path / "b").exists()


def test_damaged_files_are_refused(trained: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(trained, tmp_path / "copy")
    facts = (tmp_path / "copy" / QUESTIONS).read_bytes()
    (tmp_path / "copy" / QUESTIONS).write_bytes(facts.replace(b'"format": 1', b'"format": 9'))
    with pytest.raises(CheckpointError, match="format 9, and this version of pqrnn reads format 1"):
        load_span_model(tmp_path / "copy")
    (tmp_path / "copy" / QUESTIONS).write_bytes(facts[:-20])
    with pytest.raises(CheckpointError, match=r"questions\.json: "):
        load_span_model(tmp_path / "copy")
    (tmp_path / "copy" / QUESTIONS).write_bytes(facts)
    (tmp_path / "copy" / "model.safetensors").write_bytes(b"short")
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        load_span_model(tmp_path / "copy")


def test_the_commands(encoder: Path, tmp_path: Path) -> None:
    data, out = write_squad(QUESTIONS_GIVEN, tmp_path / "letters.json"), tmp_path / "run"
    runner = CliRunner()
    options = ["--encoder", str(encoder), "--longest", "40", "--stride", "4", "--epochs", "1"]
    # the question's own limit has no option: a recipe sets it
    (tmp_path / "recipe.toml").write_text("[spans]\nlongest_question = 6\n")
    options += ["--recipe", str(tmp_path / "recipe.toml"), "--precision", "float32"]
    done = runner.invoke(app, ["finetune-questions", "--data", str(data), "--out", str(out), *options, "--json"])
    assert done.exit_code == 0, done.output
    assert '"ended":"done"' in done.stdout.replace(" ", "")
    scored = runner.invoke(app, ["evaluate-questions", str(out), "--data", str(data), "--sample", "7", "--json"])
    assert scored.exit_code == 0, scored.output
    assert '"questions":7' in scored.stdout.replace(" ", "")
    refused = runner.invoke(app, ["evaluate-questions", str(out), "--data", str(data), "--sample", "99"])
    assert "has 40 questions, and 99 are to be drawn" in str(refused.exception)


def test_budgets_are_found_and_stored(trained: Path, tmp_path: Path) -> None:
    import shutil

    run_folder = Path(shutil.copytree(trained, tmp_path / "run"))
    data = write_squad(make_questions(12, seed=7), tmp_path / "letters.json")
    options = ["--sample", "8", "--iterations", "1", "--population", "6", "--mutations", "3", "--crossovers", "3"]
    command = ["budget-questions", str(run_folder), "--data", str(data), *options, "--length-drop", "0.7"]
    done = CliRunner().invoke(app, [*command, "--json"])
    assert done.exit_code == 0, done.output
    model, facts = load_span_model(run_folder)
    costs = [budget.macs for budget in facts.budgets]
    assert len(costs) > 1 and costs == sorted(costs) and facts.budgets[-1].lengths == full_config(2)
    encoded = encode_questions(model, draw_questions(data, 8, 0))
    for budget in facts.budgets:
        scores = score_model(model, encoded, budget.lengths)
        assert (budget.f1, budget.exact_match, budget.questions) == pytest.approx((scores.f1, scores.exact_match, 8))
        assert budget.macs == round(mean_window_macs(model, encoded.window_lengths(), budget.lengths))
