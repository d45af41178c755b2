"""A transformer on the projection, through the same compiler: it answers as PyTorch does, text by text."""

from __future__ import annotations

from pathlib import Path

import pytest
from makers.transformers import make_transformer, save_transformer

from compile.lowering.buckets import make_buckets
from compile.options import CompileOptions
from compile.pipeline import CompileOutcome, compile_checkpoint
from compile.verify.parity import compare_decisions
from pqrnn.checkpoint import load_checkpoint
from pqrnn.data.loader import load_examples
from pqrnn.recipes.settings import ModelConfig, ProjectionConfig, TransformerConfig
from runtime_py import Parser

CONFIG = ModelConfig(
    network="transformer",
    projection=ProjectionConfig(word_features=256, ngram_features=256),
    bottleneck=48,
    transformer=TransformerConfig(width=64, heads=4, ffn=96, reach=5),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as if after training; words decide, not biases."""
    folder = tmp_path_factory.mktemp("run")
    save_transformer(folder, make_transformer(CONFIG))
    return folder


@pytest.fixture(scope="module")
def outcome(run: Path, tmp_path_factory: pytest.TempPathFactory) -> CompileOutcome:
    out = tmp_path_factory.mktemp("packages") / "small.pqrnn"
    return compile_checkpoint(run, out, ["host"], CompileOptions(buckets=make_buckets([(64, 512)]), batch=4))


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [text for language in ("en", "th", "hi") for text in _texts(f"home:{language}")[:120]]


def _texts(spec: str) -> list[str]:
    return [example.text for example in load_examples(spec, split="test")]


def test_the_package_is_proved_against_the_golden_texts(outcome: CompileOutcome) -> None:
    assert not outcome.failures
    parity = outcome.manifest.variants[0].parity
    assert parity is not None and parity.passed and parity.texts > 35  # edges of one bucket among them
    assert (parity.intent_flips, parity.tag_flips) == (0, 0)
    assert outcome.manifest.model.config["network"] == "transformer"


def test_no_intent_and_no_slot_differs_from_pytorch(run: Path, outcome: CompileOutcome, texts: list[str]) -> None:
    with Parser.load(outcome.package) as parser:
        found = compare_decisions(load_checkpoint(run), parser, texts)
    assert len(found.framework) > 300
    assert len({parse.intent for parse in found.framework}) > 1
    assert (found.intent_flips, found.slot_flips, found.tag_flips, found.word_mismatches) == (0, 0, 0, 0)


def test_several_texts_at_once_get_the_answers_of_one(outcome: CompileOutcome, texts: list[str]) -> None:
    with Parser.load(outcome.package) as parser:
        together = parser.parse_batch(texts[:40])
        assert [(each.intent, each.slots) for each in together] == [
            (each.intent, each.slots) for each in map(parser, texts[:40])
        ]
