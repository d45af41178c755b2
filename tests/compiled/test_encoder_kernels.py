"""Kernels of encoders compiled for and run on this machine, against NumPy in float64."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from makers.kernels import TARGETS, compile_kernels
from makers.modules import load_module, run_function
from numpy.typing import NDArray

import compile.kernels.encoder_operators  # noqa: F401  it defines operators of torch.ops.pqrnn
from compile.kernels.attention import AttentionSizes, attention_kernel, fits_attention, pad_words
from compile.kernels.families import FAMILIES, InstructionFamily
from compile.kernels.norm import norm_kernel
from compile.kernels.packing import offset_sums, pack_weights
from compile.kernels.product_kernels import gelu_kernel, scaled_kernel
from compile.verify.loops import find_calls_in_loops
from compile.verify.static_checks import find_objdump
from runtime_py.device.preflight import missing_features, this_machine
from targets import registry

Array = NDArray[Any]

COUNTS = (1, 7, 30, 77)  # texts of 77 rows with so many words
WORDS, DEPTH, COLUMNS, HEADS, SIZE = 77, 40, 64, 2, 32
WIDTH = HEADS * SIZE
ERF = np.vectorize(math.erf)


def _runs_here(family: InstructionFamily) -> bool:
    target = registry().get(TARGETS[family.name])
    here = this_machine()
    return target.triple.startswith(here.architecture) and not missing_features(sorted(target.features), here)


@pytest.fixture(scope="module", params=FAMILIES, ids=lambda family: family.name)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Any]]:
    """All kernels of a family in one module, and the family."""
    family = request.param
    if not _runs_here(family):
        pytest.skip(f"this machine has no {family.name}")
    texts = len(COUNTS)
    sizes = AttentionSizes(texts, WORDS, HEADS, SIZE)
    kernels = [
        scaled_kernel("counted", family, texts * WORDS, DEPTH, COLUMNS, texts=texts),
        gelu_kernel("gelu", family, texts, WORDS, DEPTH, COLUMNS),
        attention_kernel("attention", family, sizes),
        attention_kernel("watched", family, sizes, watched=True),
        norm_kernel("norm", family, texts, WORDS, WIDTH, rounds=False),
        norm_kernel("rounded", family, texts, WORDS, WIDTH, rounds=True),
    ]
    path = compile_kernels(kernels, TARGETS[family.name], tmp_path_factory.mktemp(family.name))
    if find_objdump() is not None:
        assert find_calls_in_loops(path.read_bytes()) == []
    yield load_module(path), family


def inside() -> Array:
    """Which rows are words, bool[texts * WORDS]."""
    return (np.arange(WORDS) < np.array(COUNTS)[:, None]).reshape(-1)


def draw_ranges(generator: np.random.Generator, width: int) -> tuple[Array, Array]:
    """Middles and steps of ranges, of which some cut numbers off."""
    return generator.normal(0.0, 0.3, width).astype(np.float32), generator.uniform(20, 200, width).astype(np.float32)


def expect_steps(found: Array, wanted: Array, centre: Array, rate: Array, error: float) -> None:
    """Expect the int8 of numbers, but for those that an error may round the other way."""
    steps = np.clip((wanted - centre) * rate, -127.0, 127.0)
    rounded = np.floor(steps + 0.5)
    near = np.abs(steps + 0.5 - np.round(steps + 0.5)) < error * np.broadcast_to(rate, steps.shape) + 1e-4
    assert near.mean() < 0.05
    np.testing.assert_array_equal(found[~near], rounded[~near])
    assert np.abs(found - rounded).max() <= 1.0
    assert len(np.unique(found)) > 50 and found.max() == 127  # some are cut off


def product_inputs(family: InstructionFamily) -> tuple[list[Array], Array]:
    """Inputs of a product, garbage where no word is, and its scaled sums in float64."""
    generator = np.random.default_rng(3)
    left = generator.integers(-127, 128, (len(COUNTS) * WORDS, DEPTH), dtype=np.int8)
    weights = generator.integers(-127, 128, (DEPTH, COLUMNS), dtype=np.int8)
    scale, bias = (generator.uniform(*ends, COLUMNS).astype(np.float32) for ends in ((1e-5, 3e-5), (-1.0, 1.0)))
    tensor = torch.from_numpy(weights)
    given = [left, pack_weights(tensor, family).numpy(), offset_sums(tensor, family).numpy(), scale, bias]
    sums = left.astype(np.int64) @ weights.astype(np.int64)
    return given, sums * scale.astype(np.float64) + bias.astype(np.float64)


def test_products_of_words_alone_are_right(made: tuple[Any, InstructionFamily]) -> None:
    module, family = made
    inputs, wanted = product_inputs(family)
    (found,) = run_function(module, "run_counted", (*inputs, np.array(COUNTS, np.int32)))
    np.testing.assert_allclose(found[inside()], wanted[inside()], rtol=1e-6, atol=1e-6)


def test_gelu_behind_a_product_is_rounded_to_the_steps_of_the_next(made: tuple[Any, InstructionFamily]) -> None:
    module, family = made
    inputs, sums = product_inputs(family)
    centre, rate = draw_ranges(np.random.default_rng(4), COLUMNS)
    (found,) = run_function(module, "run_gelu", (*inputs, centre, rate, np.array(COUNTS, np.int32)))
    wanted = sums * (1.0 + ERF(sums / math.sqrt(2.0))) / 2.0
    expect_steps(found[inside()], wanted[inside()], centre, rate, 2e-6)


def attention_inputs(family: InstructionFamily) -> tuple[tuple[Array, ...], Array, Array]:
    """Inputs with numbers that are none where no word is; float64 of what comes out, and of what words receive."""
    generator = np.random.default_rng(5)
    related = generator.normal(0.0, 1.3, (len(COUNTS), WORDS, 3, HEADS, SIZE)).astype(np.float32)
    padded = pad_words(WORDS, family.lanes)
    hidden = np.where(np.arange(padded) < np.array(COUNTS)[:, None], 0.0, -1e6).astype(np.float32)
    queries, keys, values = (related[:, :, part].astype(np.float64).transpose(0, 2, 1, 3) for part in range(3))
    scores = queries @ keys.transpose(0, 1, 3, 2) / math.sqrt(SIZE) + hidden[:, None, None, :WORDS]
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    weights = powers / powers.sum(-1, keepdims=True)
    mixed = (weights @ values).transpose(0, 2, 1, 3).reshape(-1, WIDTH)
    received = np.zeros((len(COUNTS), HEADS, padded))
    for text, count in enumerate(COUNTS):
        received[text, :, :WORDS] = weights[text, :, :count].sum(1)
        related[text, count:] = np.nan
    centre, rate = draw_ranges(generator, WIDTH)
    given = (related.reshape(-1, 3 * WIDTH), hidden, centre, rate, np.array(COUNTS, np.int32))
    return given, mixed, received.reshape(-1, padded)


def test_attention_is_rounded_and_sees_no_padding(made: tuple[Any, InstructionFamily]) -> None:
    module, family = made
    assert fits_attention(family, SIZE)
    inputs, mixed, received = attention_inputs(family)
    (found,) = run_function(module, "run_attention", inputs)
    expect_steps(found[inside()], mixed[inside()], inputs[2], inputs[3], 3e-6)
    watched, sums = run_function(module, "run_watched", inputs)
    np.testing.assert_array_equal(watched[inside()], found[inside()])
    np.testing.assert_allclose(sums, received, rtol=1e-5, atol=1e-6)


def test_operators_say_what_their_kernels_say(made: tuple[Any, InstructionFamily]) -> None:
    """What PyTorch computes in the place of a kernel is compared with the same float64."""
    _, family = made
    (related, *rest), mixed, received = attention_inputs(family)
    tensors = [torch.from_numpy(each) for each in (np.nan_to_num(related), *rest)]
    found, sums = torch.ops.pqrnn.watched_attention(*tensors, HEADS, family.name)
    expect_steps(found.numpy()[inside()], mixed[inside()], rest[1], rest[2], 3e-6)
    np.testing.assert_allclose(sums.numpy(), received, rtol=1e-5, atol=1e-6)
    assert torch.equal(torch.ops.pqrnn.attention(*tensors, HEADS, family.name), found)
    inputs, wanted = product_inputs(family)
    counts = torch.tensor(COUNTS, dtype=torch.int32)
    given = [torch.from_numpy(each) for each in inputs]
    product = torch.ops.pqrnn.counted_product(*given, counts, COLUMNS, family.name)
    np.testing.assert_allclose(product.numpy(), wanted, rtol=1e-6, atol=1e-6)
    centre, rate = draw_ranges(np.random.default_rng(4), COLUMNS)
    more = (torch.from_numpy(centre), torch.from_numpy(rate), counts)
    grown = torch.ops.pqrnn.gelu_product(*given, *more, COLUMNS, family.name).numpy()
    expect_steps(grown, wanted * (1.0 + ERF(wanted / math.sqrt(2.0))) / 2.0, centre, rate, 2e-6)


def test_norms_of_sums_are_zero_where_no_word_is(made: tuple[Any, InstructionFamily]) -> None:
    module, family = made
    generator = np.random.default_rng(6)
    one, other = (generator.normal(0.4, 2.0, (len(COUNTS) * WORDS, WIDTH)).astype(np.float32) for _ in range(2))
    gain, bias = (generator.normal(middle, 0.2, WIDTH).astype(np.float32) for middle in (1.0, 0.0))
    value = one.astype(np.float64) + other.astype(np.float64)
    value -= value.mean(1, keepdims=True)
    wanted = value / np.sqrt((value**2).mean(1, keepdims=True) + 0.01) * gain + bias
    one[~inside()] = np.nan
    given = (one, other, gain, bias, np.array([0.01], np.float32))
    counts = np.array(COUNTS, np.int32)
    (found,) = run_function(module, "run_norm", (*given, counts))
    np.testing.assert_allclose(found[inside()], wanted[inside()], rtol=2e-6, atol=2e-6)
    assert (found[~inside()] == 0.0).all()
    centre, rate = draw_ranges(generator, WIDTH)
    again, rounded = run_function(module, "run_rounded", (*given, centre, rate, counts))
    np.testing.assert_array_equal(again, found)
    expect_steps(rounded[inside()], wanted[inside()], centre, rate, 4e-6)
    tensors = [torch.from_numpy(np.nan_to_num(each)) for each in (*given, centre, rate, counts)]
    normed, steps = torch.ops.pqrnn.rounded_norm(*tensors, family.name)
    np.testing.assert_allclose(normed.numpy(), np.where(inside()[:, None], wanted, 0.0), rtol=2e-6, atol=2e-6)
    expect_steps(steps.numpy()[inside()], wanted[inside()], centre, rate, 4e-6)
    alone = torch.ops.pqrnn.norm(*tensors[:5], tensors[-1], family.name)
    assert torch.equal(alone, normed)
