"""Kernels as far as they need no compiler.

Which family a target gets, how weights lie, how products are cut up, and what the operators say in PyTorch.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from makers.kernels import (
    SHAPES,
    TARGETS,
    TARGETS_F32,
    layer_case,
    layer_f32_case,
    make_layer,
    make_layer_f32,
    set_weights,
)
from makers.small import CONFIG, LABELS, make_model
from msgspec.structs import replace

from compile.kernels.advice import advise_precision, describe_kernels
from compile.kernels.families import (
    FAMILIES,
    FAMILIES_F32,
    InstructionFamily,
    Kernels,
    choose_family,
    choose_kernels,
    find_family,
)
from compile.kernels.layer import layer_kernel
from compile.kernels.modules import (
    KernelLayer,
    KernelLinear,
    KernelParser,
    KernelProjection,
    counts_words,
    has_products,
    with_kernels,
)
from compile.kernels.packing import (
    BLOCK_BITS,
    ENTRY_BITS,
    RANGE_BITS,
    offset_sums,
    pack_table,
    pack_weights,
    unpack_weights,
)
from compile.kernels.product_kernels import product_kernel
from compile.kernels.tiling import choose_height, choose_shape, choose_tiling, runs
from pqrnn.features import projection as projection_module
from pqrnn.features.projection import Projection
from pqrnn.features.unicode_table import load_unicode_table
from pqrnn.features.utf8 import pack_texts
from pqrnn.model.int8 import ActivationRange, IntegerLinear, multiply
from pqrnn.model.parser import ParserModel
from pqrnn.recipes.settings import PROJECTION_VERSIONS
from targets import registry

FAMILY = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
REAL = pytest.mark.parametrize("family", FAMILIES_F32, ids=lambda family: family.name)
ALL = pytest.mark.parametrize("family", (*FAMILIES, *FAMILIES_F32), ids=lambda family: family.name)


def test_targets_get_the_family_of_their_features_and_no_other() -> None:
    known = registry()
    for name, wanted in TARGETS.items():
        target = known.get(wanted)
        found = choose_family(target.triple, target.features)
        assert found is not None and found.name == name
    riscv = known.get("linux-riscv64-v")
    assert choose_family(riscv.triple, riscv.features) is None
    for name in ("linux-armv7-neon", "linux-armv7-vfp3"):
        arm = known.get(name)
        family = choose_family(arm.triple, arm.features)
        assert family is not None and family.name == "vmlal", name
    for name, wanted in TARGETS_F32.items():
        target = known.get(wanted)
        found = choose_family(target.triple, target.features, float32=True)
        assert found is not None and found.name == name
    for name in ("linux-armv7-neon", "linux-riscv64-v"):
        target = known.get(name)
        assert choose_family(target.triple, target.features, float32=True) is None, name


def test_every_processor_gets_vectors_as_wide_as_it_has() -> None:
    known = registry()
    wanted = {
        "linux-x86_64-v2": 4,
        "linux-x86_64-v3": 8,
        "linux-x86_64-v4": 16,
        "linux-x86_64-vnni": 16,
        "linux-aarch64": 4,
        "linux-aarch64-i8mm": 4,
        "webassembly": 4,
        "webassembly-relaxed": 4,
    }
    for name, lanes in wanted.items():
        target = known.get(name)
        assert choose_kernels(target.triple, target.features, False) == Kernels(
            lanes, choose_family(target.triple, target.features, float32=True)
        )
        assert choose_kernels(target.triple, target.features, True) == Kernels(
            lanes, choose_family(target.triple, target.features)
        )
    arm, riscv = known.get("linux-armv7-neon"), known.get("linux-riscv64-v")
    assert choose_kernels(arm.triple, arm.features, True) == Kernels(4, find_family("vmlal"))
    assert choose_kernels(arm.triple, arm.features, False) is None  # the compiler's own code for float32
    assert choose_kernels(riscv.triple, riscv.features, True) is None
    assert choose_kernels("wasm32-unknown-unknown", [], True) is None
    assert choose_kernels("any", [], True) is None
    assert Kernels(8, None).name == "vectors256"


def test_a_target_says_what_multiplies_there_and_which_precision_to_choose() -> None:
    known = registry()
    expected = {
        "raspberry-pi-4": ("own kernels (smlal): 5 launches", "own kernels (neon)", "1.3 times as many"),
        "raspberry-pi-5": ("own kernels (dotprod)", "own kernels (neon)", "4 times as many"),
        "linux-x86_64-v3": ("own kernels (maddubs256)", "own kernels (fma256)", "1 times as many"),
        "linux-x86_64-v2": ("own kernels (maddubs128)", "without a fused multiply-add", "2 times as many"),
        "beaglebone-black": ("own kernels (vmlal): 5 launches", "the compiler's own code, operation", "a quarter"),
        "webassembly": ("own kernels (dot128)", "without a fused multiply-add", "2 times as many"),
        "webassembly-relaxed": ("own kernels (relaxed128)", "without a fused multiply-add", "4 times as many"),
        "linux-riscv64-v": ("the compiler's own code, operation", "the compiler's own code, operation", "a quarter"),
        "vulkan": ("four weights an int32", "the compiler's own code", "half of those bytes again"),
        "vmvx": ("a byte a weight", "the compiler's own code", "a quarter"),
        "host": ("if this machine has", "if this machine has", "a quarter"),
    }
    for name, (int8, float32, choice) in expected.items():
        target = known.get(name)
        assert int8 in describe_kernels(target, True), name
        assert float32 in describe_kernels(target, False), name
        assert choice in advise_precision(target), name


def test_features_of_another_architecture_are_none() -> None:
    assert choose_family("x86_64-unknown-linux-gnu", ["dotprod", "i8mm"]) is None
    plain = choose_family("aarch64-unknown-linux-gnu", [])
    assert choose_family("aarch64-unknown-linux-gnu", ["avx512f", "avx512vnni", "avx2", "avxvnni"]) == plain
    assert plain is not None and plain.name == "smlal"
    assert choose_family("armv7a-unknown-linux-gnueabihf", ["dotprod", "i8mm"]) is None
    assert choose_family("any", []) is None
    assert choose_family("any", [], float32=True) is None
    assert choose_family("armv7a-unknown-linux-gnueabihf", ["neon"], float32=True) is None
    assert choose_family("x86_64-unknown-linux-gnu", ["avx2"], float32=True) is None  # without FMA


@ALL
@given(depth=st.integers(1, 40), columns=st.integers(1, 40), seed=st.integers(0, 2**31))
def test_packed_weights_hold_every_weight_once_and_zeros(
    family: InstructionFamily, depth: int, columns: int, seed: int
) -> None:
    weights = torch.randint(
        family.least, 128, (depth, columns), dtype=torch.int8, generator=torch.Generator().manual_seed(seed)
    )
    weights = weights.float() if family.float32 else weights
    packed = pack_weights(weights, family)
    assert torch.equal(unpack_weights(packed, depth, columns, family), weights)
    assert packed.shape == (-(-columns // family.lanes), -(-depth // family.depth), family.lanes * family.depth)
    everything = unpack_weights(packed, packed.shape[1] * family.depth, packed.shape[0] * family.lanes, family)
    assert torch.equal(everything.long().abs().sum(), weights.long().abs().sum())  # the rest are zeros


def test_weights_that_a_family_cannot_multiply_are_refused() -> None:
    weights = torch.full((3, 3), -128, dtype=torch.int8)
    for family in FAMILIES:
        if family.least > -128:
            with pytest.raises(ValueError, match=f"a weight is -128, .* {family.name}"):
                pack_weights(weights, family)
        else:
            assert int(pack_weights(weights, family).min()) == -128


@ALL
def test_a_register_of_packed_weights_holds_columns_of_consecutive_rows(family: InstructionFamily) -> None:
    row, column = torch.meshgrid(torch.arange(2 * 16), torch.arange(2 * family.lanes), indexing="ij")
    for part, number in ((row, 0), (column, 1)):
        second = pack_weights(part.to(torch.int8), family)[1, 1]  # second block, second step
        register = second.reshape(-1, family.pair, family.depth).long() - family.raised & 255
        rows = torch.arange(family.depth, 2 * family.depth).expand_as(register)
        columns = torch.arange(family.lanes, 2 * family.lanes).reshape(-1, family.pair, 1).expand_as(register)
        assert torch.equal(register, (rows, columns)[number])


@ALL
@given(rows=st.integers(1, 130), blocks=st.integers(1, 200))
def test_tiles_cover_everything_and_fit_into_the_registers(family: InstructionFamily, rows: int, blocks: int) -> None:
    tiling = choose_tiling(family, rows, blocks)
    assert sum(tiling.rows) == rows
    assert (tiling.groups - 1) * tiling.blocks < blocks <= tiling.groups * tiling.blocks
    shape = choose_shape(family, rows, blocks)
    assert 1 <= shape.height <= rows and 1 <= shape.blocks <= blocks
    for height, width in [*((height, tiling.blocks) for height in tiling.rows), (shape.height, shape.blocks)]:
        if family.name in (
            "smlal",
            "vmlal",
        ):  # a block after the other: its sums, columns, rows, and products in 16 bits
            assert 4 * height + 4 + height + 2 <= family.registers
            continue
        sums = (height + height % 2 if family.name == "i8mm" else height) * width
        constant = 0 if family.float32 else 1
        assert (
            sums + width * family.lanes // family.pair + (height if family.keeps else 1) + constant <= family.registers
        )


def test_rows_are_cut_into_tiles_that_follow_each_other() -> None:
    assert runs((4, 4, 3, 3, 3)) == [(4, 0, 8), (3, 8, 17)]
    assert [choose_height(FAMILIES[0], rows, 3) for rows in (1, 5, 13, 64)] == [1, 5, 9, 9]
    assert {family.name: choose_height(family, 64, 3) for family in FAMILIES_F32} == {
        "fma512": 9,
        "fma256": 4,
        "sse": 4,
        "neon": 7,
        "simd128": 3,
    }
    with pytest.raises(ValueError, match="40 blocks"):
        choose_height(FAMILIES[0], 4, 40)


@FAMILY
def test_offsets_take_off_what_the_instruction_adds(family: InstructionFamily) -> None:
    weights = torch.tensor([[127, family.least], [127, family.least], [3, 5]], dtype=torch.int8)
    left = torch.tensor([[-128, 127, 1]], dtype=torch.int8)
    added = left.long() + (128 if family.shifted else 0)
    assert torch.equal((added @ weights.long() + offset_sums(weights, family)[:2]).int(), multiply(left, weights))
    assert torch.all(offset_sums(weights, family)[2:] == 0)


@FAMILY
def test_operators_equal_the_products_that_they_replace(family: InstructionFamily) -> None:
    torch.manual_seed(1)
    for rows, depth, columns in SHAPES:
        left, weights = (
            torch.randint(-128, 128, (rows, depth), dtype=torch.int8),
            torch.randint(family.least, 128, (depth, columns), dtype=torch.int8),
        )
        found = torch.ops.pqrnn.integer_product(
            left, pack_weights(weights, family), offset_sums(weights, family), columns, family.name
        )
        assert torch.equal(found, multiply(left, weights))


@FAMILY
@pytest.mark.parametrize("kind", list(ActivationRange))
@pytest.mark.parametrize("bias", [True, False])
def test_linear_layers_keep_every_bit(family: InstructionFamily, kind: ActivationRange, bias: bool) -> None:
    torch.manual_seed(2)
    linear = set_weights(IntegerLinear(20, 33, kind, bias=bias))
    value = torch.randint(-1, 2, (1, 5, 20)).float() if kind == ActivationRange.INTEGERS else torch.rand(1, 5, 20)
    assert torch.equal(KernelLinear(linear, family)(value), linear(value))


@FAMILY
@pytest.mark.parametrize("taps", [1, 2, 3])
def test_whole_layers_differ_by_roundings_only(family: InstructionFamily, taps: int) -> None:
    layer = make_layer(12, 20, taps)
    case = layer_case(family, 2, (9, 12, 20, taps))
    value, mask = (
        torch.from_numpy(case.inputs[0]).reshape(2, 9, 12).float() / 127.0,
        torch.from_numpy(case.inputs[-2]).reshape(2, 9, 1),
    )
    with torch.no_grad():
        wanted, found = layer(value, mask, scan=False), KernelLayer(layer, family)(value, mask, scan=False)
    assert wanted.abs().max() > 0.2
    assert (wanted - found).abs().max() < 1e-6
    short, real = case.wanted
    assert torch.equal(torch.from_numpy(real).reshape(2, 9, -1), found)
    assert abs(short / 127.0 - real).max() <= 0.5 / 127.0 + 1e-6


@REAL
def test_real_products_are_those_of_pytorch(family: InstructionFamily) -> None:
    torch.manual_seed(4)
    for bias in (True, False):
        linear = torch.nn.Linear(20, 33, bias)
        value = torch.randn(3, 5, 20)
        with torch.no_grad():
            assert (KernelLinear(linear, family)(value) - linear(value)).abs().max() < 2e-6


@REAL
@pytest.mark.parametrize("taps", [1, 2, 3])
def test_whole_real_layers_differ_by_roundings_only(family: InstructionFamily, taps: int) -> None:
    layer = make_layer_f32(12, 20, taps)
    case = layer_f32_case(family, 2, (9, 12, 20, taps))
    value, mask = torch.from_numpy(case.inputs[0]).reshape(2, 9, 12), torch.from_numpy(case.inputs[-2]).reshape(2, 9, 1)
    with torch.no_grad():
        found = KernelLayer(layer, family)(value, mask, scan=False).reshape(18, -1)
    assert abs(case.wanted[0]).max() > 0.2
    assert abs(found.numpy() - case.wanted[0]).max() < 1e-6


def _parser(precision: str = "int8", **changes: object) -> ParserModel:
    torch.manual_seed(3)
    model = ParserModel(
        replace(CONFIG, norm="none", precision=precision, **changes), len(LABELS.intents), len(LABELS.tags)
    ).eval()
    with torch.no_grad():
        for value in model.parameters():
            value.add_(torch.randn_like(value) * 0.1)
    return model.folded()


@ALL
@pytest.mark.parametrize(
    ("changes", "whole"),
    [
        ({}, True),
        ({"layers": 1, "kernel": 3, "refinements": 1}, True),
        ({"context": 16}, True),
        ({"pool_peaks": False}, True),
        ({"state": 48}, True),
        ({"refinements": 0}, False),
        ({"state": 18}, False),
    ],
)
def test_a_parser_with_kernels_answers_as_before(
    family: InstructionFamily, changes: dict[str, object], whole: bool
) -> None:
    folded = _parser("float32" if family.float32 else "int8", **changes)
    changed = with_kernels(folded, Kernels(family.lanes, family))
    assert isinstance(changed, KernelParser) == (whole or (changes == {"state": 18} and family.lanes == 4))
    if not whole:
        assert any(isinstance(module, KernelLayer) for module in changed.modules())
    texts = [b"wake me at seven", b"", b"a b c d e f g h"]
    text = pack_texts(texts, 32)
    with torch.no_grad():
        for one, other in zip(folded(text, 4), changed(text, 4), strict=True):
            assert (
                (one - other).abs().max() < 2e-5
            )  # the order of sums in softmax and recurrence; an int8 that fell the other way would make more


@pytest.mark.parametrize("version", PROJECTION_VERSIONS)
def test_a_packed_table_says_the_same_of_every_code_point(version: int) -> None:
    reader = Projection(msgspec.structs.replace(CONFIG.projection, version=version)).reader
    table = pack_table(reader.stage1, reader.stage2)
    assert [part.dtype for part in table] == [torch.int8, torch.int16, torch.int16, torch.int32]
    assert sum(part.nbytes for part in table) < (reader.stage1.nbytes + reader.stage2.nbytes) / 3.3
    pages, ranges, blocks = (part.numpy().view(kind).astype(int) for part, kind in zip(table, "BHH", strict=False))
    code = np.arange(0x110000)
    number = pages[code >> RANGE_BITS + BLOCK_BITS + ENTRY_BITS]
    number = ranges[(number << RANGE_BITS) + (code >> BLOCK_BITS + ENTRY_BITS) % (1 << RANGE_BITS)]
    number = blocks[(number << BLOCK_BITS) + (code >> ENTRY_BITS) % (1 << BLOCK_BITS)]
    found = table.entries.numpy()[(number << ENTRY_BITS) + code % (1 << ENTRY_BITS)]
    assert np.array_equal(found, load_unicode_table(version).entries())
    # ASCII is found in the first lines of each part.
    assert blocks[: 128 >> ENTRY_BITS].max() < 128 >> ENTRY_BITS
    assert ranges[: 128 >> ENTRY_BITS + BLOCK_BITS].max() < 128 >> ENTRY_BITS + BLOCK_BITS
    with pytest.raises(ValueError, match="40001 different rows"):
        entries = torch.arange(8704 * 128) // 4
        pack_table(torch.arange(8704, dtype=torch.int32)[:, None], entries.clamp(max=40000)[:, None])


def test_the_page_about_features_says_what_the_tables_hold() -> None:
    page = (Path(projection_module.__file__).parent / "README.md").read_text(encoding="utf-8")
    sizes = []
    for version in PROJECTION_VERSIONS:
        reader = Projection(msgspec.structs.replace(CONFIG.projection, version=version)).reader
        parts = (*pack_table(reader.stage1, reader.stage2), reader.folds)
        sizes.append(sum(part.nbytes for part in parts))
    assert f"takes {sizes[1] / 1000:.0f} kB (that of version 1: {sizes[0] / 1000:.0f} kB)" in page
    assert f"{len(np.unique(parts[3])):,} distinct entries and {len(reader.folds)} folds" in page


def test_a_parser_without_a_family_gets_the_projection() -> None:
    for model in (_parser(), make_model(2).folded()):
        changed = with_kernels(model, Kernels(8, None))
        assert isinstance(changed.projection, KernelProjection)
        assert has_products(changed) == has_products(model)
        text = pack_texts([b"wake me at seven", b""], 32)
        with torch.no_grad():
            for one, other in zip(model(text, 4), changed(text, 4), strict=True):
                assert torch.equal(one, other)


@ALL
def test_one_entry_is_enough_where_kernels_compute_the_words_that_there_are(family: InstructionFamily) -> None:
    kernels, precision = Kernels(family.lanes, family), "float32" if family.float32 else "int8"
    assert counts_words(_parser(precision), kernels)
    for changes in ({"context": 16}, {"refinements": 0}):
        assert not counts_words(_parser(precision, **changes), kernels)
    assert not counts_words(_parser(precision), None)
    assert not counts_words(_parser(precision), Kernels(family.lanes, None))
    assert not counts_words(_parser("int8" if family.float32 else "float32"), kernels)


def test_products_are_of_integers_or_not() -> None:
    assert has_products(_parser())
    assert not has_products(ParserModel(CONFIG, 3, 4).folded())


@REAL
def test_kernels_of_real_numbers_use_no_integers(family: InstructionFamily) -> None:
    for kernel in (product_kernel("p", family, 5, 64, 48), layer_kernel("l", family, 1, 8, 32, 16, 2)):
        assert "vector.fma" in kernel.body and "call_intrinsic" not in kernel.body
        assert {buffer.element for buffer in (*kernel.reads, *kernel.writes) if buffer.name != "%counts"} == {"f32"}


def test_families_write_their_own_instruction() -> None:
    wanted = {"vnni512": "vpdpbusd.512", "vnni256": "vpdpbusd.256", "dotprod": "neon.sdot", "i8mm": "neon.smmla"}
    for name, instruction in wanted.items():
        for kernel in (
            product_kernel("p", find_family(name), 5, 64, 48),
            layer_kernel("l", find_family(name), 1, 8, 32, 16, 2),
        ):
            assert set(re.findall(r'llvm.call_intrinsic "llvm\.([\w.]+)"', kernel.body)) == {
                next(
                    each for each in re.findall(r'call_intrinsic "llvm\.([\w.]+)"', kernel.body) if instruction in each
                )
            }
    with pytest.raises(KeyError):
        find_family("mmx")
