"""Models that answer questions in 8 bits: near those in float32, stored in integers, and clear refusals."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from makers.questions import SHORT, make_questions, train_small, write_squad
from torch import nn
from typer.testing import CliRunner

import pqrnn
from pqrnn.cli.running import app
from pqrnn.errors import QuantizationError, TrainingError
from pqrnn.model.int8 import IntegerLinear
from pqrnn.model.length_config import LengthConfig
from pqrnn.questions.checkpoint import load_span_model
from pqrnn.questions.evaluate import encode_questions, predict_answers, predict_logits
from pqrnn.questions.run import run as train
from pqrnn.recipes.question_settings import FinetuneQuestionsRecipe
from pqrnn.run_folder import WEIGHTS

QUESTIONS = make_questions(60, seed=5)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_small(tmp_path_factory.mktemp("questions"))


@pytest.fixture(scope="module")
def squad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_squad(make_questions(), tmp_path_factory.mktemp("data") / "train.json")


@pytest.fixture(scope="module")
def quantized(run: Path, squad: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("quantized") / "int8"
    facts = pqrnn.quantize_questions(run, squad, out)
    assert facts.config.precision == "int8"
    return out


def test_its_products_are_integers_and_what_it_says_is_nearly_the_same(run: Path, quantized: Path) -> None:
    (before, facts), (after, after_facts) = (load_span_model(folder) for folder in (run, quantized))
    assert after_facts == msgspec.structs.replace(facts, config=after.config)
    assert [name for name, module in after.named_modules() if isinstance(module, nn.Linear)] == ["spans"]
    assert sum(isinstance(module, IntegerLinear) for module in after.modules()) == 2 * 6
    assert after.encoder.get_input_embeddings().weight.dtype == torch.int8
    assert (quantized / WEIGHTS).stat().st_size < 0.5 * (run / WEIGHTS).stat().st_size
    encoded = encode_questions(before, QUESTIONS)
    for lengths in (None, LengthConfig((70, 40))):
        found, wanted = (
            np.concatenate([np.concatenate([*starts, *ends]) for starts, ends in each])
            for each in (predict_logits(model, encoded.pairs, lengths) for model in (after, before))
        )
        assert found.shape == wanted.shape and np.isfinite(found).all()
        error = float(np.sqrt(np.mean((found - wanted) ** 2)))
        if lengths is None:  # a part drops other subwords on close calls
            assert 0.0 < error < 0.05 * wanted.std()
    same = [
        (one.start, one.end) == (other.start, other.end)
        for one, other in zip(predict_answers(after, encoded), predict_answers(before, encoded), strict=True)
    ]
    assert np.mean(same) > 0.9


def test_a_layer_multiplies_the_integers_that_numpy_does(run: Path, quantized: Path) -> None:
    """From a layer's inputs to its outputs, with weights that NumPy rounds from those of the model in float32."""
    (before, _), (after, _) = (load_span_model(folder) for folder in (run, quantized))
    name = "encoder.encoder.layer.1.intermediate.dense"
    linear, layer = before.get_submodule(name), after.get_submodule(name)
    assert isinstance(linear, nn.Linear) and isinstance(layer, IntegerLinear) and layer.centre is not None
    amax, centre, scale = (each.double().numpy() for each in (layer.amax, layer.centre, layer.scale))
    weights = linear.weight.detach().double().numpy() * amax
    np.testing.assert_allclose(scale, np.abs(weights).max(1) / 127, rtol=2.0**-10)
    assert np.abs(layer.weight.numpy().T - weights / scale[:, None]).max() < 0.5 + 1e-4
    value = torch.randn(40, linear.in_features)
    steps = (value.double().numpy() - centre) * 127 / amax
    rounded = np.clip(np.floor(steps + 0.5), -127, 127)
    sums = rounded.astype(np.int64) @ layer.weight.numpy().astype(np.int64)
    assert layer.bias is not None
    wanted = sums * scale / 127 + layer.bias.double().numpy()
    np.testing.assert_allclose(layer(value).numpy(), wanted, atol=1e-5)


def test_the_command_quantizes_and_says_what_is_wrong(run: Path, squad: Path, quantized: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    out = tmp_path / "int8"
    shown = runner.invoke(app, ["quantize-questions", str(run), "--data", str(squad), "-o", str(out), "--json"])
    assert shown.exit_code == 0, shown.output
    row = msgspec.json.decode(shown.stdout)
    assert row["bytes"] == (out / WEIGHTS).stat().st_size < row["bytes_before"] == (run / WEIGHTS).stat().st_size
    assert (out / WEIGHTS).read_bytes() == (quantized / WEIGHTS).read_bytes()  # the same data, the same bytes
    with pytest.raises(QuantizationError, match="holds a model or a run"):
        pqrnn.quantize_questions(run, squad, out)
    with pytest.raises(QuantizationError, match="in 8 bits already"):
        pqrnn.quantize_questions(out, squad, tmp_path / "again")
    with pytest.raises(QuantizationError, match="leave out bfloat16"):
        pqrnn.evaluate_questions(out, squad, precision="bfloat16")
    recipe = pqrnn.change(FinetuneQuestionsRecipe(), {**SHORT, "spans.encoder": str(run.parent / "encoder")})
    with pytest.raises(TrainingError, match="is in 8 bits, and learns no more"):
        train(tmp_path / "more", make_questions(), recipe, source={}, initial=out)
    with pytest.raises(TrainingError, match="learns in float32"):
        train(tmp_path / "more", make_questions(), pqrnn.change(recipe, {"spans.precision": "int8"}), source={})
    assert not (tmp_path / "again").exists() and not (tmp_path / "more").exists()
