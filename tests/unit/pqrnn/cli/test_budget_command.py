"""`pqrnn budget`: parts of a trained transformer on the front of work and quality, stored with it."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
import torch
from makers.rooms import make_rooms
from makers.runs import write_run
from typer.testing import CliRunner

import pqrnn
from pqrnn.checkpoint import load_checkpoint, load_facts
from pqrnn.cli.running import app
from pqrnn.data.writer import write_jsonl
from pqrnn.dataset.encoded import encode_examples
from pqrnn.errors import BudgetError, CheckpointError
from pqrnn.evaluation.evaluate import evaluate_predictions
from pqrnn.evaluation.prediction import compute_encoded_logits, compute_logits
from pqrnn.model.budget import Budget
from pqrnn.model.length_config import LengthConfig, full_config
from pqrnn.model.macs import count_macs
from pqrnn.recipes.settings import AdaptiveConfig, ModelConfig, ProjectionConfig, TrainingConfig, TransformerConfig
from pqrnn.run_folder import FACTS, WEIGHTS
from pqrnn.training.trainer import train
from pqrnn.training.weight_averaging import average_checkpoints
from pqrnn.zoo.shelf import SHIPPED

SMALL = ModelConfig(
    network="transformer",
    projection=ProjectionConfig(word_features=64, ngram_features=64),
    bottleneck=32,
    transformer=TransformerConfig(width=32, heads=4, ffn=64),
)
CONFIG = TrainingConfig(
    epochs=8,
    batch=16,
    learning_rate=5e-3,
    patience=0,
    restyle=0.0,
    adaptive=AdaptiveConfig(enabled=True, length_drop=0.7),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for split in ("train", "dev"):
        write_jsonl(make_rooms(), folder / f"{split}.jsonl")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "adaptive"
    train(folder, make_rooms(), make_rooms(), SMALL, CONFIG)
    return folder


def test_the_command_stores_a_front_that_holds_when_it_is_measured_again(run: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ["--data", str(data), "--iterations", "4", "--most", "5", "--out", str(out), "--json"]
    result = CliRunner().invoke(app, ["budget", str(run), *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    checkpoint = load_checkpoint(out)
    budgets, labels = checkpoint.facts.budgets, checkpoint.facts.labels
    assert msgspec.convert(json.loads(result.output), list[Budget]) == budgets
    assert load_facts(run).budgets == []
    assert (out / WEIGHTS).read_bytes() == (run / WEIGHTS).read_bytes()
    assert 2 <= len(budgets) <= 5
    assert budgets[-1].lengths == full_config(2)
    assert budgets[-1].share == 1.0
    table = checkpoint.model.make_table()
    with torch.inference_mode():
        dataset = encode_examples(make_rooms(), table, labels.intents, labels.tags)
    lengths = [len(row.words) for row in dataset.utterances]
    sizes = len(labels.intents), len(labels.tags)
    for each in budgets:
        answers = compute_encoded_logits(checkpoint.model, dataset, table, each.lengths)
        found = evaluate_predictions(dataset.examples, answers, labels.decoder()).scores.exact_match.value
        assert each.exact_match == pytest.approx(found, abs=1e-6)
        macs = [count_macs(SMALL, *sizes, words, each.lengths) for words in lengths]
        assert each.macs == pytest.approx(sum(macs) / len(macs), abs=0.5)
        assert each.share == pytest.approx(each.macs / budgets[-1].macs, abs=1e-4)
    assert [each.macs for each in budgets] == sorted({each.macs for each in budgets})
    smaller = [each.exact_match for each in budgets[:-1]]
    assert smaller == sorted(set(smaller))


def test_texts_are_answered_by_a_part_as_words_are(run: Path) -> None:
    model = load_checkpoint(run).model
    texts = [example.text for example in make_rooms()][:9]
    lengths = LengthConfig((50, 30))
    table, labels = model.make_table(), load_facts(run).labels
    with torch.inference_mode():
        dataset = encode_examples(make_rooms()[:9], table, labels.intents, labels.tags)
    for mine, its in zip(
        compute_logits(model, texts, lengths), compute_encoded_logits(model, dataset, table, lengths), strict=True
    ):
        torch.testing.assert_close(torch.from_numpy(mine.intent), torch.from_numpy(its.intent), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(torch.from_numpy(mine.tags), torch.from_numpy(its.tags), rtol=1e-4, atol=1e-4)


def test_the_bounds_are_those_of_the_training_unless_given(run: Path, data: Path, tmp_path: Path) -> None:
    for options, least in (({}, 30), ({"search.length_drop": 0.1, "search.skip": False}, 90)):
        recipe = pqrnn.change(pqrnn.BudgetRecipe(), {"search.iterations": 1, **options})
        found = pqrnn.budget(run, str(data), recipe=recipe, out=tmp_path / str(least))
        assert all(each.lengths.kept[0] >= least for each in found)
        assert least == 30 or not any(each.lengths.skipped for each in found)


def test_the_same_seed_stores_the_same(run: Path, data: Path, tmp_path: Path) -> None:
    recipe = pqrnn.change(pqrnn.BudgetRecipe(), {"search.iterations": 2})
    told: list[tuple[int, int]] = []
    first = pqrnn.budget(
        run, str(data), recipe=recipe, out=tmp_path / "a", on_generation=lambda *counts: told.append(counts)
    )
    assert first == pqrnn.budget(run, str(data), recipe=recipe, out=tmp_path / "b")
    assert told == [(0, 2), (1, 2), (2, 2)]


def test_an_average_has_budgets_of_its_own_to_find(run: Path, data: Path, tmp_path: Path) -> None:
    recipe = pqrnn.change(pqrnn.BudgetRecipe(), {"search.iterations": 0})
    assert pqrnn.budget(run, str(data), recipe=recipe, out=tmp_path / "a")
    average_checkpoints([tmp_path / "a", tmp_path / "a"], make_rooms(), tmp_path / "mean")
    assert load_facts(tmp_path / "a").budgets
    assert load_facts(tmp_path / "mean").budgets == []


def test_a_qrnn_has_one_budget_and_the_zoo_stays_as_it_is(data: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    with pytest.raises(BudgetError, match=r"one budget.*--network transformer --adaptive"):
        pqrnn.budget(tmp_path / "run", str(data))
    with pytest.raises(BudgetError, match=r"zoo.*--out"):
        pqrnn.budget(SHIPPED / "snips-en", str(data))


def test_budgets_of_another_shape_are_refused(run: Path, data: Path, tmp_path: Path) -> None:
    recipe = pqrnn.change(pqrnn.BudgetRecipe(), {"search.iterations": 0})
    pqrnn.budget(run, str(data), recipe=recipe, out=tmp_path)
    content = json.loads((tmp_path / FACTS).read_text())
    content["budgets"][0]["lengths"]["kept"] = [50, 40, 30]
    (tmp_path / FACTS).write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="3 layers"):
        load_checkpoint(tmp_path)
