"""8 bits: training, PyTorch in integers and the file on disk hold the very same numbers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from makers.trained import pretend_trained
from oracles.effort import examples
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from pqrnn.checkpoint import Facts, load_checkpoint, load_facts, save_checkpoint
from pqrnn.data.examples import Example
from pqrnn.errors import CheckpointError, QuantizationError
from pqrnn.features.utf8 import pack_texts
from pqrnn.model import int8
from pqrnn.model.int8 import ActivationRange, IntegerLinear, expand_taps, multiply
from pqrnn.model.parser import ParserModel, ParserOutputs
from pqrnn.model.qat import QuantizedLinear, shorten
from pqrnn.quantization import calibrate, int8_config, prepare_qat
from pqrnn.recipes.settings import ModelConfig, ProjectionConfig
from runtime_py.decode.labels import Labels

INTENTS, TAGS = 5, 7
TEXTS = [
    "",
    "stop",
    "wake me up at 7:30, please",
    "क्या समय हुआ?",
    "明天七点叫我。",
    "a b c d e f g h i j k l m n o p q r s t u v w x y z",
]
TRAINING = [Example(text, "") for text in TEXTS]
VARIANTS = [
    {},
    {"kernel": 1},
    {"kernel": 3, "layers": 3},
    {"refinements": 0},
    {"pool_peaks": False},
    {"context": 16},
]


def make_float(seed: int = 0, **options: Any) -> ParserModel:
    """A parser in float32, its norms and biases as if after training."""
    torch.manual_seed(seed)
    config = ModelConfig(
        projection=ProjectionConfig(word_features=32, ngram_features=32), bottleneck=24, state=12, **options
    )
    model = ParserModel(config, INTENTS, TAGS)
    return pretend_trained(model)


def make_quantized(seed: int = 0, bits: int = 8, **options: Any) -> ParserModel:
    return prepare_qat(make_float(seed, **options), TRAINING, bits).eval()


def parse(model: ParserModel, texts: list[str], words: int = 32, size: int = 128) -> ParserOutputs:
    with torch.inference_mode():
        found: ParserOutputs = model(pack_texts([text.encode() for text in texts], size), words)
    return found


def draw(kind: ActivationRange, *shape: int) -> Tensor:
    """Random activations of a range, with its ends, zero and halves among them."""
    value = (
        torch.randint(-3, 4, shape).float()
        if kind is ActivationRange.INTEGERS
        else torch.rand(shape) * (2.0 if kind is ActivationRange.SIGNED else 1.0)
    )
    if kind is ActivationRange.SIGNED:
        value = value - 1.0
        value[..., :4] = torch.tensor([-1.0, 1.0, 0.0, 0.5 / 127])
    elif kind is not ActivationRange.INTEGERS:
        value[..., :4] = torch.tensor([0.0, 1.0, 0.5 / 255, 254.5 / 255])
    return value


# The product of all.


@pytest.mark.parametrize(
    ("rows", "depth", "columns"),
    [(1, 1, 1), (1, 768, 113), (3, 2000, 7), (4, 1025, 3), (7, 33, 5), (12, 1024, 256), (300, 384, 24)],
)
def test_products_are_exact_whatever_the_shape(rows: int, depth: int, columns: int) -> None:
    torch.manual_seed(0)
    left = torch.randint(-128, 128, (rows, depth), dtype=torch.int8)
    weights = torch.randint(-127, 128, (depth, columns), dtype=torch.int8)
    left[0], weights[:, 0] = -128, -127  # the largest sum that there can be
    found = multiply(left, weights)
    assert found.dtype == torch.int32
    assert found[0, 0] == 128 * 127 * depth
    assert torch.equal(found.long(), left.long() @ weights.long())


# One layer.


@pytest.mark.parametrize("kind", list(ActivationRange))
@pytest.mark.parametrize("taps", [1, 2, 3])
@pytest.mark.parametrize("bits", [8, 4])
def test_a_layer_says_the_same_bits_in_training_and_in_integers(kind: ActivationRange, taps: int, bits: int) -> None:
    torch.manual_seed(1)
    layer = QuantizedLinear(40, 2 * taps * 6, kind, taps=taps, bits=bits).eval()
    if layer.log_scale is not None:
        layer.log_scale.data += torch.randn_like(layer.log_scale)  # some weights are cut off
    if layer.amax is not None:
        layer.amax.data.fill_(0.9)  # some inputs are cut off
    value = draw(kind, 5, 9, 40)
    frozen = layer.convert()
    assert frozen.weight.dtype == torch.int8
    assert frozen.weight.shape == (40, layer.out_features)
    assert frozen.weight.abs().max() == (127 if bits == 8 else 7)
    with torch.inference_mode():
        assert torch.equal(layer(value), frozen(value))


@pytest.mark.parametrize("kind", list(ActivationRange))
def test_integers_are_close_to_the_layer_in_float32(kind: ActivationRange) -> None:
    torch.manual_seed(2)
    layer, value = QuantizedLinear(64, 32, kind), draw(kind, 200, 64)
    wanted = functional.linear(value, layer.weight, layer.bias)
    # Each rounding errs by a step / sqrt(12) in root mean square; errors of 64 terms add up in squares.
    step = 0.0 if kind is ActivationRange.INTEGERS else 1.0 / kind.levels
    weights = layer.weight.abs().amax(1) / 127
    expected = (
        64 * (value.square().mean() * weights.square().mean() + step**2 * layer.weight.square().mean()) / 12
    ).sqrt()
    error = (layer.convert()(value) - wanted).square().mean().sqrt()
    assert 0.5 * expected < error < 1.3 * expected


@given(numbers=st.lists(st.floats(-1.0, 1.0, width=32), min_size=1, max_size=50))
@examples(200)
def test_roundings_are_to_the_nearest_step_and_keep_order(numbers: list[float]) -> None:
    layer = IntegerLinear(1, 1, ActivationRange.SIGNED)
    value = torch.tensor(sorted(numbers))
    found = layer.quantize(value).float()
    assert (found / 127 - value).abs().max() <= 0.5 / 127 + 1e-7
    assert (found.diff() >= 0).all()


def test_ends_zero_and_halves_of_every_range() -> None:
    signed, share, positive = (
        IntegerLinear(1, 1, kind) for kind in (ActivationRange.SIGNED, ActivationRange.SHARE, ActivationRange.POSITIVE)
    )
    positive.amax.fill_(2.0)
    assert signed.quantize(torch.tensor([-1.0, -0.5 / 127, 0.0, 0.5 / 127, 1.0, 1.0000001])).tolist() == [
        -127,
        0,
        0,
        1,
        127,
        127,
    ]
    assert share.quantize(torch.tensor([0.0, 0.5 / 255, 1.0, 1.0000001])).tolist() == [-128, -127, 127, 127]
    assert positive.quantize(torch.tensor([0.0, 1.0, 2.0, 1e9])).tolist() == [-128, 0, 127, 127]
    assert IntegerLinear(1, 1, ActivationRange.INTEGERS).quantize(torch.tensor([-3.0, 0.0, 2.0])).tolist() == [-3, 0, 2]


@pytest.mark.parametrize("kind", list(ActivationRange))
def test_zero_gives_nothing_but_the_bias(kind: ActivationRange) -> None:
    torch.manual_seed(3)
    frozen = QuantizedLinear(31, 7, kind).convert()
    assert torch.equal(frozen(torch.zeros(2, 3, 31)), frozen.bias.expand(2, 3, 7))  # type: ignore[union-attr]


def test_all_taps_of_a_gate_have_one_scale() -> None:
    layer = QuantizedLinear(4, 12, ActivationRange.SIGNED, bias=False, taps=2)  # two directions, two taps, three gates
    with torch.no_grad():
        layer.weight.fill_(0.1)
        layer.weight[4] = 12.7  # direction 0, tap 1, gate 1
    scale = layer.convert().scale
    assert scale.shape == (6,)
    assert scale[1] == shorten(torch.tensor(0.1))
    assert scale[[0, 2, 3, 4, 5]].unique().numel() == 1
    assert expand_taps(torch.arange(6.0), 2).tolist() == [0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5]


def test_weights_that_are_all_zero_stay_zero() -> None:
    layer = QuantizedLinear(8, 4, ActivationRange.SHARE, bias=False)
    torch.nn.init.zeros_(layer.weight)
    assert layer.convert().weight.eq(0).all()
    assert layer.convert()(torch.rand(3, 8)).eq(0.0).all()


# Learning.


@pytest.mark.parametrize("kind", list(ActivationRange))
def test_gradients_pass_the_roundings(kind: ActivationRange) -> None:
    torch.manual_seed(4)
    layer, value = (
        QuantizedLinear(16, 8, kind),
        (draw(kind, 12, 16) * 0.9 if kind is not ActivationRange.INTEGERS else draw(kind, 12, 16)).requires_grad_(),
    )
    back = torch.randn(12, 8)
    layer(value).backward(back)
    frozen, given = layer.convert(), layer.convert().quantize(value.detach()).float() - kind.zero
    step = frozen.step
    torch.testing.assert_close(
        value.grad, back @ (frozen.weight.float() * frozen.scale).t()
    )  # of the weights as they are rounded
    torch.testing.assert_close(layer.weight.grad, back.t() @ given * step)  # of the activations as they are rounded
    torch.testing.assert_close(layer.bias.grad, back.sum(0))


def test_the_end_of_a_range_is_learned_from_what_it_cuts_off() -> None:
    layer = QuantizedLinear(4, 1, ActivationRange.POSITIVE, bias=False)
    torch.nn.init.ones_(layer.weight)
    assert layer.amax is not None
    value = torch.tensor([[0.25, 2.0, 3.0, 0.5]], requires_grad=True)
    layer(value).sum().backward()
    assert value.grad is not None
    assert value.grad[0, 1:3].eq(0.0).all()
    assert value.grad[0, [0, 3]].allclose(torch.ones(2), atol=1e-3)
    assert layer.amax.grad == pytest.approx(
        2.0, abs=0.01
    )  # both that were cut off grow with it; the others hardly move


def test_dropout_does_not_push_activations_over_the_end() -> None:
    model = ParserModel(int8_config(make_float(dropout=0.5).config), INTENTS, TAGS)
    layer = model.layers[0].product
    assert isinstance(layer, QuantizedLinear)
    value = torch.full((1, 24), 1.9)  # twice 0.95
    assert not torch.equal(layer.train()(value), layer(torch.ones(1, 24)))
    assert torch.equal(layer.eval()(value), layer(torch.ones(1, 24)))


def test_the_scale_of_4_bits_is_learned_from_what_it_cuts_off_and_what_it_rounds() -> None:
    """As LSQ has it: a weight that is cut off pulls by 7, another one by its rounding."""
    layer = QuantizedLinear(3, 1, ActivationRange.INTEGERS, bias=False, bits=4)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.55, -2.0, 0.08]]))
    layer.take_scale(torch.tensor([0.125]))
    value = torch.tensor([[1.0, 2.0, 4.0]])
    layer(value).sum().backward()
    assert layer.log_scale is not None
    assert layer.log_scale.grad is not None
    by_scale = 1.0 * (4 - 0.55 / 0.125) + 2.0 * -7 + 4.0 * (1 - 0.08 / 0.125)
    assert layer.log_scale.grad.item() == pytest.approx(0.125 * by_scale, rel=1e-4)
    assert layer.weight.grad is not None
    assert layer.weight.grad.tolist() == [pytest.approx([1.0, 0.0, 4.0])]


# The whole parser.


@pytest.mark.parametrize("options", [*VARIANTS, {"bits": 4}, {"bits": 4, "kernel": 3, "context": 16}], ids=str)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_parser_says_the_same_bits_in_training_and_in_integers(options: dict[str, Any], seed: int) -> None:
    model = make_quantized(seed, **options)
    frozen = model.folded()
    assert any(isinstance(module, QuantizedLinear) for module in model.modules())
    assert not any(isinstance(module, torch.nn.Linear) for module in frozen.modules())
    for found, wanted in zip(parse(frozen, TEXTS), parse(model, TEXTS), strict=True):
        assert torch.equal(found, wanted)
    for found, wanted in zip(parse(frozen.folded(), TEXTS), parse(frozen, TEXTS), strict=True):
        assert torch.equal(found, wanted)


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_a_parser_in_8_bits_says_nearly_what_it_said(options: dict[str, Any]) -> None:
    before, after = make_float(**options), make_quantized(**options)
    for found, wanted in zip(parse(after.folded(), TEXTS)[:2], parse(before, TEXTS)[:2], strict=True):
        assert 0 < (found - wanted).abs().mean() < 0.02 * wanted.std()


def test_weights_chosen_by_texts_say_more_of_what_was_said_than_those_that_reach_the_largest() -> None:
    apart: dict[str, float] = {"chosen": 0.0, "largest": 0.0}
    for seed in range(3):
        before = parse(make_float(seed), TEXTS)
        chosen, largest = make_quantized(seed, 4), make_quantized(seed, 8)
        for layer in largest.modules():
            if isinstance(layer, QuantizedLinear):
                layer.bits, layer.log_scale = 4, torch.nn.Parameter(torch.zeros(layer.out_features // layer.taps))
                layer.take_scale(layer.largest_scale())
        for name, model in (("chosen", chosen), ("largest", largest)):
            apart[name] += sum(
                float((found - wanted).square().sum())
                for found, wanted in zip(parse(model.folded(), TEXTS)[:2], before[:2], strict=True)
            )
    assert apart["chosen"] < 0.7 * apart["largest"]


def test_other_rows_of_a_batch_change_nothing() -> None:
    model = make_quantized().folded()
    together = parse(model, TEXTS)
    for row, text in enumerate(TEXTS):
        for found, wanted in zip(parse(model, [text]), together, strict=True):
            assert torch.equal(found[0], wanted[row])


def test_there_is_no_product_of_matrices_in_float32_but_the_pooling(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = {"linear": 0, "matmul": 0, "int": 0}
    model = make_quantized().folded()

    def count(name: str, function: Any) -> Any:
        def counted(*args: Any, **kwargs: Any) -> Any:
            calls[name] += 1
            return function(*args, **kwargs)

        return counted

    monkeypatch.setattr(functional, "linear", count("linear", functional.linear))
    monkeypatch.setattr(torch, "matmul", count("matmul", torch.matmul))
    monkeypatch.setattr(int8, "multiply", count("int", torch._int_mm))  # as it is traced
    with torch.inference_mode():
        value = model.bottleneck(torch.randint(-1, 2, (1, 5, 64)).float())
        model.encode(value, torch.ones(1, 5, 1), scan=True)
    # Bottleneck, two layers, pool, tags, tags of the pool, intent, two rounds of neighbours.
    assert calls == {"linear": 0, "matmul": 1, "int": 9}


def test_the_range_of_the_bottleneck_is_that_of_the_training_words() -> None:
    model = make_float()
    folded = model.folded()
    with torch.inference_mode():
        values = [folded.bottleneck(model.projection(pack_texts([text.encode()], 128), 32).features) for text in TEXTS]
    inside = [value[:, : max(1, len(text.split()))] for value, text in zip(values, TEXTS, strict=True)]
    amax = calibrate(folded, TRAINING)
    assert amax >= max(float(value.max()) for value in inside[1:])
    layer = prepare_qat(model, TRAINING).layers[0].product
    assert isinstance(layer, QuantizedLinear)
    assert layer.amax is not None
    assert layer.amax.item() == amax
    assert calibrate(folded, []) == 1.0


def test_what_cannot_be_quantized_is_refused() -> None:
    with pytest.raises(QuantizationError, match="in 8 bits already"):
        prepare_qat(make_quantized(), TRAINING)
    with pytest.raises(QuantizationError, match="in 4 bits already"):
        prepare_qat(make_quantized(bits=4), TRAINING)
    with pytest.raises(ValueError, match="no norm"):
        ParserModel(msgspec.structs.replace(make_float().config, precision="int8"), INTENTS, TAGS)
    with pytest.raises(ValueError, match="'float32' or 'int8', not 'int4'"):
        ParserModel(ModelConfig(precision="int4", norm="none"), INTENTS, TAGS)
    with pytest.raises(ValueError, match="weight_bits must be 8 or 4, not 3"):
        ParserModel(ModelConfig(precision="int8", norm="none", weight_bits=3), INTENTS, TAGS)
    with pytest.raises(ValueError, match="weight_bits = 4 is a setting of precision 'int8'"):
        ParserModel(ModelConfig(weight_bits=4), INTENTS, TAGS)


# On disk.


def facts_of(config: ModelConfig) -> Facts[ModelConfig]:
    labels = Labels(
        tuple(f"i{number}" for number in range(INTENTS)), ("O", *(f"B-{number}" for number in range(TAGS - 1)))
    )
    return Facts(
        config=config,
        labels=labels,
        data={},
        revision="",
        training={},
        metrics={},
        lengths=[(4, 16, 1)],
        golden_texts=TEXTS,
    )


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_a_checkpoint_holds_integers_and_comes_back_the_same(options: dict[str, Any], tmp_path: Path) -> None:
    model = make_quantized(**options)
    save_checkpoint(tmp_path, model, facts_of(model.config))
    stored = load_file(tmp_path / "model.safetensors")
    assert {value.dtype for value in stored.values()} == {torch.int8, torch.float16}
    assert sum(value.numel() for value in stored.values() if value.dtype == torch.int8) > 0.9 * model.parameters_count()
    loaded = load_checkpoint(tmp_path).model
    assert loaded.config.precision == "int8"
    assert loaded.parameters_count() == model.parameters_count()
    for found, wanted in zip(parse(loaded, TEXTS), parse(model, TEXTS), strict=True):
        assert torch.equal(found, wanted)
    save_checkpoint(tmp_path / "again", loaded, facts_of(loaded.config))
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (tmp_path / "model.safetensors").read_bytes()


@pytest.mark.parametrize("options", [{}, {"kernel": 3}, {"refinements": 0}], ids=str)
def test_a_checkpoint_of_4_bits_holds_two_weights_a_byte_and_comes_back_the_same(
    options: dict[str, Any], tmp_path: Path
) -> None:
    model = make_quantized(bits=4, **options)
    save_checkpoint(tmp_path, model, facts_of(model.config))
    stored = load_file(tmp_path / "model.safetensors")
    assert {value.dtype for value in stored.values()} == {torch.uint8, torch.float16}
    packed = sum(value.numel() for value in stored.values() if value.dtype == torch.uint8)
    assert packed < 0.54 * model.parameters_count()
    loaded = load_checkpoint(tmp_path).model
    layers = [layer for layer in loaded.modules() if isinstance(layer, IntegerLinear)]
    assert {(layer.bits, layer.weight.dtype) for layer in layers} == {(4, torch.int8)}
    assert loaded.parameters_count() == model.parameters_count()
    for found, wanted in zip(parse(loaded, TEXTS), parse(model, TEXTS), strict=True):
        assert torch.equal(found, wanted)
    save_checkpoint(tmp_path / "again", loaded, facts_of(loaded.config))
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (tmp_path / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("intent.weight", lambda weight: weight.fill_(0x08), r"intent\.weight holds -8, and a weight of 4 bits"),
        ("intent.weight", lambda weight: weight.fill_(0x11), r"intent\.weight holds more than the 5 weights of a row"),
        ("intent.weight", lambda weight: weight[:, :2].contiguous(), r"intent\.weight is U8\[48, 2\].*U8\[48, 3\]"),
        ("pool.weight", lambda weight: weight.to(torch.int8), r"pool\.weight is I8\[24, 1\].*U8\[24, 1\]"),
    ],
)
def test_what_is_no_packing_is_refused(
    name: str, change: Callable[[Tensor], Tensor], said: str, tmp_path: Path
) -> None:
    model = make_quantized(bits=4)
    save_checkpoint(tmp_path, model, facts_of(model.config))
    stored = load_file(tmp_path / "model.safetensors")
    stored[name] = change(stored[name].clone())
    save_file(stored, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=rf"model\.safetensors: {said}"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(("bits", "said"), [(8, 4), (4, 8)])
def test_facts_that_say_other_bits_than_the_weights_have_are_refused(bits: int, said: int, tmp_path: Path) -> None:
    model = make_quantized(bits=bits)
    save_checkpoint(tmp_path, model, facts_of(msgspec.structs.replace(model.config, weight_bits=said)))
    with pytest.raises(CheckpointError, match=r"model\.safetensors: .* its facts describe"):
        load_checkpoint(tmp_path)


def test_weights_of_another_precision_are_refused(tmp_path: Path) -> None:
    model = make_float()
    save_checkpoint(tmp_path, model, facts_of(int8_config(model.config)))
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        load_checkpoint(tmp_path)


def test_checkpoints_from_before_there_was_a_precision_are_float32(tmp_path: Path) -> None:
    model = make_float()
    save_checkpoint(tmp_path, model, facts_of(model.config))
    text = (tmp_path / "checkpoint.json").read_text()
    assert '"precision": "float32"' in text
    (tmp_path / "checkpoint.json").write_text(text.replace(',\n  "precision": "float32"', ""))
    assert load_facts(tmp_path).config == model.config


def test_checkpoints_from_before_there_were_4_bits_have_8(tmp_path: Path) -> None:
    model = make_quantized()
    save_checkpoint(tmp_path, model, facts_of(model.config))
    text = (tmp_path / "checkpoint.json").read_text()
    assert '"weight_bits": 8' in text
    (tmp_path / "checkpoint.json").write_text(text.replace(',\n  "weight_bits": 8', ""))
    loaded = load_checkpoint(tmp_path)
    assert loaded.facts.config == model.config
    assert {layer.bits for layer in loaded.model.modules() if isinstance(layer, IntegerLinear)} == {8}


def test_the_default_parser_fits_two_million_bytes(tmp_path: Path) -> None:
    model = ParserModel(int8_config(ModelConfig()), 113, 149)
    save_checkpoint(tmp_path, model, facts_of(model.config))
    assert model.parameters_count() == 1_985_529
    assert (tmp_path / "model.safetensors").stat().st_size <= 2_000_000
    few = ParserModel(int8_config(ModelConfig(), 4), 113, 149)
    save_checkpoint(tmp_path, few, facts_of(few.config))
    assert few.parameters_count() == 1_985_529
    assert (tmp_path / "model.safetensors").stat().st_size <= 1_010_000


def test_weights_of_before_that_call_amax_largest_still_load() -> None:
    model = make_quantized()
    for network in (model, model.folded()):
        now = network.state_dict()
        before = {name.replace("amax", "largest"): value for name, value in now.items()}
        assert before.keys() != now.keys()
        other = copy.deepcopy(network)
        for value in other.state_dict().values():
            value.zero_()
        other.load_state_dict(before)
        assert all(torch.equal(value, now[name]) for name, value in other.state_dict().items())
