"""Fine-tuned encoders that read fewer subwords: against the oracle, as training and `pqrnn budget` use them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import torch
import transformers
from makers.encoder import write_encoder
from makers.rooms import make_rooms
from oracles import short_encoder as oracle
from torch.utils.flop_counter import FlopCounterMode

import pqrnn
from pqrnn.data.writer import write_jsonl
from pqrnn.distillation.loading import load_teacher
from pqrnn.distillation.short_encoder import count_layers, run_encoder
from pqrnn.distillation.teacher import TeacherModel
from pqrnn.errors import CheckpointError
from pqrnn.model.length_config import LengthConfig, full_config
from pqrnn.recipes.settings import AdaptiveConfig, TeacherConfig, TrainingConfig
from pqrnn.run_folder import FACTS
from pqrnn.training.scores import SMALLEST
from pqrnn.training.trainer import train

TEXTS = [
    ["turn", "off", "the", "kitchen", "lights"],
    ["please", "dim", "lights", "in", "the", "living", "room"],
    ["stop"],
]
SETTINGS = [LengthConfig((60, 30)), LengthConfig((100, 50), (0,)), LengthConfig((40, 40), (1,)), LengthConfig((1, 1))]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def teacher(encoder: Path) -> TeacherModel:
    torch.manual_seed(0)
    return TeacherModel(TeacherConfig(encoder=str(encoder)), 3, 4).eval()


@pytest.mark.parametrize("lengths", [full_config(2), *SETTINGS], ids=LengthConfig.describe)
def test_equals_the_oracle_in_double_precision(teacher: TeacherModel, lengths: LengthConfig) -> None:
    weights = {name: value.double().numpy() for name, value in teacher.encoder.state_dict().items()}
    table = teacher.make_table()
    batch = table.collate([table.index([word.encode() for word in text]) for text in TEXTS], teacher.longest)
    with torch.inference_mode():
        found = run_encoder(teacher.encoder, batch.tokens, batch.attention, lengths)
    for row, tokens in enumerate(batch.tokens.tolist()):
        count = int(batch.attention[row].sum())
        wanted = oracle.encode(weights, tokens[:count], 2, 2, lengths.kept, lengths.skipped)
        for place, state in enumerate(wanted):
            torch.testing.assert_close(found[row, place].double(), torch.from_numpy(state), rtol=1e-4, atol=1e-4)


def _encode(teacher: TeacherModel, lengths: LengthConfig | None) -> tuple[torch.Tensor, ...]:
    table = teacher.make_table()
    rows = [table.index([word.encode() for word in text]) for text in TEXTS]
    width = max(map(len, rows))
    words = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    mask = torch.tensor([[1.0] * len(row) + [0.0] * (width - len(row)) for row in rows])[..., None]
    with torch.inference_mode():
        return tuple(teacher.encode_words(table, words, mask, lengths))


def test_the_full_configuration_is_the_encoder_to_the_last_bit_and_parts_are_others(teacher: TeacherModel) -> None:
    whole = _encode(teacher, None)
    for mine, its in zip(_encode(teacher, full_config(2)), whole, strict=True):
        assert torch.equal(mine, its)
    for lengths in SETTINGS:
        assert float((_encode(teacher, lengths)[0] - whole[0]).abs().max()) > 1e-4


def test_the_work_is_what_pytorch_counts(teacher: TeacherModel) -> None:
    table = teacher.make_table()
    words = table.index([word.encode() for word in TEXTS[1]])
    units = teacher.count_units(table, words)
    batch = table.collate([words], teacher.longest)
    assert units == batch.tokens.shape[1]
    for lengths in SETTINGS:
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            teacher.encode_tokens(batch.tokens, batch.attention, lengths)
        assert 2 * teacher.count_macs(units, lengths) == counter.get_total_flops()


def test_another_family_has_no_parts() -> None:
    config = transformers.DistilBertConfig(vocab_size=9, dim=8, n_layers=1, n_heads=2, hidden_dim=8)
    assert count_layers(transformers.DistilBertModel(config)) == 0
    assert count_layers(torch.nn.Linear(2, 2)) == 0


@pytest.mark.parametrize("kind", ["roberta", "electra"])
def test_relatives_of_bert_are_read_as_the_library_reads_them(kind: str) -> None:
    torch.manual_seed(0)
    shape = {"vocab_size": 30, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    more = {"roberta": {"pad_token_id": 1}, "electra": {"embedding_size": 8}}[kind]
    config = transformers.AutoConfig.for_model(kind, **shape, intermediate_size=24, max_position_embeddings=20, **more)
    network = transformers.AutoModel.from_config(config).eval()
    tokens = torch.tensor([[5, 6, 7, 8, 9], [10, 11, 12, config.pad_token_id, config.pad_token_id]])
    attention = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    with torch.inference_mode():
        wanted = network(input_ids=tokens, attention_mask=attention).last_hidden_state
        found = run_encoder(network, tokens, attention, full_config(count_layers(network)))
    seen = attention.bool()
    torch.testing.assert_close(found[seen], wanted[seen], rtol=1e-4, atol=1e-4)


def test_parts_are_fine_tuned_and_searched_as_those_of_our_own_transformers(encoder: Path, tmp_path: Path) -> None:
    adaptive = AdaptiveConfig(enabled=True, length_drop=0.5, sandwich=1)
    config = TrainingConfig(epochs=2, batch=16, learning_rate=1e-3, restyle=0.0, misspell=0.0, adaptive=adaptive)
    outcome = train(tmp_path / "run", make_rooms(), make_rooms(), TeacherConfig(encoder=str(encoder)), config)
    assert "exact_match" in outcome.metrics["dev"]
    log = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert all(SMALLEST in msgspec.json.decode(line)["dev"] for line in log)
    for split in ("train", "dev"):
        write_jsonl(make_rooms(), tmp_path / f"{split}.jsonl")
    recipe = pqrnn.change(pqrnn.BudgetRecipe(), {"search.iterations": 2})
    found = pqrnn.budget(tmp_path / "run", str(tmp_path), recipe=recipe)
    network, facts = load_teacher(tmp_path / "run")
    assert facts.budgets == found
    assert found[-1].lengths == full_config(network.adaptive_layers)
    content = msgspec.json.decode((tmp_path / "run" / FACTS).read_bytes())
    content["budgets"][0]["lengths"] = {"kept": [50, 60], "skipped": []}
    (tmp_path / "run" / FACTS).write_bytes(msgspec.json.encode(content))
    with pytest.raises(CheckpointError, match="grow"):
        load_teacher(tmp_path / "run")
