"""Parts of a transformer that read fewer words: against the oracle, and equal to the whole where they are the whole."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from makers.trained import pretend_trained
from oracles.effort import examples
from oracles.model import encode
from oracles.texts import byte_texts

from pqrnn.features.utf8 import pack_texts
from pqrnn.model.length_config import LengthConfig, check_lengths, count_kept, count_rows, full_config
from pqrnn.model.parser import ParserModel, ParserOutputs
from pqrnn.recipes.settings import ModelConfig, ProjectionConfig, TransformerConfig

INTENTS, TAGS, LAYERS = 5, 7, 3
TEXTS = [
    "",
    "stop",
    "wake me",
    "wake me up at 7:30, please",
    "क्या समय हुआ?",
    "明天七点叫我。",
    "a b c d e f g h i j k l m n o p q r s t u v w x y z",
]
TOLERANCE = 2e-5
SETTINGS = [
    LengthConfig((100, 100, 100)),
    LengthConfig((80, 64, 52)),
    LengthConfig((50, 25, 13)),
    LengthConfig((100, 40, 40)),
    LengthConfig((60, 60, 30), (1,)),
    LengthConfig((100, 50, 50), (0, 2)),
    LengthConfig((1, 1, 1)),
]


def make_model(**options: Any) -> ParserModel:
    torch.manual_seed(0)
    config = ModelConfig(
        network="transformer",
        projection=ProjectionConfig(word_features=32, ngram_features=32),
        bottleneck=12,
        layers=LAYERS,
        transformer=TransformerConfig(width=16, heads=4, ffn=24, reach=3),
        **options,
    )
    return pretend_trained(ParserModel(config, INTENTS, TAGS))


MODEL = make_model()


def parse(texts: list[bytes], lengths: LengthConfig | None, words: int = 32, size: int = 128) -> ParserOutputs:
    with torch.inference_mode():
        found: ParserOutputs = MODEL(pack_texts(texts, size), words, lengths)
    return found


def close(found: torch.Tensor, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("lengths", SETTINGS, ids=LengthConfig.describe)
def test_equals_the_oracle_in_double_precision(lengths: LengthConfig) -> None:
    weights = {name: value.double().numpy() for name, value in MODEL.state_dict().items()}
    raw = [text.encode() for text in TEXTS]
    found = parse(raw, lengths)
    features = MODEL.projection(pack_texts(raw, 128), 32).features.double().numpy()
    for row, count in enumerate(found.word_count.tolist()):
        intent, tags = encode(weights, features[row, :count], MODEL.config, lengths.kept, lengths.skipped)
        close(found.intent[row], torch.from_numpy(intent).float())
        close(found.tags[row, :count], torch.from_numpy(tags).float())


def test_the_full_configuration_is_the_network_to_the_last_bit() -> None:
    raw = [text.encode() for text in TEXTS]
    for mine, its in zip(parse(raw, full_config(LAYERS)), parse(raw, None), strict=True):
        assert torch.equal(mine, its)


def test_configurations_differ_from_the_network_and_from_each_other() -> None:
    raw = [TEXTS[-1].encode()]
    intents = [parse(raw, lengths).intent for lengths in SETTINGS]
    for number, one in enumerate(intents):
        for other in intents[:number]:
            assert float((one - other).abs().max()) > 1e-3


@examples(20)
@given(byte_texts(60), st.sampled_from(SETTINGS))
def test_neither_bucket_nor_company_matter(data: bytes, lengths: LengthConfig) -> None:
    reference = parse([data], lengths, 60, 60)
    count = int(reference.word_count[0])
    for company, words, size in (([], max(count, 1), 60), ([], count + 7, 64), ([b"a b c"], 60, 60)):
        found = parse([data, *company], lengths, words, size)
        close(found.intent[0], reference.intent[0])
        close(found.tags[0, :count], reference.tags[0, :count])


def test_of_words_without_a_choice_none_is_dropped() -> None:
    for text in (b"stop", b"wake me"):
        close(parse([text], LengthConfig((1, 1, 1))).intent, parse([text], None).intent)


def test_every_weight_of_the_layers_that_take_part_learns() -> None:
    model = make_model(dropout=0.0, word_dropout=0.0).train()
    found = model.projection(pack_texts([text.encode() for text in TEXTS[2:]], 128), 32)
    mask = (torch.arange(32) < found.word_count[:, None]).float()[..., None]
    encoding = model.encode(model.embed(found.features), mask, lengths=LengthConfig((60, 60, 30), (1,)))
    (encoding.intent.square().sum() + (encoding.tags.square() * mask).sum()).backward()
    still = {name for name, each in model.named_parameters() if each.grad is None}
    assert still == {name for name, _ in model.named_parameters() if name.startswith("layers.1.")}


@pytest.mark.parametrize(
    ("lengths", "said"),
    [
        (LengthConfig((100, 50)), "2 layers"),
        (LengthConfig((50, 60, 60)), "grow"),
        (LengthConfig((100, 50, 50), (1,)), "layer 1 is left out and drops words"),
        (LengthConfig((90, 50, 50), (0,)), "layer 0 is left out and drops words"),
        (LengthConfig((100, 50, 50), (3,)), "below 3"),
        (LengthConfig((100, 50, 50), (2, 2)), "rising"),
        (LengthConfig((100, 100, 100), (0, 1, 2)), "every layer"),
    ],
)
def test_configurations_without_a_meaning_are_refused(lengths: LengthConfig, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_lengths(lengths, LAYERS)
    with pytest.raises(ValueError, match=said):
        parse([b"stop"], lengths)


def test_a_qrnn_has_no_length_configuration() -> None:
    config = ModelConfig(projection=ProjectionConfig(word_features=32, ngram_features=32), bottleneck=12, state=4)
    model = ParserModel(config, INTENTS, TAGS).eval()
    assert (model.adaptive_layers, MODEL.adaptive_layers) == (0, LAYERS)
    with pytest.raises(ValueError, match="QRNN has to read every word"):
        model(pack_texts([b"stop"], 16), 4, LengthConfig((100, 50)))


@pytest.mark.parametrize(
    ("words", "share", "kept"),
    [(0, 50, 0), (1, 50, 1), (2, 1, 2), (3, 1, 2), (5, 60, 3), (10, 61, 7), (10, 60, 6), (384, 70, 269), (9, 100, 9)],
)
def test_counts_by_hand(words: int, share: int, kept: int) -> None:
    assert count_kept(words, share) == kept


def test_rows_of_a_configuration_by_hand() -> None:
    assert count_rows(LengthConfig((80, 64, 52)), 10) == (8, 7, 6)


def test_a_configuration_is_read_back_and_bounded() -> None:
    lengths = LengthConfig((60, 60, 30), (1,))
    assert msgspec.json.decode(msgspec.json.encode(lengths), type=LengthConfig) == lengths
    assert (lengths.describe(), lengths.is_full, full_config(2).is_full) == ("60-.-30", False, True)
    for text in ('{"kept": [101]}', '{"kept": [0]}', '{"kept": []}'):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(text.encode(), type=LengthConfig)
