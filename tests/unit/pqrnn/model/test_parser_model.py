"""The network against its double-precision oracle, and what has to leave its answers unchanged."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from makers.trained import pretend_trained
from oracles.effort import examples
from oracles.model import encode
from oracles.texts import byte_texts
from torch import Tensor

from pqrnn.features.utf8 import pack_texts
from pqrnn.model.parser import ParserModel, ParserOutputs
from pqrnn.recipes.settings import ModelConfig, ProjectionConfig

INTENTS, TAGS = 5, 7
SMALL = ModelConfig(projection=ProjectionConfig(word_features=32, ngram_features=32), bottleneck=12, state=6)
TEXTS = [
    "",
    "stop",
    "wake me up at 7:30, please",
    "क्या समय हुआ?",
    "明天七点叫我。",
    "a b c d e f g h i j k l m n o p q r s t u v w x y z",
]
# Rounding of float32: the layers contract, so errors stay at a few units in the last place; the largest one measured is
# a tenth of this.
TOLERANCE = 2e-6


def make_model(seed: int = 0, **options: Any) -> ParserModel:
    """A small model in evaluation mode, its norms and biases as if after training."""
    torch.manual_seed(seed)
    model = ParserModel(
        ModelConfig(**{name: getattr(SMALL, name) for name in ("projection", "bottleneck", "state")}, **options),
        INTENTS,
        TAGS,
    )
    return pretend_trained(model)


def parse(model: ParserModel, texts: list[str] | list[bytes], words: int = 32, size: int = 128) -> ParserOutputs:
    with torch.inference_mode():
        found: ParserOutputs = model(
            pack_texts([text.encode() if isinstance(text, str) else text for text in texts], size), words
        )
    return found


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=TOLERANCE, atol=TOLERANCE)


VARIANTS = [
    {},
    {"kernel": 1},
    {"kernel": 3, "layers": 3},
    {"layers": 1},
    {"norm": "none"},
    {"refinements": 0},
    {"pool_peaks": False},
    {"refinements": 3},
    {"context": 16},
    {"context": 6, "layers": 1},
]


@pytest.mark.parametrize("options", VARIANTS, ids=str)
@pytest.mark.parametrize("fold", [False, True])
def test_equals_the_oracle_in_double_precision(options: dict[str, Any], fold: bool) -> None:
    """As it is and with the norms folded away; the oracle always applies them."""
    model = make_model(**options)
    weights = {name: value.double().numpy() for name, value in model.state_dict().items()}
    model = model.folded() if fold else model
    found = parse(model, TEXTS)
    features = model.projection(pack_texts([text.encode() for text in TEXTS], 128), 32).features.double().numpy()
    for row, count in enumerate(found.word_count.tolist()):
        intent, tags = encode(weights, features[row, :count], model.config)
        close(found.intent[row], torch.from_numpy(intent).float())
        close(found.tags[row, :count], torch.from_numpy(tags).float())


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_loop_and_scan_agree(options: dict[str, Any]) -> None:
    model = make_model(**options)
    found = model.projection(pack_texts([text.encode() for text in TEXTS], 128), 32)
    mask = (torch.arange(32) < found.word_count[:, None]).float()[..., None]
    value = model.embed(found.features)
    for by_loop, by_scan in zip(model.encode(value, mask), model.encode(value, mask, scan=True), strict=True):
        close(by_loop, by_scan)


@pytest.mark.slow
@examples(40)
@given(byte_texts(60))
def test_bucket_does_not_matter(data: bytes) -> None:
    """The same text in every number of rows that holds its words, and every number of bytes."""
    model = MODEL
    reference = parse(model, [data], 60, 60)
    count = int(reference.word_count[0])
    for words, size in ((max(count, 1), 60), (count + 1, 128), (count + 7, 64)):
        found = parse(model, [data], words, size)
        assert found.word_count.tolist() == [count]
        assert torch.equal(found.spans[:, :count], reference.spans[:, :count])
        close(found.intent, reference.intent)
        close(found.tags[:, :count], reference.tags[:, :count])


def test_company_does_not_matter() -> None:
    model = make_model()
    together = parse(model, TEXTS)
    for row, text in enumerate(TEXTS):
        alone = parse(model, [text])
        close(together.intent[row], alone.intent[0])
        close(together.tags[row], alone.tags[0])


@pytest.mark.parametrize("words", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("kernel", [2, 4])
def test_a_text_of_too_many_words_is_parsed_as_its_first_words(words: int, kernel: int) -> None:
    """Also where the gates look further than there are rows."""
    model = make_model(kernel=kernel)
    text = b"one two three four five six seven eight nine"
    cut = b" ".join(text.split()[:words])
    found, wanted = parse(model, [text], words), parse(model, [cut], 9)
    assert (found.word_count.tolist(), wanted.word_count.tolist()) == ([9], [words])
    assert torch.equal(found.spans, wanted.spans[:, :words])
    close(found.intent, wanted.intent)
    close(found.tags, wanted.tags[:, :words])


@pytest.mark.parametrize("text", [b"", b" \t\0", b"\xe3\x80\x80"])
def test_a_text_without_words_has_the_intent_of_no_evidence(text: bytes) -> None:
    for words in (1, 4, 16):
        found = parse(MODEL, [text], words)
        assert found.word_count.tolist() == [0]
        assert torch.equal(found.intent[0], MODEL.intent.bias)
        assert found.tags.isfinite().all()
        assert not found.spans.any()


def test_tags_depend_on_both_sides_and_on_their_own_word() -> None:
    """Bidirectional: changing the first or the last word changes the tags of all."""
    reference = parse(MODEL, ["one two three four"]).tags[0, :4]
    for other in ("five two three four", "one two three five", "one five three four"):
        changed = (parse(MODEL, [other]).tags[0, :4] - reference).abs().amax(-1)
        assert (changed > 1e-4).all(), other


def train_once(model: ParserModel, value: Tensor, mask: Tensor) -> Tensor:
    """A loss that needs every output of the words, with its gradients."""
    model.zero_grad()
    found = model.encode(value, mask)
    loss = torch.nn.functional.cross_entropy(found.intent, torch.arange(len(found.intent)) % INTENTS)
    loss = loss + (torch.log_softmax(found.tags, -1)[..., 1] * mask[..., 0]).sum()
    loss.backward()
    return loss.detach()


def some_batch(model: ParserModel) -> tuple[Tensor, Tensor]:
    """Features of some texts and their mask."""
    found = model.projection(pack_texts([text.encode() for text in TEXTS[1:]], 128), 32)
    return found.features, (torch.arange(32) < found.word_count[:, None]).float()[..., None]


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_every_parameter_learns(options: dict[str, Any]) -> None:
    model = make_model(**options, dropout=0.0, word_dropout=0.0, zoneout=0.0).train()
    features, mask = some_batch(model)
    train_once(model, model.embed(features), mask)
    still = {
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is None or parameter.grad.abs().max() < 1e-5
    }
    # Neither has any effect: attention does not change when all scores rise, nor batch norm when all values do.
    idle = {"pool.bias", *(["bottleneck.bias"] if model.config.norm == "batch" else [])}
    assert still <= idle


def test_padding_has_no_part_in_training() -> None:
    """What stands in the rows past a text's words is neither in the loss nor in gradients nor in statistics."""
    results = []
    for fill in (0.0, 100.0):
        model = make_model(dropout=0.0, word_dropout=0.0, zoneout=0.0).train()
        features, mask = some_batch(model)
        value = torch.where(mask > 0, model.embed(features), torch.full((), fill)).detach().requires_grad_()
        loss = train_once(model, value, mask)
        assert value.grad is not None and not value.grad[(mask == 0).expand_as(value)].any()
        results.append(
            [loss, *(p.grad for p in model.parameters() if p.grad is not None), *(b.clone() for b in model.buffers())]
        )
    for first, second in zip(*results, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rate", ["dropout", "word_dropout", "zoneout"])
def test_noise_is_in_training_only_and_repeats_with_the_seed(rate: str) -> None:
    rates: dict[str, Any] = {"dropout": 0.0, "word_dropout": 0.0, "zoneout": 0.0, rate: 0.5}
    model = make_model(**rates)
    features, mask = some_batch(model)
    value = model.embed(features).detach()

    def run(seed: int) -> Tensor:
        torch.manual_seed(seed)
        found: Tensor = model.encode(value, mask).tags
        return found

    assert torch.equal(run(1), run(2))
    for module in model.modules():
        module.training = not hasattr(
            module, "affine"
        )  # norms stay in evaluation: their statistics are not what is looked at
    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))


def test_zoneout_of_everything_keeps_the_first_state() -> None:
    """All forget gates are 1 and nothing is added, so that the states stay zero and only biases are left."""
    model = make_model(dropout=0.0, word_dropout=0.0, zoneout=1.0).train()
    features, mask = some_batch(model)
    encoding = model.encode(model.embed(features), mask)
    torch.testing.assert_close(encoding.intent, model.intent.bias.expand_as(encoding.intent))


def test_folding_leaves_the_model_and_takes_the_norms() -> None:
    model = make_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    folded = model.folded()
    assert not [name for name, _ in folded.named_parameters() if "norm" in name]
    assert not [name for name in folded.state_dict() if "mean" in name or "variance" in name]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    for found, wanted in zip(parse(folded.folded(), TEXTS), parse(folded, TEXTS), strict=True):
        assert torch.equal(found, wanted)


def test_parameters_are_counted_as_they_ship() -> None:
    """Of the default size, by hand: products without biases, one bias per gate and direction."""
    config = ModelConfig()
    layers = sum(
        width * 2 * config.kernel * 3 * config.state + 2 * 3 * config.state
        for width in (config.bottleneck, 2 * config.state)
    )
    heads = (2 * config.state + 1) * (1 + 50) + (4 * config.state + 1) * 100 + 2 * config.state * 50 + 50 * 2 * 50
    assert ParserModel(config, 100, 50).parameters_count() == 1025 * 256 + layers + heads


def test_state_dict_holds_no_tables() -> None:
    assert not [name for name in make_model().state_dict() if name.startswith("projection")]


def test_an_unknown_norm_is_an_error() -> None:
    with pytest.raises(ValueError, match="'layer'"):
        make_model(norm="layer")


MODEL = make_model()
