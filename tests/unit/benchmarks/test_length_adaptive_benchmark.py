"""The benchmark of parts that answer questions: which parts, and what their rows say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from makers.encoder import write_encoder
from makers.questions import SHORT, make_questions

import pqrnn
from benchmarks.length_adaptive import Scores, choose_parts, make_rows, score
from pqrnn.data.questions.scoring import score_answers
from pqrnn.model.length_config import LengthConfig, full_config
from pqrnn.questions.checkpoint import load_span_model
from pqrnn.questions.evaluate import encode_questions, predict_answers
from pqrnn.questions.run import run
from pqrnn.recipes.question_settings import FinetuneQuestionsRecipe


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    (folder / "encoder").mkdir()
    write_encoder(folder / "encoder")
    torch.set_num_threads(1)
    settings = {**SHORT, "spans.encoder": str(folder / "encoder"), "training.epochs": 1}
    run(folder / "run", make_questions(), pqrnn.change(FinetuneQuestionsRecipe(), settings), source={})
    return folder / "run"


def test_parts_and_scores(trained: Path) -> None:
    model, facts = load_span_model(trained)
    assert choose_parts(model, facts, []) == [full_config(2)]
    assert choose_parts(model, facts, [0.0, 0.2, 0.5]) == [
        LengthConfig((50, 25)),
        LengthConfig((80, 64)),
        full_config(2),
    ]
    encoded = encode_questions(model, make_questions(12, seed=4))
    found = score(model, encoded, LengthConfig((50, 25)))
    answers = predict_answers(model, encoded, LengthConfig((50, 25)))
    pairs = zip(encoded.questions, answers, strict=True)
    wanted = score_answers(encoded.questions, {question.id: answer.text for question, answer in pairs})
    assert (found.exact.mean(), found.f1.mean()) == pytest.approx((wanted.exact_match, wanted.f1))


def test_rows_compare_question_by_question() -> None:
    whole = Scores(np.array([1.0, 0.0] * 50), np.array([1.0, 0.4] * 50))
    part = Scores(np.array([1.0, 0.0] * 50), whole.f1 - 0.1)
    rows = {row.metric: row for row in make_rows("w", part, whole, 30.0, 40.0, 0)}
    less = rows["f1 less the whole network's"]
    assert (less.value, less.low, less.high) == pytest.approx((-0.1, -0.1, -0.1))
    f1 = rows["f1"]
    assert f1.low is not None and f1.high is not None and f1.low < f1.value < f1.high
    assert f1.value == pytest.approx(0.6) and rows["share of the MACs"].value == 0.75 and rows["f1"].n == 100
