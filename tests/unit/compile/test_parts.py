"""Which parts of a network a package gets: those that cost less and are worth it in its length buckets."""

from __future__ import annotations

import msgspec
import pytest
from makers.small import LABELS, TEXTS

from compile.lowering.buckets import make_buckets
from compile.parts import WHOLE, choose_parts, smaller_parts
from pqrnn.checkpoint import Facts
from pqrnn.model.budget import Budget
from pqrnn.model.length_config import LengthConfig, full_config
from pqrnn.model.parser import ParserModel
from pqrnn.recipes.settings import ModelConfig, ProjectionConfig, TransformerConfig

CONFIG = ModelConfig(
    network="transformer",
    projection=ProjectionConfig(word_features=32, ngram_features=32),
    bottleneck=12,
    layers=2,
    transformer=TransformerConfig(width=16, heads=2, ffn=24),
)
BUCKETS = make_buckets([(4, 32), (16, 96)])
FULL = full_config(2)


@pytest.fixture(scope="module")
def network() -> ParserModel:
    return ParserModel(CONFIG, len(LABELS.intents), len(LABELS.tags))


def make_facts(*pairs: tuple[LengthConfig, float]) -> Facts[ModelConfig]:
    budgets = [
        Budget(lengths=lengths, macs=1 + number, share=0.5, exact_match=exact, utterances=9)
        for number, (lengths, exact) in enumerate(pairs)
    ]
    return Facts(
        config=CONFIG,
        labels=LABELS,
        data={},
        revision="abc",
        training={},
        metrics={},
        lengths=[(3, 20, 30), (9, 48, 10), (99, 999, 5)],
        golden_texts=TEXTS,
        budgets=budgets,
    )


def test_costs_are_those_of_the_rows_of_buckets(network: ParserModel) -> None:
    half = LengthConfig((50, 50))
    parts = choose_parts(network, make_facts((half, 0.7), (FULL, 0.8)), BUCKETS)
    short, long = (network.count_macs(words, half) for words in (4, 16))
    found = next(iter(parts.values()))
    assert found.macs == round((30 * short + 15 * long) / 45)  # what fits no bucket runs in the last one
    assert list(parts)[-1] == WHOLE and parts[WHOLE].share == 1.0
    assert next(iter(parts)) == f"part{round(1000 * found.macs / parts[WHOLE].macs)}"
    assert smaller_parts(parts) == {next(iter(parts)): half}


def test_what_saves_nothing_in_these_buckets_or_is_no_better_than_less_is_left_out(network: ParserModel) -> None:
    barely, half, third = LengthConfig((99, 99)), LengthConfig((50, 50)), LengthConfig((50, 25))
    facts = make_facts((third, 0.7), (half, 0.7), (barely, 0.9), (FULL, 0.8))
    assert list(smaller_parts(choose_parts(network, facts, BUCKETS)).values()) == [third]
    assert choose_parts(network, make_facts((barely, 0.9), (FULL, 0.8)), BUCKETS) == {}


def test_without_budgets_there_is_the_whole_network_alone(network: ParserModel) -> None:
    assert choose_parts(network, make_facts(), BUCKETS) == {}
    assert choose_parts(network, make_facts((FULL, 0.8)), BUCKETS) == {}
    facts = make_facts((LengthConfig((50, 50)), 0.7), (FULL, 0.8))
    assert choose_parts(network, msgspec.structs.replace(facts, lengths=[]), BUCKETS)
