"""Transformers that drop words, compiled for a processor: they choose the words that PyTorch chooses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from makers.small import compile_for, cpu_flags
from makers.trained import pretend_trained

from compile.lowering.export import TextEntry, trace
from compile.lowering.import_mlir import import_programs
from pqrnn.features.utf8 import pack_texts
from pqrnn.model.length_config import LengthConfig
from pqrnn.model.parser import ParserModel
from pqrnn.recipes.settings import ModelConfig, ProjectionConfig, TransformerConfig
from runtime_py.execute.session import Session
from runtime_py.package_format.manifest import Bucket

CONFIG = ModelConfig(
    network="transformer",
    projection=ProjectionConfig(word_features=64, ngram_features=64),
    bottleneck=16,
    layers=3,
    transformer=TransformerConfig(width=16, heads=2, ffn=24, reach=4),
)
LENGTHS = LengthConfig((60, 60, 30), (1,))
BUCKET = Bucket(words=16, bytes=96, entry="parse_16")
TEXTS = [
    b"",
    b"stop",
    b"wake me at seven",
    b"play some jazz in the kitchen please, and then turn the lights off",
    "मुझे सात बजे जगाना".encode(),
    "ปลุกฉันตอนเจ็ดโมง".encode(),
]


@pytest.fixture(scope="module")
def model() -> ParserModel:
    torch.manual_seed(0)
    return pretend_trained(ParserModel(CONFIG, 4, 5)).folded()


def test_one_configuration_lowers_and_answers_as_pytorch(model: ParserModel, tmp_path: Path) -> None:
    example = (torch.zeros((1, BUCKET.bytes // 4), dtype=torch.int32),)
    program = trace(TextEntry(model, BUCKET.words, LENGTHS).eval(), example, BUCKET.entry, "16 words")
    code = compile_for(import_programs({BUCKET.entry: program}, tmp_path / "module.mlirbc"), *cpu_flags("host"))
    entry = Session(code, [BUCKET], 4, 5).entries[0]
    for text in TEXTS:
        found = entry.run(text)
        with torch.inference_mode():
            wanted = model(pack_texts([text], BUCKET.bytes), BUCKET.words, LENGTHS)
            whole = model(pack_texts([text], BUCKET.bytes), BUCKET.words)
        assert found.count == int(wanted.word_count[0])
        np.testing.assert_allclose(found.intent, wanted.intent[0].numpy(), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(found.tags, wanted.tags[0, : found.count].numpy(), rtol=1e-4, atol=1e-4)
        assert (found.count > 0) == (float((wanted.intent - whole.intent).abs().max()) > 1e-3)
