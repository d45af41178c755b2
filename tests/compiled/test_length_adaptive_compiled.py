"""Transformers that drop words, compiled: one package with a part for each budget, which answer as PyTorch does."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from makers.small import LABELS, TEXTS
from makers.trained import pretend_trained
from typer.testing import CliRunner

from compile.lowering.buckets import make_buckets
from compile.options import CompileOptions
from compile.pipeline import CompileOutcome, compile_checkpoint
from pqrnn.checkpoint import Facts, load_checkpoint, save_checkpoint
from pqrnn.cli.running import app
from pqrnn.evaluation.prediction import compute_logits
from pqrnn.model.budget import Budget
from pqrnn.model.length_config import LengthConfig, full_config
from pqrnn.model.macs import count_macs
from pqrnn.model.parser import ParserModel
from pqrnn.recipes.settings import ModelConfig, ProjectionConfig, TransformerConfig
from runtime_py import Parser
from runtime_py.cli import main
from runtime_py.errors import BudgetMissingError
from runtime_py.tools.check import check_parser
from runtime_py.tools.inspect import inspect_package
from runtime_py.tools.presentation import inspect_tables

CONFIG = ModelConfig(
    network="transformer",
    projection=ProjectionConfig(word_features=256, ngram_features=256),
    bottleneck=64,
    layers=2,
    transformer=TransformerConfig(width=16, heads=2, ffn=24, reach=4),
)
BUCKETS = make_buckets([(16, 120)])
PARTS = (LengthConfig((60, 60), (1,)), LengthConfig((60, 30)))
LENGTHS = [(4, 16, 10), (9, 44, 20)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    model = pretend_trained(ParserModel(CONFIG, len(LABELS.intents), len(LABELS.tags)))
    with torch.no_grad():
        for head in (model.intent, model.tags):
            head.weight.mul_(5.0)
    budgets = [
        Budget(lengths=lengths, macs=1 + number, share=0.3 + 0.3 * number, exact_match=0.5 + 0.1 * number, utterances=9)
        for number, lengths in enumerate((*PARTS, full_config(2)))
    ]
    facts = Facts(
        config=CONFIG,
        labels=LABELS,
        data={},
        revision="abc",
        training={},
        metrics={"dev": {}},
        lengths=LENGTHS,
        golden_texts=TEXTS,
        budgets=budgets,
    )
    save_checkpoint(folder, model, facts)
    return folder


@pytest.fixture(scope="module")
def outcome(run: Path, tmp_path_factory: pytest.TempPathFactory) -> CompileOutcome:
    out = tmp_path_factory.mktemp("packages") / "small.pqrnn"
    return compile_checkpoint(run, out, ["host"], CompileOptions(buckets=BUCKETS))


def test_the_manifest_states_what_each_part_costs(outcome: CompileOutcome) -> None:
    budgets = outcome.manifest.budgets
    sizes = len(LABELS.intents), len(LABELS.tags)
    for budget, lengths in zip(budgets, (*PARTS, None), strict=True):
        assert budget.macs == count_macs(CONFIG, *sizes, BUCKETS[0].words, lengths)
        assert budget.share == pytest.approx(budget.macs / budgets[-1].macs, abs=1e-4)
    assert [(budget.kept, budget.skipped) for budget in budgets[:2]] == [([60, 60], [1]), ([60, 30], [])]
    assert budgets[-1].name == "whole" and budgets[0].name == f"part{round(1000 * budgets[0].macs / budgets[-1].macs)}"


def test_weights_are_in_the_module_once(outcome: CompileOutcome) -> None:
    model = ParserModel(CONFIG, len(LABELS.intents), len(LABELS.tags))
    weights = 4 * sum(parameter.numel() for parameter in model.parameters())
    tables = sum(table.numel() * table.element_size() for table in model.buffers())
    assert tables < 1.5 * weights  # so that a second copy of the weights would show
    assert outcome.statistics["host"].constant_bytes < weights + tables


def test_every_budget_answers_as_pytorch_and_passes_its_own_vectors(run: Path, outcome: CompileOutcome) -> None:
    model = load_checkpoint(run).model
    texts = [*TEXTS, "", "stop", "wake me up tomorrow at seven thirty and play some jazz"]
    logits: list[np.ndarray] = []
    for number, lengths in enumerate((*PARTS, None)):
        name = outcome.manifest.budgets[number].name
        with Parser.load(outcome.package, budget=name) as parser:
            assert parser.budget is not None and parser.budget.name == name
            assert check_parser(parser).passed
            found = [parser.logits(text) for text in texts]
        for mine, its in zip(found, compute_logits(model, texts, lengths), strict=True):
            np.testing.assert_allclose(mine.intent, its.intent, rtol=1e-4, atol=1e-4)
            np.testing.assert_allclose(mine.tags, its.tags, rtol=1e-4, atol=1e-4)
        logits.append(np.concatenate([each.intent for each in found]))
    for first in range(3):
        for second in range(first):
            assert np.abs(logits[first] - logits[second]).max() > 1e-2


def test_a_budget_may_be_chosen_for_each_call(outcome: CompileOutcome) -> None:
    small, middle, whole = outcome.manifest.budgets
    text = "wake me up tomorrow at seven thirty and play some jazz"
    with Parser.load(outcome.package) as parser, Parser.load(outcome.package, budget=small.share) as cheap:
        assert parser.budgets == [small, middle, whole]
        np.testing.assert_array_equal(cheap.logits(text).intent, parser.logits(text, budget=small.name).intent)
        np.testing.assert_array_equal(parser.logits(text).intent, parser.logits(text, budget=1.0).intent)
        for budget, name in ((middle.macs, middle.name), (middle.share, middle.name), (whole.macs - 1, middle.name)):
            np.testing.assert_array_equal(
                parser.logits(text, budget=budget).intent, parser.logits(text, budget=name).intent
            )
        assert parser(text, budget=small.name) == cheap(text) == cheap.parse_batch([text])[0]
        assert parser.parse_batch([text], budget=middle.name) == [parser(text, budget=middle.name)]
        assert cheap.logits(text, budget="whole").intent.tolist() == parser.logits(text).intent.tolist()
        again = pickle.loads(pickle.dumps(cheap))
        assert again.budget == small
        again.close()


@pytest.mark.parametrize(
    ("budget", "said"), [(0.01, "no part costs at most 1%"), (5, "5 MACs"), ("big", "no budget 'big'")]
)
def test_what_no_part_can_do_is_refused_before_code_is_loaded(
    outcome: CompileOutcome, budget: float | str, said: str
) -> None:
    with pytest.raises(BudgetMissingError, match=f"{said}.*it has: part"):
        Parser.load(outcome.package, budget=budget)
    with Parser.load(outcome.package) as parser, pytest.raises(BudgetMissingError, match=said):
        parser("stop", budget=budget)
    with pytest.raises(ValueError, match="expected a share"):
        Parser.load(outcome.package, budget=-1)


def test_both_command_lines_take_a_budget_and_show_what_there_is(
    outcome: CompileOutcome, capsys: pytest.CaptureFixture[str]
) -> None:
    text, small = "wake me up tomorrow at seven thirty and play some jazz", outcome.manifest.budgets[0]
    with Parser.load(outcome.package, budget=small.name) as parser:
        wanted = parser(text)
    for budget in (small.name, str(small.share), str(small.macs)):
        result = CliRunner().invoke(app, ["parse", str(outcome.package), text, "--json", "--budget", budget])
        assert result.exit_code == 0, result.output
        assert json.loads(result.output)["score"] == pytest.approx(wanted.score)
        assert main(["parse", str(outcome.package), text, "--json", "--budget", budget]) == 0
        assert json.loads(capsys.readouterr().out)["score"] == pytest.approx(wanted.score)
    facts = inspect_package(outcome.package)
    assert facts.budgets == outcome.manifest.budgets
    assert "other" not in {part.part for part in facts.parts}
    shown = [value for table in inspect_tables(facts) for name, value, *_ in table.rows if name == "budgets"]
    assert len(shown) == 1 and small.name in shown[0] and "exact match 50.0%" in shown[0]
