"""Shaders as far as they need no compiler: how weights lie, and what the operators say of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from makers.int8 import make_four_bits, make_int8
from makers.kernels import make_layer
from makers.small import BUCKETS, TEXTS, make_model
from makers.transformers import make_transformer

from compile.kernels.families import SHADERS
from compile.kernels.modules import with_kernels
from compile.kernels.shaders.modules import ShaderLayer, ShaderLinear, ShaderProjection, with_shaders
from compile.kernels.shaders.packing import pack_words, unpack_words
from compile.lowering.export import export_entries
from compile.lowering.small_table import SmallTableReader
from pqrnn.data.examples import Example
from pqrnn.features.utf8 import pack_texts
from pqrnn.model.int8 import IntegerLinear
from pqrnn.model.parser import ParserModel
from pqrnn.model.qrnn import QrnnLayer
from pqrnn.quantization import prepare_qat
from pqrnn.recipes.settings import ModelConfig, TransformerConfig

_MOST = {8: 127, 4: 7}


def _draw(rows: int, columns: int, bits: int, seed: int) -> torch.Tensor:
    most = _MOST[bits]
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-most, most + 1, (rows, columns), dtype=torch.int8, generator=generator)


@given(st.integers(1, 40), st.integers(1, 20), st.sampled_from([8, 4]), st.integers(0, 2**31))
def test_weights_lie_beside_each_other_and_none_is_lost(rows: int, columns: int, bits: int, seed: int) -> None:
    weights = _draw(rows, columns, bits, seed)
    packed = pack_words(weights, bits)
    assert packed.dtype is torch.int32
    assert packed.shape == (-(-rows * bits // 32), -(-columns // 4) * 4)
    assert torch.equal(unpack_words(packed, bits, rows, columns), weights)
    everything = unpack_words(packed, bits, packed.shape[0] * 32 // bits, packed.shape[1])
    assert torch.equal(everything.long().abs().sum(), weights.long().abs().sum())  # the rest are zeros


def test_the_first_row_lies_lowest() -> None:
    bytes_of_first = pack_words(torch.tensor([[1], [-1], [2], [3]], dtype=torch.int8), 8)[0, 0]
    assert int(bytes_of_first) == 0x0302FF01
    assert int(pack_words(torch.tensor([[5], [-7]], dtype=torch.int8), 4)[0, 0]) == 0x95


@pytest.mark.parametrize(("bits", "wrong"), [(4, 8), (4, -9)])
def test_what_has_more_bits_is_refused(bits: int, wrong: int) -> None:
    with pytest.raises(ValueError, match=f"a weight is {wrong}, expected -8 to 7"):
        pack_words(torch.tensor([[1, wrong]], dtype=torch.int8), bits)


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize(("rows", "depth", "columns"), [(1, 1, 1), (3, 9, 5), (2, 2050, 3), (4, 67, 45)])
def test_operators_give_the_sums_of_numpy(rows: int, depth: int, columns: int, bits: int) -> None:
    weights = _draw(depth, columns, bits, 1)
    left = torch.randint(-128, 128, (rows, depth), generator=torch.Generator().manual_seed(2)).float()
    left[0], weights[:, 0] = -128, -_MOST[bits]
    packed = pack_words(weights, bits)
    offsets = torch.arange(packed.shape[1], dtype=torch.int32) * 1000
    wanted = left.numpy().astype(np.int64) @ weights.numpy().astype(np.int64) + offsets[:columns].numpy()
    found = torch.ops.pqrnn.shader_product(left, packed, offsets, columns, bits)
    assert found.dtype is torch.int32
    np.testing.assert_array_equal(found.numpy(), wanted)
    affine = torch.stack([torch.full(offsets.shape, 0.5), torch.full(offsets.shape, -3.0)])
    scaled = torch.ops.pqrnn.shader_scaled(left, packed, offsets, affine, columns, bits)
    np.testing.assert_allclose(scaled.numpy(), wanted * 0.5 - 3.0, rtol=1e-6)


@pytest.mark.parametrize(("words", "state", "taps"), [(1, 3, 2), (6, 5, 1), (4, 3, 2), (5, 2, 3), (2, 2, 4)])
def test_a_recurrence_is_that_of_its_equations(words: int, state: int, taps: int) -> None:
    """In float64, word by word (Bradbury et al. 2016, arXiv:1611.01576, section 2)."""
    generator = np.random.default_rng(words * 100 + state * 10 + taps)
    texts = 2
    sums = generator.integers(-900, 900, (texts, words, 2, taps, 3, state))
    scale, bias = (generator.uniform(low, high, (2, 3, state)) for low, high in ((1e-4, 1e-3), (-1, 1)))
    mask = (np.arange(words) < np.array([[words], [max(1, words - 2)]])).astype(np.float32)
    wanted = np.zeros((texts, words, 2, state))
    for text in range(texts):
        for direction in (0, 1):
            kept = np.zeros(state)
            for word in range(words) if direction == 0 else reversed(range(words)):
                total = np.zeros((3, state))
                for reach in range(taps):
                    seen = word - reach if direction == 0 else word + reach
                    if 0 <= seen < words:
                        total += sums[text, seen, direction, reach]
                candidate, forget, output = total * scale[direction] + bias[direction]
                share = 1 / (1 + np.exp(-forget))
                kept = share * kept + (1 - share) * np.tanh(candidate) * mask[text, word]
                wanted[text, word, direction] = kept / (1 + np.exp(-output)) * mask[text, word]
    found = torch.ops.pqrnn.shader_recurrence(
        torch.from_numpy(sums.reshape(texts * words, -1).astype(np.int32)),
        torch.from_numpy(np.stack([scale.reshape(-1), bias.reshape(-1)]).astype(np.float32)),
        torch.from_numpy(mask.reshape(-1)),
        words,
        state,
        taps,
    )
    np.testing.assert_allclose(found.numpy().reshape(wanted.shape), wanted, atol=1e-6)


@pytest.mark.parametrize("make", [make_int8, make_four_bits])
def test_a_parser_with_shaders_answers_as_before(make: object) -> None:
    assert callable(make)
    model: ParserModel = make(1).folded()
    changed = with_kernels(model, SHADERS)
    kinds = {type(module) for module in changed.modules()}
    assert {ShaderLayer, ShaderLinear, ShaderProjection, SmallTableReader} <= kinds and not {
        IntegerLinear,
        QrnnLayer,
    } & kinds
    for bucket in BUCKETS:
        for texts in ([""], ["stop"], TEXTS):
            packed = pack_texts([text.encode()[: bucket.bytes] for text in texts], bucket.bytes)
            with torch.inference_mode():
                intent, tags, spans, count = changed(packed, bucket.words)
                wanted = model(packed, bucket.words)
            torch.testing.assert_close(intent, wanted.intent, atol=2e-5, rtol=0)
            torch.testing.assert_close(tags, wanted.tags, atol=2e-5, rtol=0)
            assert torch.equal(spans, wanted.spans) and torch.equal(count, wanted.word_count)
    assert any(isinstance(module, IntegerLinear) for module in model.modules())  # it is left as it is


def test_a_transformer_with_shaders_answers_as_before() -> None:
    """Its inputs have a range each, with a middle of its own."""
    config = ModelConfig(
        network="transformer",
        bottleneck=16,
        layers=1,
        transformer=TransformerConfig(width=32, heads=2, ffn=64, reach=5),
    )
    model = prepare_qat(make_transformer(config), [Example(text, "") for text in TEXTS]).eval().folded()
    changed = with_shaders(model)
    assert any(isinstance(part, ShaderLinear) and part.centre is not None for part in changed.modules())
    assert not any(isinstance(part, IntegerLinear) for part in changed.modules())
    for text in TEXTS:
        packed = pack_texts([text.encode()], 128)
        with torch.inference_mode():
            for found, wanted in zip(changed(packed, 32), model(packed, 32), strict=True):
                assert torch.equal(found, wanted)


def test_a_layer_sums_in_integers() -> None:
    """Within roundings of what follows the sums, where one other integer would be off a hundred times as far."""
    layer = make_layer(40, 12, 2)
    torch.manual_seed(3)
    value, mask = torch.rand(2, 7, 40) * 2 - 1, torch.ones(2, 7, 1)
    mask[1, 5:] = 0
    with torch.inference_mode():
        found = ShaderLayer(layer)(value * mask, mask, scan=True)
        torch.testing.assert_close(found, layer(value * mask, mask, scan=False), atol=1e-6, rtol=0)


def test_a_parser_in_float32_has_none() -> None:
    model = make_model(1).folded()
    kinds = {type(module) for module in with_kernels(model, SHADERS).modules()}
    assert not kinds & {ShaderLayer, ShaderLinear}


@pytest.mark.slow
def test_nothing_of_what_is_compiled_has_8_bits() -> None:
    for program in export_entries(with_kernels(make_int8(1).folded(), SHADERS), BUCKETS[1:]).values():
        kinds = {value.dtype for node in program.graph.nodes if isinstance(value := node.meta.get("val"), torch.Tensor)}
        assert {torch.int32, torch.float32} <= kinds
        assert torch.int8 not in kinds
