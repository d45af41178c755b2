"""Weights of 4 bits in kernels, as far as they need no compiler: how they lie, and what the operators say of them."""

from __future__ import annotations

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from makers.int8 import make_four_bits, make_int8
from makers.kernels import SHAPES, make_layer, set_weights, to_four_bits

from compile.kernels.advice import describe_kernels
from compile.kernels.families import FAMILIES, FAMILIES_F32, InstructionFamily, Kernels
from compile.kernels.head_sizes import PRODUCTS
from compile.kernels.layer import layer_kernel
from compile.kernels.modules import KernelLayer, KernelLinear, KernelParser, has_few_bits, with_kernels
from compile.kernels.packing import family_of, offset_sums, pack_weights, unpack_weights
from compile.kernels.product_kernels import product_kernel
from pqrnn.features.utf8 import pack_texts
from pqrnn.model.int8 import ActivationRange, IntegerLinear, multiply
from pqrnn.model.parser import ParserModel
from pqrnn.model.qrnn import QrnnLayer
from targets import registry

FAMILY = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)


@FAMILY
@given(depth=st.integers(1, 70), columns=st.integers(1, 40), seed=st.integers(0, 2**31))
def test_two_weights_lie_in_a_byte_and_none_is_lost(
    family: InstructionFamily, depth: int, columns: int, seed: int
) -> None:
    form = family.in_bits(4)
    weights = torch.randint(-7, 8, (depth, columns), dtype=torch.int8, generator=torch.Generator().manual_seed(seed))
    packed = pack_weights(weights, form)
    assert packed.dtype is torch.uint8 and family_of(packed, family.name) == form
    assert packed.shape[1:] == (-(-depth // (2 * family.depth)), family.lanes * family.depth)
    assert torch.equal(unpack_weights(packed, depth, columns, form), weights * form.factor)
    steps = pack_weights(weights, family).shape[1]
    assert packed.numel() == pack_weights(weights, family).numel() // steps * -(-steps // 2)
    everything = unpack_weights(packed, 2 * packed.shape[1] * form.depth, packed.shape[0] * form.lanes, form)
    assert torch.equal(everything.long().abs().sum(), weights.long().abs().sum() * form.factor)  # the rest are zeros
    if form.raised:
        sides = torch.stack([packed & 15, packed >> 4])
        assert int(sides.min()) >= 1 and int(sides.max()) <= 15


@FAMILY
def test_what_has_more_than_4_bits_is_refused(family: InstructionFamily) -> None:
    for wrong in (-8, 8, -128, 127):
        weights = torch.tensor([[7, -7, wrong]], dtype=torch.int8)
        with pytest.raises(ValueError, match=rf"a weight is {wrong}, expected -7 to 7: weights have 4 bits"):
            pack_weights(weights, family.in_bits(4))


def test_families_have_a_form_for_each_number_of_bits() -> None:
    for family in FAMILIES:
        form = family.in_bits(4)
        assert (form.bits, form.in_bits(8), form.name) == (4, family, family.name)
        assert form.factor == (1 if family.narrow or family.relaxed else 16)
        largest = 2 * 128 * (7 + form.raised)  # of two products
        assert not family.narrow or form.chunk * largest <= 2**15 - 1
    for family in FAMILIES_F32:
        assert family.in_bits(4) is family


@FAMILY
def test_operators_equal_the_products_that_they_replace(family: InstructionFamily) -> None:
    torch.manual_seed(1)
    form = family.in_bits(4)
    for rows, depth, columns in SHAPES:
        left = torch.randint(-128, 128, (rows, depth), dtype=torch.int8)
        weights = torch.randint(-7, 8, (depth, columns), dtype=torch.int8)
        found = torch.ops.pqrnn.integer_product(
            left, pack_weights(weights, form), offset_sums(weights, form), columns, family.name
        )
        assert torch.equal(found, multiply(left, weights) * form.factor)


@FAMILY
@pytest.mark.parametrize("kind", list(ActivationRange))
def test_linear_layers_keep_every_bit(family: InstructionFamily, kind: ActivationRange) -> None:
    torch.manual_seed(2)
    linear = to_four_bits(set_weights(IntegerLinear(21, 33, kind)))
    value = torch.randint(-1, 2, (1, 5, 21)).float() if kind == ActivationRange.INTEGERS else torch.rand(1, 5, 21)
    kernel = KernelLinear(linear, family)
    assert torch.equal(kernel(value), linear(value))
    assert kernel.packed.weights.dtype is torch.uint8


@FAMILY
def test_layers_are_those_of_weights_of_8_bits_with_the_same_values(family: InstructionFamily) -> None:
    layers: list[QrnnLayer] = []
    for bits in (4, 8):
        layer = make_layer(12, 20, 2)
        assert isinstance(layer.product, IntegerLinear)
        to_four_bits(layer.product).bits = bits
        layers.append(layer)
    value, mask = torch.rand(2, 9, 12) * 2.0 - 1.0, torch.ones(2, 9, 1)
    four, eight = (KernelLayer(layer, family) for layer in layers)
    assert torch.equal(four(value, mask, scan=False), eight(value, mask, scan=False))
    assert four.packed.weights.numel() < eight.packed.weights.numel() or eight.packed.weights.shape[1] == 1


@pytest.fixture(scope="module")
def folded() -> ParserModel:
    return make_four_bits(3).folded()


@FAMILY
def test_a_parser_answers_as_with_the_same_weights_in_8_bits(family: InstructionFamily, folded: ParserModel) -> None:
    text = pack_texts([b"wake me at seven", b"", "ปลุกฉันตอนเจ็ดโมง".encode()], 64)
    four = with_kernels(folded, Kernels(family.lanes, family))
    assert isinstance(four, KernelParser)
    kinds = {name: four.get_buffer(f"{name}_weights").dtype for name in PRODUCTS}
    assert kinds == {name: torch.int8 if name == "pool" else torch.uint8 for name in PRODUCTS}
    linears = [module for module in folded.modules() if isinstance(module, IntegerLinear)]
    bits = [linear.bits for linear in linears]
    try:
        for linear in linears:
            linear.bits = 8
        eight = with_kernels(folded, Kernels(family.lanes, family))
    finally:
        for linear, number in zip(linears, bits, strict=True):
            linear.bits = number
    with torch.no_grad():
        for one, other, plain in zip(four(text, 8), eight(text, 8), folded(text, 8), strict=True):
            assert torch.equal(one, other)
            assert (one - plain).abs().max() < 2e-5


def test_a_target_says_what_weights_of_4_bits_are_there() -> None:
    expected = {
        "raspberry-pi-4": "own kernels (smlal): 5 launches a text, 7.76 products an instruction, two weights a byte",
        "linux-x86_64-v3": "own kernels (maddubs256): 5 launches a text, 14.2 products an instruction, two weights",
        "linux-x86_64-vnni": "64 products an instruction, two weights a byte",
        "linux-riscv64-v": "some 170 launches a text, a byte a weight",
        "vulkan": "eight weights an int32",
    }
    for name, wanted in expected.items():
        assert wanted in describe_kernels(registry().get(name), True, 4), name
        assert "two weights" not in describe_kernels(registry().get(name), True)


def test_kernels_of_4_bits_use_the_instructions_that_they_should() -> None:
    wanted = {
        "vnni512": {"x86.avx512.vpdpbusd.512"},
        "vnni256": {"x86.avx512.vpdpbusd.256"},
        "maddubs256": {"x86.avx2.pmadd.ub.sw", "x86.avx2.pmadd.wd"},
        "maddubs128": {"x86.ssse3.pmadd.ub.sw.128", "x86.sse2.pmadd.wd"},
        "i8mm": {"aarch64.neon.smmla.v4i32.v16i8"},
        "dotprod": {"aarch64.neon.sdot.v4i32.v16i8"},
        "smlal": {"aarch64.neon.saddlp.v4i32.v8i16", "aarch64.neon.addp.v4i32"},
        "vmlal": {"arm.neon.vpaddls.v4i32.v8i16"},
        "relaxed128": {"wasm.relaxed.dot.i8x16.i7x16.add.signed"},
        "dot128": {"wasm.dot"},
    }
    for family in FAMILIES:
        form = family.in_bits(4)
        for kernel in (product_kernel("p", form, 5, 68, 48), layer_kernel("l", form, 1, 8, 36, 16, 2)):
            found = set(re.findall(r'llvm.call_intrinsic "llvm\.([\w.]+)"', kernel.body))
            assert found == wanted[family.name]
            weights = next(buffer for buffer in kernel.reads if buffer.name == "%weights")
            assert weights.element == "i8"
            assert weights.shape[1] == -(-(68 if kernel.name == "p" else 36) // form.run)


def test_what_most_weights_have_is_known(folded: ParserModel) -> None:
    assert has_few_bits(folded) and not has_few_bits(make_int8(3).folded())


def test_a_parser_of_8_bits_keeps_its_weights_as_they_were() -> None:
    model = make_int8(3).folded()
    for family in FAMILIES:
        parser = with_kernels(model, Kernels(family.lanes, family))
        assert isinstance(parser, KernelParser)
        assert not [name for name, value in parser.named_buffers() if value.dtype is torch.uint8]


def test_without_products_of_ours_weights_stay_a_byte_each(folded: ParserModel) -> None:
    changed = with_kernels(folded, Kernels(8, None))
    found = [module.weight.dtype for module in changed.modules() if isinstance(module, IntegerLinear)]
    assert len(found) > 5 and set(found) == {torch.int8}
    text = pack_texts([b"wake me at seven"], 32)
    with torch.no_grad():
        for one, other in zip(changed(text, 4), folded(text, 4), strict=True):
            assert torch.equal(one, other)
