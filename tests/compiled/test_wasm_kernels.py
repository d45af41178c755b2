"""Kernels of WebAssembly in Node: right to the last bit, also where the engine has other instructions for them."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from makers.kernels import (
    HEADS,
    TARGETS,
    WORDS,
    Case,
    check_reals,
    head_case,
    layer_case,
    product_case,
    rectified_case,
)
from makers.node_kernels import build_kernels, call_kernels, takes

from benchmarks.browser import BROWSER
from compile.kernels.families import InstructionFamily, find_family
from compile.kernels.packing import offset_sums, pack_weights
from compile.kernels.product_kernels import product_kernel
from compile.native.web import NODE

pytestmark = [
    pytest.mark.skipif(find_spec("ziglang") is None, reason="no zig: pip install 'pqrnn[native]'"),
    pytest.mark.skipif(shutil.which(NODE) is None, reason="Node is not installed"),
]
FORMS = pytest.mark.parametrize(
    "family",
    [find_family(name).in_bits(bits) for name in ("dot128", "relaxed128") for bits in (8, 4)],
    ids=lambda family: f"{family.name}-{family.bits}",
)
# Tails of everything, a part of a vector, and the extremes of int8 in great depth.
TAILS = ((1, 1, 1), (2, 3, 5), (5, 8, 100), (7, 31, 17), (1, 2050, 7))
# V8 does without what newer processors have: an instruction of WebAssembly becomes others of the machine. A browser may
# be newer than Node.
_ENGINES: list[list[str]] = [
    [NODE],
    [NODE, "--no-enable-avx-vnni"],
    [NODE, "--no-enable-avx"],
    *([] if BROWSER is None else ([BROWSER], [BROWSER, "--js-flags=--no-enable-avx-vnni --no-liftoff"])),
]


def _engines(family: InstructionFamily) -> list[list[str]]:
    """Engines that are here and have what a family needs; an older V8 has not all of the switches."""
    found = [engine for engine in _ENGINES if takes(engine, TARGETS[family.name])]
    if not found:
        pytest.skip(f"neither Node nor Chromium has what {family.name} needs here")
    return found


def every_weight(family: InstructionFamily) -> Case:
    """Columns of each weight that there is, times rows of the extremes and of what lies between."""
    depth = 52
    generator = np.random.default_rng(5)
    rows = [np.full(depth, value) for value in (-128, 127, -1, 0)]
    left = np.stack([*rows, np.resize([-128, 127], depth), generator.integers(-128, 128, depth)]).astype(np.int8)
    most = family.most
    values = np.arange(-most, most + 1)
    right = np.concatenate([np.tile(values, (depth, 1)), np.resize([most, -most, most], (depth, 5))], 1).astype(np.int8)
    weights = torch.from_numpy(right)
    kernel = product_kernel("every_weight", family, *left.shape, right.shape[1])
    inputs = (left, pack_weights(weights, family).numpy(), offset_sums(weights, family).numpy())
    return Case(kernel, inputs, (left.astype(np.int32) @ right.astype(np.int32) * family.factor,))


@FORMS
def test_kernels_say_what_their_operators_say_whatever_the_processor_has(
    family: InstructionFamily, tmp_path: Path
) -> None:
    engines = _engines(family)
    products = [every_weight(family), *(product_case(family, shape) for shape in TAILS)]
    layers = [layer_case(family, 1 + number % 3, shape) for number, shape in enumerate(WORDS[3:5])]
    rectified = [rectified_case(family, 2, (19, 36, 80))]
    heads = [head_case(family, HEADS[1])]
    cases = [*products, *layers, *rectified, *heads]
    module = build_kernels([case.kernel for case in cases], TARGETS[family.name], tmp_path)
    for engine in engines:
        found = iter(call_kernels(module, cases, tmp_path, engine)[0])
        for case in products:
            np.testing.assert_array_equal(next(found)[0], case.wanted[0], err_msg=f"{case.function} {engine}")
        for levels, several in ((127.0, layers), (100.0, rectified)):
            for case in several:
                (short, rounded), (real, wanted) = case.pairs(next(found))
                check_reals(real, wanted, levels, short, rounded)
        for case in heads:
            for value, wanted in case.pairs(next(found)):
                assert np.abs(wanted).max() > 0.3
                np.testing.assert_allclose(value, wanted, rtol=1e-5, atol=2e-5, err_msg=f"{case.function} {engine}")
