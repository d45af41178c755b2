"""An encoder with a span head: against an encoder in NumPy, losses by hand, and what does not fit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from makers.encoder import write_encoder
from oracles import short_encoder as oracle

from pqrnn.errors import TeacherError
from pqrnn.model.length_config import LengthConfig, full_config
from pqrnn.questions.model import SpanLogits, SpanModel, span_distance, span_loss
from pqrnn.recipes.question_settings import SpanConfig

SHORT = {"longest": 24, "stride": 4, "longest_question": 8}
PARTS = [LengthConfig((60, 30)), LengthConfig((100, 50), (0,)), LengthConfig((1, 1))]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def model(encoder: Path) -> SpanModel:
    torch.manual_seed(0)
    return SpanModel(SpanConfig(encoder=str(encoder), **SHORT)).eval()


def test_the_layout_is_that_of_the_tokenizer(model: SpanModel) -> None:
    layout = model.layout
    assert (layout.first, layout.between, layout.last, layout.padding, layout.context_type) == ((2,), (3,), (3,), 0, 1)
    assert (layout.longest, layout.stride, layout.longest_question, layout.longest_answer) == (24, 4, 8, 30)
    pair = model.make_reader().read("the lights", "ab the")
    tokenizer = transformers.AutoTokenizer.from_pretrained(model.config.encoder)
    assert pair.row(pair.windows[0]) == tokenizer("the lights", "ab the")["input_ids"]


@pytest.mark.parametrize("lengths", [None, full_config(2), *PARTS], ids=lambda each: each and each.describe())
def test_equals_the_oracle_in_double_precision(model: SpanModel, lengths: LengthConfig | None) -> None:
    weights = {name: value.double().numpy() for name, value in model.encoder.state_dict().items()}
    matrix, bias = (value.detach().double().numpy() for value in (model.spans.weight, model.spans.bias))
    reader = model.make_reader()
    pairs = [reader.read(*texts) for texts in (("the", "ab cd lights"), ("lights x", "the a b c"), ("q", "the"))]
    rows = [pair.row(pair.windows[0]) for pair in pairs]
    width = max(map(len, rows))
    tokens = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    heads, counts = (torch.tensor(each) for each in ([len(pair.head) for pair in pairs], [len(row) for row in rows]))
    with torch.inference_mode():
        found = model(tokens, heads, counts, lengths)
    chosen = lengths or full_config(2)
    for number, (pair, row) in enumerate(zip(pairs, rows, strict=True)):
        types = [0] * len(pair.head) + [1] * (len(row) - len(pair.head))
        states = oracle.encode(weights, row, 2, 2, chosen.kept, chosen.skipped, types)
        wanted = np.stack(states) @ matrix.T + bias
        for side in range(2):
            np.testing.assert_allclose(found[side][number, : len(row)].numpy(), wanted[:, side], rtol=1e-4, atol=1e-4)


def test_losses_by_hand() -> None:
    start = torch.tensor([[9.0, 1.0, 2.0, 9.0], [0.0, 0.0, 1.0, 3.0]])
    end = torch.tensor([[9.0, 0.0, 0.0, 9.0], [5.0, 2.0, 1.0, 0.0]])
    inside = torch.tensor([[False, True, True, False], [False, True, True, True]])
    found = span_loss(SpanLogits(start, end), inside, torch.tensor([1, 3]), torch.tensor([2, 1]))

    def bits(logits: list[float], position: int) -> float:
        return float(np.log(np.exp(logits).sum()) - logits[position])

    wanted = [bits([1, 2], 0), bits([0, 1, 3], 2), bits([0, 0], 1), bits([2, 1, 0], 0)]
    assert float(found) == pytest.approx(sum(wanted) / 4, rel=1e-5)


def test_the_distance_is_a_divergence_over_the_context_alone() -> None:
    inside = torch.tensor([[False, True, True, False]])
    mine = SpanLogits(torch.tensor([[7.0, 0.0, 1.0, 0.0]]), torch.tensor([[0.0, 2.0, 2.0, 5.0]]))
    its = SpanLogits(torch.tensor([[0.0, 1.0, 0.0, 9.0]]), torch.tensor([[3.0, 0.0, 1.0, 0.0]]))
    shares = [np.exp(each) / np.exp(each).sum() for each in ([0.0, 1.0], [2.0, 2.0], [1.0, 0.0], [0.0, 1.0])]
    wanted = sum((shares[i + 2] * np.log(shares[i + 2] / shares[i])).sum() for i in range(2)) / 2
    assert float(span_distance(mine, its, inside)) == pytest.approx(wanted, rel=1e-5)
    assert float(span_distance(mine, mine, inside)) == pytest.approx(0.0, abs=1e-6)


def test_work_is_what_pytorch_counts(model: SpanModel) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    tokens = torch.ones((1, 20), dtype=torch.int64)
    for lengths in PARTS:
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            model(tokens, torch.tensor([4]), torch.tensor([20]), lengths)
        assert 2 * model.count_macs(20, lengths) == counter.get_total_flops()


def test_an_encoder_of_another_family_is_refused(encoder: Path, tmp_path: Path) -> None:
    config = transformers.DistilBertConfig(vocab_size=60, dim=8, n_layers=1, n_heads=2, hidden_dim=8)
    transformers.DistilBertModel(config).save_pretrained(tmp_path)
    transformers.AutoTokenizer.from_pretrained(encoder).save_pretrained(tmp_path)
    with pytest.raises(TeacherError, match=r"is a distilbert: questions are answered by encoders of BERT's family"):
        SpanModel(SpanConfig(encoder=str(tmp_path), **SHORT))


def test_a_tokenizer_that_does_not_fit_is_refused(encoder: Path, tmp_path: Path) -> None:
    network = transformers.AutoModel.from_pretrained(encoder)
    network.save_pretrained(tmp_path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(encoder)
    tokenizer.add_tokens(["kitchen", "cellar"])
    tokenizer.save_pretrained(tmp_path)
    known = json.loads((encoder / "config.json").read_text())["vocab_size"]
    with pytest.raises(TeacherError, match=rf"knows {known + 2} subwords, and the encoder {known}"):
        SpanModel(SpanConfig(encoder=str(tmp_path), **SHORT))


def test_windows_that_the_encoder_cannot_read_are_refused(encoder: Path) -> None:
    with pytest.raises(TeacherError, match=r"reads up to 40 subwords, .* 41: give --longest 40"):
        SpanModel(SpanConfig(encoder=str(encoder), longest=41, stride=4, longest_question=8))
    with pytest.raises(TeacherError, match="less than the stride of 128"):
        SpanModel(SpanConfig(encoder=str(encoder), longest=40))
