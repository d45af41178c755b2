"""Models that answer questions in 8 bits, as packages: kernels, proofs, and what they answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from makers.questions import PART, add_part, make_questions, train_small, write_squad

import pqrnn
from compile.kernels.encoder_layers import with_encoder_kernels
from compile.kernels.families import FAMILIES
from compile.questions.pipeline import AnswererOutcome, compile_answerer
from compile.questions.proof import expect_answers, golden_questions, prove
from compile.support.errors import VerificationError
from pqrnn.model.int8 import IntegerLinear
from pqrnn.model.length_config import full_config
from pqrnn.questions.checkpoint import load_span_model
from pqrnn.questions.evaluate import encode_questions, predict_answers, predict_logits
from runtime_py import Answerer
from runtime_py.device.preflight import this_machine

QUESTIONS = [*make_questions(40, seed=5), *make_questions(15, seed=6, longest=60)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that has learned a little, with a part, in 8 bits."""
    folder = tmp_path_factory.mktemp("questions")
    trained, squad = train_small(folder, layers=1), write_squad(make_questions(), folder / "train.json")
    pqrnn.quantize_questions(trained, squad, folder / "int8")
    return add_part(folder / "int8")


@pytest.fixture(scope="module")
def outcome(run: Path, tmp_path_factory: pytest.TempPathFactory) -> AnswererOutcome:
    out = tmp_path_factory.mktemp("packages") / "small.pqrnn"
    return compile_answerer(run, out, ["host"], windows=[])


def test_it_is_proved_holds_packed_integers_and_the_manifest_says_int8(run: Path, outcome: AnswererOutcome) -> None:
    assert not outcome.failures
    manifest = outcome.manifest
    assert manifest.model.precision == "int8" and manifest.model.config["precision"] == "int8"
    proof = manifest.variants[0].proof
    assert proof is not None and proof.passed and proof.questions > 30
    model, _ = load_span_model(run)
    code = (outcome.package / manifest.variants[0].code.path).read_bytes()
    packed = [
        with_encoder_kernels(model, family).state_dict()["encoder.encoder.layer.0.related.packed.weights"]
        for family in FAMILIES
        if family.architecture == this_machine().architecture
    ]
    assert any(weights.numpy().tobytes() in code for weights in packed)  # queries, keys and values in one, int8


@pytest.mark.parametrize("part", ["whole", "part700"])
def test_answers_are_those_of_the_integers_in_pytorch(run: Path, outcome: AnswererOutcome, part: str) -> None:
    model, _ = load_span_model(run)
    encoded = encode_questions(model, QUESTIONS)
    lengths = None if part == "whole" else PART
    wanted = predict_answers(model, encoded, lengths)
    with Answerer.load(outcome.package) as answerer:
        found = [answerer(question.text, question.context, budget=part) for question in QUESTIONS]
        logits = [answerer.logits(pair, budget=part) for pair in encoded.pairs]
    same = np.mean([(a.start, a.end) == (b.start, b.end) for a, b in zip(found, wanted, strict=True)])
    assert same > 0.95  # roundings that float32 leaves undecided may tell a close call
    flat = [
        np.concatenate([np.concatenate([*starts, *ends]) for starts, ends in each])
        for each in (logits, predict_logits(model, encoded.pairs, lengths))
    ]
    assert float(np.sqrt(np.mean((flat[0] - flat[1]) ** 2))) < 0.02 * flat[1].std()
    assert len({(each.start, each.end) for each in found}) > 10


def test_a_wrong_weight_is_not_taken_for_a_rounding(run: Path, outcome: AnswererOutcome) -> None:
    """What PyTorch is asked for is another model: one weight in a thousand differs by a little."""
    model, facts = load_span_model(run)
    generator = torch.Generator().manual_seed(0)
    for layer in model.modules():
        if isinstance(layer, IntegerLinear):
            chosen = torch.rand(layer.weight.shape, generator=generator) < 1e-3
            layer.weight[chosen] = -layer.weight[chosen]
    expected = expect_answers(model, model.make_reader(), golden_questions(facts.golden), [full_config(1)])
    refused = pytest.raises(VerificationError, match="logits differ by up to")
    with Answerer.load(outcome.package) as answerer, refused:
        prove(answerer, expected, outcome.manifest.parts[-1:], "this machine", "host")
