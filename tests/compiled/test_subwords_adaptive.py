"""A fine-tuned encoder that drops subwords, compiled: a part for a budget answers as PyTorch's part does."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from makers.encoder import write_encoder
from makers.rooms import make_rooms

import pqrnn
from compile.lowering.buckets import make_buckets
from compile.options import CompileOptions
from compile.pipeline import CompileOutcome, compile_checkpoint
from compile.subwords.program import load_source
from pqrnn.checkpoint import read_facts, save_facts
from pqrnn.data.writer import write_jsonl
from pqrnn.evaluation.prediction import compute_logits
from pqrnn.model.budget import Budget
from pqrnn.model.length_config import LengthConfig, full_config
from pqrnn.recipes.recipes import FinetuneRecipe
from pqrnn.recipes.settings import TeacherConfig
from runtime_py import Parser
from runtime_py.tools.check import check_parser

PART = LengthConfig((50, 50), (1,))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny encoder, fine-tuned for a few steps, with a part for half of the work."""
    folder = tmp_path_factory.mktemp("teacher")
    (folder / "encoder").mkdir()
    write_encoder(folder / "encoder")
    write_jsonl(make_rooms(), folder / "rooms.jsonl")
    settings = {"teacher.encoder": str(folder / "encoder"), "training.epochs": 2, "training.learning_rate": 3e-3}
    recipe = pqrnn.change(FinetuneRecipe(), {**settings, "training.batch": 8, "training.warmup": 0})
    pqrnn.finetune(str(folder / "rooms.jsonl"), folder / "run", recipe=recipe, dev=str(folder / "rooms.jsonl"))
    budgets = [
        Budget(lengths=lengths, macs=macs, share=macs / 2, exact_match=0.4 + 0.1 * macs, utterances=9)
        for macs, lengths in ((1, PART), (2, full_config(2)))
    ]
    facts = read_facts(folder / "run", TeacherConfig)
    save_facts(folder / "run", msgspec.structs.replace(facts, budgets=budgets, golden_texts=facts.golden_texts[:8]))
    return folder / "run"


@pytest.fixture(scope="module")
def outcome(run: Path, tmp_path_factory: pytest.TempPathFactory) -> CompileOutcome:
    out = tmp_path_factory.mktemp("packages") / "small.pqrnn"
    return compile_checkpoint(run, out, ["host"], CompileOptions(buckets=make_buckets([(36, 96)])))


def test_the_part_answers_as_pytorch_and_passes_its_own_vectors(run: Path, outcome: CompileOutcome) -> None:
    model = load_source(run).model
    part, whole = outcome.manifest.budgets
    assert part.macs == model.count_macs(36, PART) < whole.macs == model.count_macs(36)
    texts = [*(example.text for example in make_rooms()[::3]), "", "ärger the bathroom", "x y z " * 3]
    with Parser.load(outcome.package) as parser, Parser.load(outcome.package, budget=part.share) as cheap:
        assert check_parser(cheap).passed
        differences = []
        for text in texts:
            found = cheap.logits(text)
            np.testing.assert_array_equal(found.tags, parser.logits(text, budget=part.name).tags)
            wanted = compute_logits(model.teacher, [text], PART)[0]
            np.testing.assert_allclose(found.intent, wanted.intent, rtol=1e-3, atol=1e-3)
            np.testing.assert_allclose(found.tags, wanted.tags, rtol=1e-3, atol=1e-3)
            differences.append(np.abs(found.intent - parser.logits(text).intent).max())
    assert max(differences) > 1e-2
