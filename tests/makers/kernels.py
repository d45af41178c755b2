"""Kernels compiled alone, and what they are given.

Numbers of all of int8, or of float32, and their products in NumPy or in float64.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from compile.kernels.families import InstructionFamily
from compile.kernels.head import head_kernel
from compile.kernels.head_sizes import PRODUCTS, HeadSizes
from compile.kernels.kernel import Kernel
from compile.kernels.layer import layer_kernel
from compile.kernels.linking import write_module
from compile.kernels.modules import KernelLayer, PackedLinear
from compile.kernels.packing import offset_sums, pack_table, pack_weights
from compile.kernels.product_kernels import product_kernel, rectified_kernel, scaled_kernel
from compile.kernels.projection import TextSizes, projection_kernel
from compile.lowering.iree_compile import compile_module, target_flags
from compile.lowering.processor import Processor, resolve_processor
from pqrnn.features.projection import Projection
from pqrnn.features.utf8 import pack_texts
from pqrnn.model.int8 import ActivationRange, IntegerLinear
from pqrnn.model.qrnn import QrnnLayer
from pqrnn.recipes.settings import ModelConfig, ProjectionConfig
from targets import registry

# By family a target that has it.
TARGETS = {
    "vnni512": "linux-x86_64-vnni",
    "vnni256": "linux-x86_64-avxvnni",
    "maddubs256": "linux-x86_64-v3",
    "maddubs128": "linux-x86_64-v2",
    "dotprod": "linux-aarch64-dotprod",
    "i8mm": "linux-aarch64-i8mm",
    "smlal": "linux-aarch64",
    "vmlal": "linux-armv7-vfp3",
    "relaxed128": "webassembly-relaxed",
    "dot128": "webassembly",
}
TARGETS_F32 = {
    "fma512": "linux-x86_64-v4",
    "fma256": "linux-x86_64-v3",
    "sse": "linux-x86_64-v2",
    "neon": "linux-aarch64",
    "simd128": "webassembly",
}
# Rows, depth, columns: one of each, tails of everything, whole tiles, several tiles of rows, and the extremes of int8
# in great depth.
SHAPES = (
    (1, 1, 1),
    (1, 64, 33),
    (2, 3, 5),
    (3, 16, 16),
    (4, 67, 45),
    (5, 8, 100),
    (7, 31, 17),
    (9, 20, 24),
    (16, 48, 32),
    (17, 33, 29),
    (64, 40, 18),
    (2, 2050, 7),
)
HEADS = (  # texts, words, width, intents, tags, peaks, rounds
    HeadSizes(1, 2, 16, 1, 1, True, 1),
    HeadSizes(3, 9, 64, 33, 18, True, 2),
    HeadSizes(2, 5, 32, 16, 32, False, 3),
    HeadSizes(1, 17, 48, 7, 149, True, 1),
)
# The shipped features for two texts; and sizes that vectors do not divide, one kind of features only, other n-grams.
TEXT_SIZES = (
    TextSizes(2, 96, 16, ProjectionConfig()),
    TextSizes(2, 128, 24, ProjectionConfig(word_features=32, ngram_features=32, version=1)),
    TextSizes(1, 36, 3, ProjectionConfig(word_features=48, ngram_features=0), float32=True, rest=True),
    TextSizes(3, 40, 2, ProjectionConfig(word_features=0, ngram_features=80, ngrams=(5, 2)), rest=True),
    TextSizes(1, 512, 64, ProjectionConfig(word_features=64, ngram_features=64, ngrams=(3,))),
    TextSizes(1, 64, 5, ProjectionConfig(word_features=0, ngram_features=16, version=1), float32=True, rest=True),
)
WORDS = (
    (1, 8, 8, 2),
    (3, 5, 3, 1),
    (4, 16, 16, 2),
    (9, 20, 24, 3),
    (13, 7, 17, 2),
    (33, 12, 5, 2),
)  # words, width, state, taps


@cache
def processor_of(name: str) -> tuple[tuple[str, ...], Processor]:
    """Flags of a target, and what the compiler makes of them."""
    known = registry()
    target = known.get(name)
    flags = target_flags(target, known.family(target))
    return flags, resolve_processor(target, flags)


def compile_kernels(kernels: Iterable[Kernel], target: str, folder: Path) -> Path:
    """Compile kernels into one module, functions `run_<name>`."""
    flags, processor = processor_of(target)
    source = folder / f"{target}.mlir"
    source.write_text(write_module(kernels, processor.resolved))
    return compile_module(source, folder / f"{target}.vmfb", flags).path


@dataclass(frozen=True)
class Case:
    """What a kernel is given, and what it has to give in the rows that it computes (all, unless it says which)."""

    kernel: Kernel
    inputs: tuple[NDArray[Any], ...]
    wanted: tuple[NDArray[Any], ...]
    computed: NDArray[np.bool_] | None = None

    @property
    def function(self) -> str:
        return f"run_{self.kernel.name}"

    def pairs(self, found: Sequence[NDArray[Any]]) -> list[tuple[NDArray[Any], NDArray[Any]]]:
        """What was found beside what is wanted."""
        kept = [
            slice(None) if self.computed is None or len(each) != len(self.computed) else self.computed
            for each in self.wanted
        ]
        return [(one[rows], other[rows]) for one, other, rows in zip(found, self.wanted, kept, strict=True)]


def product_case(family: InstructionFamily, shape: tuple[int, int, int]) -> Case:
    """A product of numbers from -128 to 127, or of weights of 4 bits, of which many are the extremes."""
    rows, depth, columns = shape
    generator = np.random.default_rng(rows * 1_000_003 + depth * 1009 + columns)
    left = _extreme(generator, (rows, depth))
    if family.bits == 8:
        right = np.maximum(_extreme(generator, (depth, columns)), np.int8(family.least))
    else:
        right = _extreme(generator, (depth, columns), -7, 7)
    weights = torch.from_numpy(right)
    kernel = product_kernel(f"product_{rows}_{depth}_{columns}", family, rows, depth, columns)
    inputs = (left, pack_weights(weights, family).numpy(), offset_sums(weights, family).numpy())
    return Case(kernel, inputs, (left.astype(np.int32) @ right.astype(np.int32) * family.factor,))


def product_f32_case(family: InstructionFamily, shape: tuple[int, int, int]) -> tuple[Case, NDArray[Any]]:
    """A product of float32 with a bias, in float64.

    Also returned is how far any order of float32 sums may be from it (Higham 2002, section 3.1).
    """
    rows, depth, columns = shape
    generator = np.random.default_rng(rows * 1_000_003 + depth * 1009 + columns)
    left, right = (generator.standard_normal(size, np.float32) for size in ((rows, depth), (depth, columns)))
    bias = np.zeros(-(-columns // family.lanes) * family.lanes, np.float32)
    bias[:columns] = generator.standard_normal(columns)
    wide = [each.astype(np.float64) for each in (left, right, bias[:columns])]
    kernel = scaled_kernel(f"product_f32_{rows}_{depth}_{columns}", family, rows, depth, columns)
    inputs = (left, pack_weights(torch.from_numpy(right), family).numpy(), bias)
    sizes = [abs(each) for each in wide]
    return Case(kernel, inputs, (wide[0] @ wide[1] + wide[2],)), (depth + 2) * 2.0**-24 * (
        sizes[0] @ sizes[1] + sizes[2]
    )


def _extreme(
    generator: np.random.Generator, size: Sequence[int], least: int = -128, most: int = 127
) -> NDArray[np.int8]:
    plain = generator.integers(least, most + 1, size)
    return np.where(generator.random(size) < 0.3, generator.choice([least, most], size), plain).astype(np.int8)


def to_four_bits(linear: IntegerLinear) -> IntegerLinear:
    """Give a layer weights of 4 bits, as large as its own."""
    with torch.no_grad():
        linear.weight.copy_(torch.round(linear.weight.float() * (7 / 127)))
        linear.scale.mul_(127 / 7)
        linear.bits = 4
        linear.derive()
    return linear


def make_layer(width: int, state: int, taps: int) -> QrnnLayer:
    """A folded layer in integers whose gates are neither open nor shut."""
    torch.manual_seed(width * 10_007 + state * 101 + taps)
    layer = QrnnLayer(width, ModelConfig(state=state, kernel=taps, norm="none", precision="int8"), 2).eval()
    with torch.no_grad():
        layer.bias.normal_(0.0, 0.5)
    layer.fold()
    layer.product = layer.product.convert()  # type: ignore[assignment, operator]
    return layer


def set_weights(linear: IntegerLinear) -> IntegerLinear:
    """Give a layer random weights of all sizes."""
    with torch.no_grad():
        linear.weight.copy_(torch.randint(-127, 128, linear.weight.shape, dtype=torch.int8))
        linear.scale.uniform_(1e-3, 3e-3)
        linear.amax.fill_(1.0 if linear.kind is not ActivationRange.POSITIVE else 2.5)
        if linear.bias is not None:
            linear.bias.normal_()
        linear.derive()
    return linear


def layer_case(family: InstructionFamily, texts: int, shape: tuple[int, int, int, int]) -> Case:
    """A layer over texts of different lengths; what is wanted is what its operator says."""
    words, width, state, taps = shape
    plain = make_layer(width, state, taps)
    if family.bits == 4:
        to_four_bits(cast(IntegerLinear, plain.product))
    layer = KernelLayer(plain, family)
    counts = _counts(texts, words)
    mask, left = _rows(counts, words, width)
    tensors = (left, layer.packed.weights, layer.packed.offsets, layer.scale, layer.bias, mask, counts)
    kernel = layer_kernel(f"layer_{texts}_{words}_{width}_{state}_{taps}", family, texts, words, width, state, taps)
    return _case(kernel, tensors, torch.ops.pqrnn.layer(*tensors, words, state, taps, family.name), counts, words)


def make_layer_f32(width: int, state: int, taps: int) -> QrnnLayer:
    """A layer in float32 whose gates are neither open nor shut."""
    torch.manual_seed(width * 10_007 + state * 101 + taps)
    layer = QrnnLayer(width, ModelConfig(state=state, kernel=taps, norm="none"), 2).eval()
    with torch.no_grad():
        layer.bias.normal_(0.0, 0.5)
    return layer


def layer_f32_case(family: InstructionFamily, texts: int, shape: tuple[int, int, int, int]) -> Case:
    """A layer in float32 over texts of different lengths; what is wanted is what `QrnnLayer` says in float64."""
    words, width, state, taps = shape
    plain = make_layer_f32(width, state, taps)
    layer = KernelLayer(plain, family)
    counts = _counts(texts, words)
    mask, _ = _rows(counts, words, width)
    left = torch.randn(texts * words, width) * mask[:, None]
    kernel = layer_kernel(f"layer_f32_{texts}_{words}_{width}_{state}_{taps}", family, texts, words, width, state, taps)
    with torch.no_grad():
        wanted = plain.double()(
            left.double().reshape(texts, words, width), mask.double().reshape(texts, words, 1), scan=False
        )
    return _case(kernel, (left, layer.packed.weights, layer.bias, mask, counts), [wanted.flatten(0, 1)], counts, words)


def rectified_f32_case(family: InstructionFamily, texts: int, shape: tuple[int, int, int]) -> Case:
    """A product of ternary numbers in float32, cut off at zero; what is wanted is in float64."""
    words, depth, columns = shape
    torch.manual_seed(words + depth + columns)
    linear = nn.Linear(depth, columns)
    packed = PackedLinear(linear, family)
    counts = _counts(texts, words)
    mask, _ = _rows(counts, words, depth)
    left = torch.randint(-1, 2, (texts * words, depth)).float()
    kernel = rectified_kernel(f"rectified_f32_{texts}_{words}_{depth}_{columns}", family, texts, words, depth, columns)
    with torch.no_grad():
        wanted = torch.relu(linear.double()(left.double())) * mask[:, None]
    return _case(kernel, (left, packed.weights, packed.bias, mask, counts), [wanted], counts, words)


def head_f32_case(family: InstructionFamily, sizes: HeadSizes) -> Case:
    """A head in float32, of which the first text has no word at all.

    What is wanted is what its operator says in float64.
    """
    torch.manual_seed(sizes.words)
    counts = _counts(sizes.texts, sizes.words)
    counts[0] = 0
    mask, _ = _rows(counts, sizes.words, sizes.width)
    states = (torch.rand(len(mask), sizes.width) * 2.0 - 1.0) * mask[:, None]
    packed = [
        PackedLinear(nn.Linear(*size, bias=name != "neighbours"), family)
        for name, size in sizes.products(family.lanes, True).items()
    ]
    tensors = (states, mask, counts, *(each.weights for each in packed), torch.cat([each.bias for each in packed]))
    numbers = (sizes.words, sizes.intents, sizes.tags, sizes.rounds)
    kernel = head_kernel(f"head_f32_{'_'.join(map(str, numbers))}_{sizes.texts}_{int(sizes.peaks)}", family, sizes)
    wide = [each.double() if each.is_floating_point() else each for each in tensors]
    return _case(kernel, tensors, torch.ops.pqrnn.head_f32(*wide, *numbers, family.name), counts, sizes.words)


def rectified_case(family: InstructionFamily, texts: int, shape: tuple[int, int, int]) -> Case:
    """A scaled product of ternary numbers, cut off at zero and at the largest activation."""
    words, depth, columns = shape
    torch.manual_seed(words + depth + columns)
    linear = set_weights(IntegerLinear(depth, columns, ActivationRange.INTEGERS))
    if family.bits == 4:
        to_four_bits(linear)
    packed = PackedLinear(linear, family)
    counts = _counts(texts, words)
    mask, _ = _rows(counts, words, depth)
    left = torch.randint(-1, 2, (texts * words, depth), dtype=torch.int8)
    tensors = (left, packed.weights, packed.offsets, packed.scale, packed.bias, mask, torch.tensor([100.0]), counts)
    kernel = rectified_kernel(f"rectified_{texts}_{words}_{depth}_{columns}", family, texts, words, depth, columns)
    return _case(kernel, tensors, torch.ops.pqrnn.rectified(*tensors, columns, family.name), counts, words)


def head_case(family: InstructionFamily, sizes: HeadSizes) -> Case:
    """A head over texts of different lengths, of which the first has no word at all.

    For weights of 4 bits the pooling's keep 8: layers may differ.
    """
    torch.manual_seed(sizes.words)
    counts = _counts(sizes.texts, sizes.words)
    counts[0] = 0
    mask, short = _rows(counts, sizes.words, sizes.width)
    products = sizes.products(family.lanes)
    kinds = {name: ActivationRange.SHARE if name == "neighbours" else ActivationRange.SIGNED for name in PRODUCTS}
    linears = {
        name: set_weights(IntegerLinear(*products[name], kind, bias=name != "neighbours"))
        for name, kind in kinds.items()
    }
    linears["neighbours"].weight[sizes.tags :] = 0  # rows that only fill up
    linears["neighbours"].derive()
    narrow = PRODUCTS[1:] if family.bits == 4 else ()
    for name in narrow:
        to_four_bits(linears[name])
    packed = [PackedLinear(linears[name], family) for name in PRODUCTS]
    rows = [torch.cat([each.get_buffer(part) for each in packed]) for part in ("offsets", "scale", "bias")]
    tensors = (short, short.float() / 127.0, mask, counts, *(each.weights for each in packed), *rows)
    numbers = (sizes.words, sizes.intents, sizes.tags, sizes.rounds)
    title = f"head_{'_'.join(map(str, numbers))}_{sizes.texts}_{int(sizes.peaks)}"
    kernel = head_kernel(title, family.in_bits(8), sizes, dict.fromkeys(narrow, 4))
    return _case(kernel, tensors, torch.ops.pqrnn.head(*tensors, *numbers, family.name), counts, sizes.words)


def _case(
    kernel: Kernel, tensors: Sequence[torch.Tensor], wanted: Sequence[torch.Tensor], counts: torch.Tensor, words: int
) -> Case:
    """A case of texts, of which as many rows are computed as they have words, and one where they have none."""
    computed = torch.arange(words) < counts.clamp(1, words)[:, None]
    return Case(
        kernel,
        tuple(value.numpy() for value in tensors),
        tuple(value.numpy() for value in wanted),
        computed.reshape(-1).numpy(),
    )


def _counts(texts: int, words: int) -> torch.Tensor:
    """Words of texts: all rows, more than there are rows, and fewer."""
    return torch.tensor([words, words + 3, words - words // 4, words // 2, 0], dtype=torch.int32)[
        (torch.arange(texts) + words) % 5
    ]


def _rows(counts: torch.Tensor, words: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mask and int8 of texts."""
    torch.manual_seed(words)
    mask = (torch.arange(words) < counts[:, None]).float().reshape(-1)
    return mask, torch.randint(-127, 128, (len(mask), width), dtype=torch.int8) * mask.to(torch.int8)[:, None]


def check_reals(
    found: NDArray[Any], wanted: NDArray[Any], levels: float, short: NDArray[Any], rounded: NDArray[Any]
) -> None:
    """Compare float32, and the int8 rounded from it.

    A number within a rounding of the middle between two int8 may fall on either side.
    """
    np.testing.assert_allclose(found, wanted, rtol=2e-6, atol=2e-6)
    scaled = wanted.astype(np.float64) * levels
    middle = np.abs(scaled - np.floor(scaled) - 0.5) < 3e-6 * levels
    np.testing.assert_array_equal(short[~middle], rounded[~middle])
    assert middle.mean() < 0.02


@cache
def _make_projection(config: ProjectionConfig) -> Projection:
    return Projection(config)


def projection_inputs(sizes: TextSizes) -> tuple[NDArray[Any], ...]:
    """What the projection's kernel reads beside texts."""
    projection = _make_projection(sizes.config)
    seeds = torch.cat([projection.word_seeds, projection.ngram_seeds])
    return tuple(part.numpy() for part in (*_tables(projection), seeds))


def _tables(projection: Projection) -> tuple[torch.Tensor, ...]:
    reader = projection.reader
    return (*pack_table(reader.stage1, reader.stage2), reader.folds.reshape(-1))


def make_projection_kernel(name: str, lanes: int, sizes: TextSizes) -> Kernel:
    """The kernel with the tables that ship."""
    projection = _make_projection(sizes.config)
    return projection_kernel(name, lanes, sizes, [len(part) for part in _tables(projection)])


@cache
def project(sizes: TextSizes, texts: tuple[bytes, ...]) -> tuple[NDArray[Any], ...]:
    """What the kernel has to say of texts; kernels for several machines are asked about the same texts."""
    found = _make_projection(sizes.config)(pack_texts(texts, sizes.size), sizes.words)
    mask = np.arange(sizes.words) < found.word_count.numpy()[:, None]
    rows = sizes.texts * sizes.words
    return (
        found.features.numpy().reshape(rows, -1),
        mask.reshape(-1).astype(np.float32),
        found.spans.numpy().reshape(rows, 2),
        found.word_count.numpy(),
    )
