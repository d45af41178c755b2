"""Weights of 4 bits compiled for and run on this machine: kernels alone, and a whole parser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from makers.int8 import make_four_bits
from makers.kernels import (
    HEADS,
    TARGETS,
    Case,
    check_reals,
    compile_kernels,
    head_case,
    layer_case,
    processor_of,
    product_case,
    rectified_case,
)
from makers.modules import load_module, run_function

from compile.kernels.families import FAMILIES, InstructionFamily, choose_kernels, find_family
from compile.kernels.linking import link_kernels
from compile.kernels.mlir_builder import Value
from compile.kernels.modules import KernelParser, with_kernels
from compile.kernels.tile import Tile
from compile.lowering.buckets import make_buckets
from compile.lowering.export import export_entries
from compile.lowering.import_mlir import import_programs
from compile.lowering.iree_compile import STRIP_FLAGS, compile_module
from compile.verify.loops import find_calls_in_loops
from compile.verify.static_checks import find_objdump
from pqrnn.features.utf8 import pack_texts
from pqrnn.model.parser import ParserModel
from runtime_py.device.preflight import missing_features, this_machine
from targets import registry

# Tails of everything, whole chunks of products in 16 bits with and without a rest, and extremes in great depth.
SHAPES = ((1, 1, 1), (3, 9, 5), (4, 67, 45), (2, 2050, 7))


def _runs_here(family: InstructionFamily) -> bool:
    target = registry().get(TARGETS[family.name])
    machine = this_machine()
    return target.triple.startswith(machine.architecture) and not missing_features(sorted(target.features), machine)


@pytest.mark.parametrize(
    "family",
    [
        pytest.param(
            family,
            id=family.name,
            marks=() if _runs_here(family) else pytest.mark.skip(f"this machine has no {family.name}"),
        )
        for family in FAMILIES
    ],
)
def test_kernels_are_exact(family: InstructionFamily, tmp_path: Path) -> None:
    form = family.in_bits(4)
    products = [product_case(form, shape) for shape in SHAPES]
    layers, rectified = [layer_case(form, 2, (9, 20, 24, 3))], [rectified_case(form, 2, (5, 36, 40))]
    heads = [head_case(form, HEADS[2])]
    path = compile_kernels(
        [case.kernel for case in (*products, *layers, *rectified, *heads)], TARGETS[family.name], tmp_path
    )
    if find_objdump() is not None:
        assert find_calls_in_loops(path.read_bytes()) == []
    module = load_module(path)
    for case in products:
        _expect_equal(module, case)
    for levels, cases in ((127.0, layers), (100.0, rectified)):
        for case in cases:
            (short, rounded), (real, wanted) = case.pairs(run_function(module, case.function, case.inputs))
            check_reals(real, wanted, levels, short, rounded)
    for case in heads:
        for found, wanted in case.pairs(run_function(module, case.function, case.inputs)):
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=2e-5)


def _expect_equal(module: Any, case: Case) -> None:
    for found, wanted in zip(run_function(module, case.function, case.inputs), case.wanted, strict=True):
        np.testing.assert_array_equal(found, wanted, err_msg=case.function)


def _multiply_plainly(tile: Tile, total: Value, left: Value, right: Value) -> Value:
    """Add what the instruction of a dot product of 8 bits adds, for machines that lack it."""
    code, family = tile.code, tile.family
    size = 4 * family.lanes
    for byte in range(8 if family.name == "i8mm" else 4):
        rows = [8 * (lane // 2) + byte if family.name == "i8mm" else 4 * lane + byte for lane in range(family.lanes)]
        columns = [8 * (lane % 2) + byte for lane in range(family.lanes)] if family.name == "i8mm" else rows
        factors = []
        for value, picks, signed in ((left, rows, not family.unsigned), (right, columns, True)):
            part = code.value(f"vector.shuffle {value}, {value} {picks} : vector<{size}xi8>, vector<{size}xi8>")
            kinds = f"vector<{family.lanes}xi8> to {tile.sums}"
            factors.append(code.value(f"arith.ext{'s' if signed else 'u'}i {part} : {kinds}"))
        product = code.value(f"arith.muli {factors[0]}, {factors[1]} : {tile.sums}")
        total = code.value(f"arith.addi {total}, {product} : {tile.sums}")
    return total


@pytest.mark.skipif(this_machine().architecture != "x86_64", reason="this machine is no x86-64")
@pytest.mark.parametrize("name", ["vnni512", "vnni256", "dotprod", "i8mm"])
def test_products_of_processors_that_are_not_here_are_exact_but_for_the_instruction(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tile, "_multiply", _multiply_plainly)
    cases = [product_case(find_family(name).in_bits(4), shape) for shape in ((3, 9, 5), (2, 84, 20))]
    module = load_module(compile_kernels([case.kernel for case in cases], "linux-x86_64-v2", tmp_path))
    for case in cases:
        _expect_equal(module, case)


@pytest.fixture(scope="module")
def parser() -> ParserModel:
    return make_four_bits(1).folded()


def test_a_parser_is_that_of_pytorch_and_half_as_large(parser: ParserModel, tmp_path: Path) -> None:
    flags, processor = processor_of("host")
    kernels = choose_kernels(processor.triple, processor.features, True)
    if kernels is None or kernels.family is None:
        pytest.skip("this machine has no integer kernels")
    buckets = make_buckets([(8, 64)])
    model = with_kernels(parser, kernels)
    assert isinstance(model, KernelParser)
    operators = import_programs(export_entries(model, buckets), tmp_path / "operators.mlirbc")
    linked = link_kernels(operators, tmp_path / "linked.mlirbc", kernels, processor.resolved)
    code = compile_module(linked, tmp_path / "kernels.vmfb", (*flags, *STRIP_FLAGS)).path
    module = load_module(code)
    for text in ("wake me at seven", "", "मुझे सात बजे जगाना", "play some jazz in the kitchen please"):
        packed = pack_texts([text.encode()], 64)
        intent, tags, spans, count = run_function(module, buckets[0].entry, [packed.numpy()])
        wanted, plain = model(packed, 8), parser(packed, 8)
        words = int(count.reshape(-1)[0])
        assert np.array_equal(spans, wanted.spans.numpy())
        for answer in (wanted, plain):
            np.testing.assert_allclose(intent, answer.intent.detach().numpy(), rtol=1e-5, atol=2e-5)
            found, expected = tags[:, :words], answer.tags.detach().numpy()[:, :words]
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-5)
    data = code.read_bytes()
    for layer in model.layers:
        weights = layer.packed.weights.numpy().tobytes()
        assert data.count(weights) == 1
        assert len(weights) <= layer.linear.weight.numel() * 0.75  # half of it, and blocks that are filled up
