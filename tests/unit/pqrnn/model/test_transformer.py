"""Transformer layers on the projection: against the oracle, beside the QRNN in every verb, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from hypothesis import given
from makers.rooms import make_rooms
from makers.trained import pretend_trained
from oracles.effort import examples
from oracles.model import encode
from oracles.texts import byte_texts
from torch import nn

import pqrnn
from pqrnn.checkpoint import load_checkpoint
from pqrnn.data.examples import Example
from pqrnn.errors import AveragingError, QuantizationError, TrainingError
from pqrnn.evaluation.prediction import compute_logits
from pqrnn.features.utf8 import pack_texts
from pqrnn.model.int8 import IntegerLinear, widen_weights
from pqrnn.model.length_config import LengthConfig
from pqrnn.model.parser import ParserModel, ParserOutputs
from pqrnn.model.retired_options import drop_transformer
from pqrnn.quantization import int8_config, prepare_qat, quantize_checkpoint
from pqrnn.recipes.settings import ModelConfig, ProjectionConfig, TrainingConfig, TransformerConfig
from pqrnn.run_folder import WEIGHTS
from pqrnn.training import trainer as training
from pqrnn.training.trainer import train
from pqrnn.training.weight_averaging import average_checkpoints

INTENTS, TAGS = 5, 7
SHAPE = TransformerConfig(width=16, heads=4, ffn=24, reach=3)
TEXTS = [
    "",
    "stop",
    "wake me up at 7:30, please",
    "क्या समय हुआ?",
    "明天七点叫我。",
    "a b c d e f g h i j k l m n o p q r s t u v w x y z",
]
TOLERANCE = 2e-5  # of logits of about ten; the largest error measured is a tenth of this
SMALL = ModelConfig(
    network="transformer",
    projection=ProjectionConfig(word_features=64, ngram_features=64),
    bottleneck=32,
    transformer=TransformerConfig(width=32, heads=4, ffn=64),
)
CONFIG = TrainingConfig(epochs=4, batch=8, learning_rate=5e-3, patience=0, swap=0.3, misspell=0.1)


def make_model(shape: TransformerConfig = SHAPE, **options: Any) -> ParserModel:
    torch.manual_seed(0)
    config = ModelConfig(
        network="transformer",
        projection=ProjectionConfig(word_features=32, ngram_features=32),
        bottleneck=12,
        transformer=shape,
        **options,
    )
    return pretend_trained(ParserModel(config, INTENTS, TAGS))


def parse(model: ParserModel, texts: list[str] | list[bytes], words: int = 32, size: int = 128) -> ParserOutputs:
    raw = [text.encode() if isinstance(text, str) else text for text in texts]
    with torch.inference_mode():
        found: ParserOutputs = model(pack_texts(raw, size), words)
    return found


def close(found: torch.Tensor, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize(
    ("shape", "options"),
    [
        (SHAPE, {}),
        (SHAPE, {"layers": 3, "refinements": 0}),
        (SHAPE, {"norm": "none", "pool_peaks": False}),
        (TransformerConfig(width=12, heads=1, ffn=8, reach=0), {"layers": 1}),
        (TransformerConfig(width=30, heads=5, ffn=16, reach=40), {"context": 16}),
    ],
    ids=str,
)
def test_equals_the_oracle_in_double_precision(shape: TransformerConfig, options: dict[str, Any], fold: bool) -> None:
    model = make_model(shape, **options)
    weights = {name: value.double().numpy() for name, value in model.state_dict().items()}
    model = model.folded() if fold else model
    found = parse(model, TEXTS)
    features = model.projection(pack_texts([text.encode() for text in TEXTS], 128), 32).features.double().numpy()
    for row, count in enumerate(found.word_count.tolist()):
        intent, tags = encode(weights, features[row, :count], model.config)
        close(found.intent[row], torch.from_numpy(intent).float())
        close(found.tags[row, :count], torch.from_numpy(tags).float())


@examples(20)
@given(byte_texts(60))
def test_neither_bucket_nor_company_matter(data: bytes) -> None:
    model = MODEL
    reference = parse(model, [data], 60, 60)
    count = int(reference.word_count[0])
    for company, words, size in (([], max(count, 1), 60), ([], count + 7, 64), ([b"a b c"], 60, 60)):
        found = parse(model, [data, *company], words, size)
        close(found.intent[0], reference.intent[0])
        close(found.tags[0, :count], reference.tags[0, :count])


@pytest.mark.parametrize("text", [b"", b" \t\0", b"\xe3\x80\x80"])
def test_a_text_without_words_has_the_intent_of_no_evidence(text: bytes) -> None:
    found = parse(MODEL, [text], 4)
    assert torch.equal(found.intent[0], MODEL.intent.bias)
    assert found.tags.isfinite().all()


def test_order_is_seen_up_to_the_reach_and_not_without() -> None:
    for reach, differs in ((3, True), (0, False)):
        model = make_model(TransformerConfig(width=16, heads=4, ffn=24, reach=reach), refinements=0)
        there, back = (parse(model, [text], 3).intent[0] for text in ("one two three", "three one two"))
        assert bool((there - back).abs().max() > 1e-3) is differs


def test_every_parameter_learns() -> None:
    model = make_model(dropout=0.0, word_dropout=0.0).train()
    found = model.projection(pack_texts([text.encode() for text in TEXTS[1:]], 128), 32)
    mask = (torch.arange(32) < found.word_count[:, None]).float()[..., None]
    encoding = model.encode(model.embed(found.features), mask)
    loss = torch.nn.functional.cross_entropy(encoding.intent, torch.arange(5) % INTENTS)
    (loss + (torch.log_softmax(encoding.tags, -1)[..., 1] * mask[..., 0]).sum()).backward()
    still = {name for name, each in model.named_parameters() if each.grad is None or each.grad.abs().max() < 1e-6}
    assert still <= {"pool.bias", "bottleneck.bias"}  # no effect: under a softmax, and under batch norm
    bias = model.layers[0].product.bias.grad
    assert bias is not None and bias.chunk(3)[1].abs().max() < 1e-4 < bias.chunk(3)[2].abs().max()  # keys': the same


def test_padding_has_no_part_in_training() -> None:
    gradients = []
    for fill in (0.0, 100.0):
        model = make_model(dropout=0.0, word_dropout=0.0).train()
        found = model.projection(pack_texts([text.encode() for text in TEXTS[1:]], 128), 32)
        mask = (torch.arange(32) < found.word_count[:, None]).float()[..., None]
        value = torch.where(mask > 0, model.embed(found.features), torch.full((), fill)).detach().requires_grad_()
        encoding = model.encode(value, mask)
        (encoding.intent.square().sum() + (encoding.tags.square() * mask).sum()).backward()
        assert value.grad is not None and not value.grad[(mask == 0).expand_as(value)].any()
        gradients.append([each.grad for each in model.parameters() if each.grad is not None])
    for first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"network": "lstm"}, "'lstm'"),
        ({"network": "transformer", "transformer": {"width": 30, "heads": 4}}, "multiple of the heads: 30, 4"),
        ({"network": "transformer", "state": 30}, "state = 30 is a setting of QRNNs"),
        ({"network": "transformer", "kernel": 3}, "kernel = 3 is a setting of QRNNs"),
        ({"transformer": {"ffn": 3}}, "ffn = 3 is a setting of transformers"),
        ({"transformer": {"heads": 2}}, "heads = 2 is a setting of transformers"),
        ({"network": "transformer", "precision": "int8", "norm": "none", "weight_bits": 4}, "no form in 4 bits"),
    ],
)
def test_shapes_without_a_meaning_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ParserModel(msgspec.convert(options, ModelConfig), 2, 3)


def test_the_command_line_says_what_is_wrong_before_data_are_read(tmp_path: Path) -> None:
    recipe = pqrnn.change(pqrnn.TrainRecipe(), {"model.network": "transformer", "model.transformer.heads": 3})
    with pytest.raises(TrainingError, match="multiple of the heads: 128, 3"):
        pqrnn.train(str(tmp_path / "nothing"), tmp_path / "run", recipe=recipe)


def test_qrnns_are_told_apart_from_runs_of_before_by_nothing() -> None:
    shape = msgspec.to_builtins(ModelConfig())
    assert not {"network", "transformer"} & set(drop_transformer(shape))
    assert {"network", "transformer"} <= set(drop_transformer(msgspec.to_builtins(SMALL)))


def test_learns_and_goes_on_after_a_kill_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(tmp_path / "whole", make_rooms()[::2], make_rooms()[1::2], SMALL, CONFIG)
    monkeypatch.setattr(training, "_SAVE_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", make_rooms()[::2], make_rooms()[1::2], SMALL, CONFIG, stop_after=3)
    train(tmp_path / "cut", make_rooms()[::2], make_rooms()[1::2], SMALL, CONFIG)
    whole, cut = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "cut"))
    assert whole == cut
    with pytest.raises(TrainingError, match="other settings"):
        train(tmp_path / "whole", make_rooms()[::2], make_rooms()[1::2], ModelConfig(), CONFIG)


def test_learns_what_a_qrnn_learns_and_is_read_back(tmp_path: Path) -> None:
    config = msgspec.structs.replace(CONFIG, epochs=30, swap=0.0, misspell=0.0)
    outcome = train(tmp_path, make_rooms(), make_rooms(), SMALL, config)
    assert outcome.metrics["dev"]["exact_match"]["value"] > 0.95
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint.facts.config == SMALL
    texts = [example.text for example in make_rooms()]
    for found, folded in zip(
        compute_logits(checkpoint.model, texts), compute_logits(checkpoint.model.folded(), texts), strict=True
    ):
        close(torch.from_numpy(found.intent), torch.from_numpy(folded.intent))


def test_averages_with_its_like_alone_and_has_no_form_in_4_bits(tmp_path: Path) -> None:
    config = msgspec.structs.replace(CONFIG, epochs=1)
    other = msgspec.structs.replace(SMALL, transformer=TransformerConfig(width=32, heads=2, ffn=64))
    for name, model, seed in (("a", SMALL, 0), ("b", SMALL, 1), ("c", other, 0)):
        train(tmp_path / name, make_rooms(), make_rooms(), model, msgspec.structs.replace(config, seed=seed))
    average_checkpoints([tmp_path / "a", tmp_path / "b"], make_rooms(), tmp_path / "mean")
    first, second, mean = (load_checkpoint(tmp_path / name).model.state_dict() for name in ("a", "b", "mean"))
    for name, value in mean.items():
        close(value, (first[name] + second[name]) / 2)
    with pytest.raises(AveragingError, match="transformer"):
        average_checkpoints([tmp_path / "a", tmp_path / "c"], make_rooms(), tmp_path / "none")
    with pytest.raises(QuantizationError, match="no form in 4 bits"):
        prepare_qat(load_checkpoint(tmp_path / "a").model, make_rooms(), bits=4)


def test_in_8_bits_it_says_nearly_the_same_and_is_stored_in_integers(tmp_path: Path) -> None:
    """A trained parser, quantized as it is: stored, loaded, and in training the very same bits."""
    config = msgspec.structs.replace(CONFIG, epochs=12)
    train(tmp_path / "float", make_rooms(), make_rooms(), SMALL, config)
    checkpoint = load_checkpoint(tmp_path / "float")
    metrics = quantize_checkpoint(checkpoint, make_rooms(), make_rooms(), tmp_path / "int8")
    exact = [scores["dev"]["exact_match"]["value"] for scores in (checkpoint.facts.metrics, metrics)]
    assert exact[0] > 0.95 and exact[1] > exact[0] - 0.03
    loaded = load_checkpoint(tmp_path / "int8")
    assert loaded.facts.config == int8_config(SMALL)
    integers = {name for name, module in loaded.model.named_modules() if isinstance(module, IntegerLinear)}
    assert not [name for name, module in loaded.model.named_modules() if isinstance(module, nn.Linear)]
    assert {"entry", "layers.0.product", "layers.1.mix", "layers.0.grow", "layers.1.shrink", "pool"} <= integers
    before, after = ((tmp_path / name / WEIGHTS).stat().st_size for name in ("float", "int8"))
    assert after < 0.4 * before  # small layers have many scales
    texts = [example.text for example in make_rooms()]
    learning = prepare_qat(checkpoint.model, make_rooms()).eval()
    for found, wanted, was in zip(
        compute_logits(loaded.model, texts),
        compute_logits(learning, texts),
        compute_logits(checkpoint.model, texts),
        strict=True,
    ):
        close(torch.from_numpy(found.intent), torch.from_numpy(wanted.intent))
        close(torch.from_numpy(found.tags), torch.from_numpy(wanted.tags))
        assert 0.0 < abs(found.tags - was.tags).max() < 0.15 * abs(was.tags).max()


def test_parts_of_a_network_in_8_bits_and_its_widened_twin_are_the_same_integers() -> None:
    model = prepare_qat(make_model(), [Example(text, "") for text in TEXTS if text]).folded()
    wide = widen_weights(model)
    packed = pack_texts([text.encode() for text in TEXTS], 128)
    for lengths in (None, LengthConfig((60, 30))):
        with torch.inference_mode():
            for found, wanted in zip(wide(packed, 32, lengths), model(packed, 32, lengths), strict=True):
                assert torch.equal(found, wanted)


MODEL = make_model()
