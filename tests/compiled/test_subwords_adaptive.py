"""A fine-tuned encoder that drops subwords, compiled: a part for a budget answers as PyTorch's part does."""

from __future__ import annotations

import numpy as np
import pytest
from makers.finetuned import PART, compile_finetuned
from makers.rooms import make_rooms

from compile.pipeline import CompileOutcome
from compile.subwords.program import load_source
from pqrnn.evaluation.prediction import compute_logits
from runtime_py import Parser
from runtime_py.tools.check import check_parser


@pytest.fixture(scope="module")
def outcome() -> CompileOutcome:
    return compile_finetuned()


def test_the_part_answers_as_pytorch_and_passes_its_own_vectors(outcome: CompileOutcome) -> None:
    model = load_source(outcome.package.parent / "run").model
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
