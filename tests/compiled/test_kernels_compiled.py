"""Kernels compiled for and run on this machine, and modules with and without them.

Products are right to the last bit, layers to the last rounding, float32 is as near to float64 as it can be.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from makers.kernels import (
    HEADS,
    SHAPES,
    TARGETS,
    TARGETS_F32,
    TEXT_SIZES,
    WORDS,
    check_reals,
    compile_kernels,
    head_case,
    head_f32_case,
    layer_case,
    layer_f32_case,
    make_projection_kernel,
    processor_of,
    product_case,
    product_f32_case,
    project,
    projection_inputs,
    rectified_case,
    rectified_f32_case,
    set_weights,
)
from makers.modules import load_module, run_function
from makers.packages import STOCK_BUCKETS, compile_small
from makers.small import BUCKETS, TEXTS
from oracles.effort import examples
from oracles.texts import DAMAGE, PIECES, byte_texts
from torch import Tensor, nn

from compile.emulation.runner import native_tools
from compile.kernels.families import FAMILIES, FAMILIES_F32, InstructionFamily, Kernels, choose_kernels
from compile.kernels.linking import link_kernels, read_target
from compile.kernels.modules import KernelLinear
from compile.kernels.packing import offset_sums, pack_weights
from compile.lowering.import_mlir import import_programs
from compile.lowering.iree_compile import compile_module
from compile.pipeline import CompileOutcome
from compile.support.errors import ImportStageError
from compile.support.process import run_tool
from compile.target_bench import count_dispatches
from compile.verify.loops import find_calls_in_loops
from compile.verify.static_checks import find_objdump
from pqrnn.features.utf8 import pack_texts
from pqrnn.model.int8 import ActivationRange, IntegerLinear, multiply
from runtime_py import Parser
from runtime_py.device.preflight import missing_features, this_machine
from targets import registry


def _runs_here(family: InstructionFamily) -> bool:
    target = registry().get((TARGETS | TARGETS_F32)[family.name])
    return target.triple.startswith(this_machine().architecture) and not missing_features(
        sorted(target.features), this_machine()
    )


def _here(families: Sequence[InstructionFamily]) -> pytest.MarkDecorator:
    found = [
        pytest.param(
            family,
            id=family.name,
            marks=() if _runs_here(family) else pytest.mark.skip(f"this machine has no {family.name}"),
        )
        for family in families
    ]
    return pytest.mark.parametrize("family", found)


HERE, REAL_HERE = _here(FAMILIES), _here(FAMILIES_F32)
# How a kernel gets into a module does not depend on its family: one is enough.
ANY_HERE = _here([next((family for family in FAMILIES if _runs_here(family)), FAMILIES[0])])


def _expect_no_calls(path: Path) -> None:
    """Expect that no loop of a module calls a function, such as a fused multiply-add in software."""
    if find_objdump() is not None:
        assert find_calls_in_loops(path.read_bytes()) == []


@HERE
def test_products_are_exact_for_every_tail(family: InstructionFamily, tmp_path: Path) -> None:
    cases = [product_case(family, shape) for shape in SHAPES]
    module = load_module(compile_kernels([case.kernel for case in cases], TARGETS[family.name], tmp_path))
    for case in cases:
        for found, wanted in zip(run_function(module, case.function, case.inputs), case.wanted, strict=True):
            np.testing.assert_array_equal(found, wanted, err_msg=case.function)


@HERE
def test_layers_and_heads_say_what_their_operators_say(family: InstructionFamily, tmp_path: Path) -> None:
    layers = [layer_case(family, 1 + number % 3, shape) for number, shape in enumerate(WORDS)]
    rectified = [
        rectified_case(family, 1, (8, 64, 33)),
        rectified_case(family, 5, (5, 20, 16)),
        rectified_case(family, 2, (19, 36, 80)),
    ]
    heads = [head_case(family, sizes) for sizes in HEADS if sizes.fits(family.lanes)]
    path = compile_kernels([case.kernel for case in (*layers, *rectified, *heads)], TARGETS[family.name], tmp_path)
    _expect_no_calls(path)
    module = load_module(path)
    for levels, cases in ((127.0, layers), (100.0, rectified)):
        for case in cases:
            (short, rounded), (real, wanted) = case.pairs(run_function(module, case.function, case.inputs))
            check_reals(real, wanted, levels, short, rounded)
    assert len(heads) > 2
    for case in heads:
        for found, wanted in case.pairs(run_function(module, case.function, case.inputs)):
            assert np.abs(wanted).max() > 0.3
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=2e-5, err_msg=case.function)


@REAL_HERE
def test_real_products_are_near_float64_for_every_tail(family: InstructionFamily, tmp_path: Path) -> None:
    generator = np.random.default_rng(11)
    shapes = [
        *SHAPES,
        *(
            (int(rows), int(depth), int(columns))
            for rows, depth, columns in generator.integers(1, (80, 300, 200), (12, 3))
        ),
    ]
    cases = [product_f32_case(family, shape) for shape in shapes]
    module = load_module(compile_kernels([case.kernel for case, _ in cases], TARGETS_F32[family.name], tmp_path))
    for case, bound in cases:
        (found,) = run_function(module, case.function, case.inputs)
        assert np.all(abs(found - case.wanted[0]) <= bound), case.function


@REAL_HERE
def test_real_layers_and_heads_are_near_float64(family: InstructionFamily, tmp_path: Path) -> None:
    layers = [layer_f32_case(family, 1 + number % 3, shape) for number, shape in enumerate(WORDS)]
    rectified = [
        rectified_f32_case(family, texts, shape)
        for texts, shape in ((1, (8, 64, 33)), (5, (5, 20, 16)), (2, (19, 36, 80)))
    ]
    heads = [head_f32_case(family, sizes) for sizes in HEADS if sizes.fits(family.lanes)]
    assert len(heads) > 2
    path = compile_kernels([case.kernel for case in (*layers, *rectified, *heads)], TARGETS_F32[family.name], tmp_path)
    _expect_no_calls(path)
    module = load_module(path)
    for near, cases in ((2e-6, layers), (2e-6, rectified), (2e-5, heads)):
        assert sum(abs(each).max() > 0.2 for case in cases for each in case.wanted) > 2
        for case in cases:
            for found, wanted in case.pairs(run_function(module, case.function, case.inputs)):
                np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=near, err_msg=case.function)


class _Projections:
    """Kernels of projections of all sizes, in one module."""

    def __init__(self, family: InstructionFamily, folder: Path) -> None:
        kernels = [
            make_projection_kernel(f"projection_{number}", family.lanes, sizes)
            for number, sizes in enumerate(TEXT_SIZES)
        ]
        path = compile_kernels(kernels, TARGETS_F32[family.name], folder)
        _expect_no_calls(path)
        self.module = load_module(path)

    def check(self, texts: Sequence[bytes]) -> None:
        """Compare with PyTorch, in groups; texts are cut off where they are too long."""
        for number, sizes in enumerate(TEXT_SIZES):
            for begin in range(0, len(texts), sizes.texts):
                group = [text[: sizes.size] for text in texts[begin : begin + sizes.texts]]
                group += [b""] * (sizes.texts - len(group))
                packed = pack_texts(group, sizes.size).numpy()
                found = run_function(self.module, f"run_projection_{number}", (packed, *projection_inputs(sizes)))
                features, *rest = project(sizes, tuple(group))
                written = (
                    np.full(len(features), sizes.rest) | (rest[0] > 0) | (np.arange(len(features)) % sizes.words == 0)
                )
                np.testing.assert_array_equal(found[0][written], features[written], err_msg=repr(group))
                for one, other in zip(found[1:], rest, strict=True):
                    np.testing.assert_array_equal(one, other, err_msg=repr(group))


# Projections differ by the width of vectors only, of which each family of float32 has another.
@pytest.fixture(scope="module", params=FAMILIES_F32, ids=lambda family: f"{family.architecture}-{family.lanes}")
def projections(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> _Projections:
    if not _runs_here(request.param):
        pytest.skip(f"this machine has no {request.param.name}")
    return _Projections(request.param, tmp_path_factory.mktemp("projections"))


def test_projections_are_those_of_pytorch_to_the_last_bit(projections: _Projections) -> None:
    scripts = ["".join(pieces).encode() for pieces in PIECES.values()]
    spaced = [" ".join(pieces).encode() for pieces in PIECES.values()]
    projections.check(
        [
            b"",
            b"a",
            b" ",
            b"x" * 512,
            b"Wake ME up at 7:30",
            "🇩🇪🇫🇷🇬".encode(),
            b"7 p.m.?",
            "Der ß.".encode(),
            "ဦ. ဦ.".encode(),
            "각\u11a8 \u1112\u1161\u11ab\u1112\u1161.".encode(),
            *scripts,
            *spaced,
            *DAMAGE,
            b"".join(DAMAGE),
        ]
    )


@given(texts=st.lists(byte_texts(96), min_size=1, max_size=4))
@examples(60)
def test_projections_of_any_bytes_are_those_of_pytorch(projections: _Projections, texts: list[bytes]) -> None:
    projections.check(texts)


class _Products(nn.Module):
    """Two integer products, the second of what is left of the first one's sums, and a whole linear layer.

    Without a family the compiler's own code makes them.
    """

    def __init__(self, family: InstructionFamily | None) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.family = family
        self.linears = nn.ModuleList(
            set_weights(IntegerLinear(*size, ActivationRange.SIGNED)) for size in ((40, 33), (33, 20))
        )
        self.last = self.linears[1] if family is None else KernelLinear(cast(IntegerLinear, self.linears[1]), family)
        for number, linear in enumerate(self.linears):
            weight = cast(Tensor, linear.weight)
            self.register_buffer(f"weights{number}", weight if family is None else pack_weights(weight, family))
            self.register_buffer(f"offsets{number}", torch.zeros(()) if family is None else offset_sums(weight, family))

    def forward(self, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        first = self._multiply(value, 0)
        between = torch.bitwise_right_shift(first, torch.full((), 12, dtype=torch.int32)).to(torch.int8)
        return first, self._multiply(between, 1), self.last(between.float() / 128.0)

    def _multiply(self, left: Tensor, number: int) -> Tensor:
        weights = self.get_buffer(f"weights{number}")
        if self.family is None:
            return multiply(left, weights)
        columns = cast(Tensor, self.linears[number].weight).shape[1]
        return cast(
            Tensor,
            torch.ops.pqrnn.integer_product(
                left, weights, self.get_buffer(f"offsets{number}"), columns, self.family.name
            ),
        )


@ANY_HERE
def test_a_module_with_kernels_has_the_integers_of_one_without(family: InstructionFamily, tmp_path: Path) -> None:
    flags, processor = processor_of(TARGETS[family.name])
    rows = (3, 8)
    imported = []
    for name, model in (("stock", _Products(None)), ("operators", _Products(family))):
        examples = {f"run_{number}": torch.zeros((number, 40), dtype=torch.int8) for number in rows}
        programs = {
            each: torch.export.export(model.eval(), (value,), strict=False).run_decompositions()
            for each, value in examples.items()
        }
        imported.append(import_programs(programs, tmp_path / f"{name}.mlirbc"))
    imported[1] = link_kernels(
        imported[1], tmp_path / "kernels.mlirbc", Kernels(family.lanes, family), processor.resolved
    )
    stock, kernels = (load_module(compile_module(path, path.with_suffix(".vmfb"), flags).path) for path in imported)
    for number in rows:
        value = np.random.default_rng(number).integers(-128, 128, (number, 40), dtype=np.int8)
        found, wanted = (run_function(module, f"run_{number}", [value]) for module in (kernels, stock))
        np.testing.assert_array_equal(found[0], wanted[0])
        np.testing.assert_array_equal(found[1], wanted[1])
        np.testing.assert_allclose(
            found[2], wanted[2], rtol=1e-6, atol=1e-6
        )  # the scale is a product of two numbers, rounded by whom it suits


@ANY_HERE
def test_weights_are_stored_once_for_all_entries_and_as_they_are_read(
    family: InstructionFamily, tmp_path: Path
) -> None:
    flags, processor = processor_of(TARGETS[family.name])
    linear = set_weights(IntegerLinear(256, 512, ActivationRange.SIGNED))
    kernel = KernelLinear(linear, family)
    programs = {
        f"run_{rows}": torch.export.export(kernel, (torch.zeros(rows, 256),), strict=False).run_decompositions()
        for rows in (2, 3, 4)
    }
    source = import_programs(programs, tmp_path / "operators.mlirbc")
    linked = link_kernels(source, tmp_path / "kernels.mlirbc", Kernels(family.lanes, family), processor.resolved)
    code = compile_module(linked, tmp_path / "kernels.vmfb", flags).path.read_bytes()
    packed = kernel.packed.weights.numpy().tobytes()
    assert code.count(packed) == 1
    assert code.count(packed[: len(packed) // 3]) == 1
    assert len(code) < len(packed) + 60_000


def test_only_known_operators_and_targets_are_linked(tmp_path: Path) -> None:
    class Other(nn.Module):
        def forward(self, value: Tensor) -> Tensor:
            return multiply(value, value)

    program = torch.export.export(Other(), (torch.zeros((4, 4), dtype=torch.int8),), strict=False).run_decompositions()
    source = import_programs({"run": program}, tmp_path / "module.mlirbc")
    with pytest.raises(ImportStageError, match="not understood"):
        link_kernels(source, tmp_path / "out.mlirbc", Kernels(16, FAMILIES[0]), "#hal.device.target<nothing>")
    with pytest.raises(ImportStageError, match="not understood"):
        read_target("")
    _, processor = processor_of("linux-x86_64-vnni")
    link_kernels(
        source, tmp_path / "out.mlirbc", Kernels(16, FAMILIES[0]), processor.resolved
    )  # a module without operators stays one
    text = tmp_path / "unknown.mlir"
    text.write_text("""module {
  func.func @run(%a: !torch.vtensor<[2],f32>) -> !torch.vtensor<[2],f32> {
    %0 = torch.operator "torch.pqrnn.other"(%a) : (!torch.vtensor<[2],f32>) -> !torch.vtensor<[2],f32>
    return %0 : !torch.vtensor<[2],f32>
  }
}""")
    with pytest.raises(ImportStageError, match="no kernel for this operator"):
        link_kernels(text, tmp_path / "out.mlirbc", Kernels(16, FAMILIES[0]), processor.resolved)


@pytest.fixture(scope="module")
def packages() -> dict[bool, CompileOutcome]:
    """The small parser in int8 for this machine, with kernels and without."""
    return {kernels: compile_small("int8", kernels) for kernels in (True, False)}


@pytest.fixture(scope="module")
def real_packages() -> dict[bool, CompileOutcome]:
    """The small parser in float32 for this machine, with kernels and without."""
    return {kernels: compile_small("float32", kernels) for kernels in (True, False)}


def test_a_parser_in_int8_is_five_launches_and_decides_as_without_kernels(packages: dict[bool, CompileOutcome]) -> None:
    _, processor = processor_of("host")
    kernels = choose_kernels(processor.triple, processor.features, True)
    counts = {which: outcome.statistics["host"].dispatches for which, outcome in packages.items()}
    assert counts[False] > 100 * len(STOCK_BUCKETS)
    assert counts[True] < counts[False] * len(BUCKETS) / len(STOCK_BUCKETS)
    if kernels is None or kernels.family is None:
        pytest.skip(f"this machine has no integer kernels: {counts[True]} launches")
    assert counts[True] == 5 * len(BUCKETS)
    _expect_alike(packages, 1e-3)


def test_launches_are_counted_and_recorded_once_with_kernels_too(packages: dict[bool, CompileOutcome]) -> None:
    module = packages[True].package / packages[True].manifest.variants[0].path
    entries = [bucket.entry for bucket in BUCKETS]
    counted = count_dispatches(module, entries)
    assert sum(counted.values()) == packages[True].statistics["host"].dispatches > 0
    listing = run_tool([native_tools() / "iree-dump-module", "--output=disassembly", module], 60.0).output
    for entry in entries:
        body = listing.split(f"vm.func @{entry}$async(")[1].split("vm.func @")[0]
        assert "vm.global.load.ref" in body and ": !hal.command_buffer" in body  # nothing is recorded by a call


def _expect_alike(packages: dict[bool, CompileOutcome], bound: float) -> None:
    """Parse with kernels and without."""
    with Parser.load(packages[True].package) as ours, Parser.load(packages[False].package) as stock:
        for text in TEXTS:
            one, other = ours.logits(text), stock.logits(text)
            assert np.array_equal(one.spans, other.spans)
            np.testing.assert_allclose(one.intent, other.intent, rtol=0, atol=bound)
            np.testing.assert_allclose(one.tags, other.tags, rtol=0, atol=bound)


def test_a_parser_in_float32_is_five_launches_and_decides_as_without_kernels(
    real_packages: dict[bool, CompileOutcome],
) -> None:
    _, processor = processor_of("host")
    kernels = choose_kernels(processor.triple, processor.features, False)
    counts = {which: outcome.statistics["host"].dispatches for which, outcome in real_packages.items()}
    if kernels is None or kernels.family is None:
        pytest.skip(f"this machine has no kernels of float32: {counts[True]} launches")
    assert counts[True] == 5 * len(BUCKETS) < counts[False] * len(BUCKETS) / len(STOCK_BUCKETS)
    weights = 4 * real_packages[True].manifest.model.parameters
    assert (
        weights < real_packages[True].statistics["host"].constant_bytes < 1.3 * weights + 120_000
    )  # once for all entries
    _expect_alike(real_packages, 1e-4)


def test_nothing_is_packed_when_a_package_is_loaded(packages: dict[bool, CompileOutcome]) -> None:
    """Weights take the room of int8 and no more.

    Packed at load they would be there twice, or be initialised by code.
    """
    ours, stock = (packages[which].statistics["host"].constant_bytes for which in (True, False))
    weights = packages[True].manifest.model.parameters
    assert ours < 1.3 * weights + 120_000  # blocks that are filled up, and the table of code points
    assert ours < stock + 0.3 * weights
