"""A transformer on the projection in 8 bits, through the same compiler: its products are kernels of integers."""

from __future__ import annotations

from pathlib import Path

from makers.small import TEXTS
from makers.transformers import make_transformer, save_transformer

from compile.kernels.families import choose_kernels
from compile.lowering.buckets import make_buckets
from compile.options import CompileOptions
from compile.pipeline import compile_checkpoint
from compile.verify.parity import compare_decisions
from pqrnn.checkpoint import load_checkpoint
from pqrnn.data.examples import Example
from pqrnn.data.loader import load_examples
from pqrnn.quantization import prepare_qat
from pqrnn.recipes.settings import ModelConfig, ProjectionConfig, TransformerConfig
from runtime_py import Parser

CONFIG = ModelConfig(
    network="transformer",
    projection=ProjectionConfig(word_features=256, ngram_features=256),
    bottleneck=48,
    layers=1,
    transformer=TransformerConfig(width=64, heads=4, ffn=96, reach=5),
)


def test_it_answers_as_the_integers_in_pytorch_do(tmp_path: Path) -> None:
    texts = [example.text for example in load_examples("home:en", split="test")][:200]
    quantized = prepare_qat(make_transformer(CONFIG), [Example(text, "") for text in (*TEXTS, *texts)])
    save_transformer(tmp_path, quantized)
    options = CompileOptions(buckets=make_buckets([(32, 256)]))
    outcome = compile_checkpoint(tmp_path, tmp_path / "int8.pqrnn", ["host"], options)
    variant, parity = outcome.manifest.variants[0], outcome.manifest.variants[0].parity
    assert outcome.manifest.model.precision == "int8" and parity is not None and parity.passed and parity.texts > 25
    assert (parity.intent_flips, parity.tag_flips) == (0, 0)
    kernels = choose_kernels(variant.triple, variant.features, integers=True)
    if kernels is not None and kernels.family is not None:
        assert b"scaled_product" in (outcome.package / variant.path).read_bytes()
    with Parser.load(outcome.package) as parser:
        found = compare_decisions(load_checkpoint(tmp_path), parser, texts)
    assert len({parse.intent for parse in found.framework}) > 1
    assert found.word_mismatches == 0
    # Roundings that float32 leaves undecided may tell a close call.
    assert found.intent_flips + found.slot_flips <= 0.01 * len(texts)
