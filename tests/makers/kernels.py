"""Kernels compiled alone, and what they are given: numbers of all of int8, and their products in NumPy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from compile.compiler import compile_module, target_flags
from compile.kernels.families import Family
from compile.kernels.kernel import Kernel
from compile.kernels.linking import write_module
from compile.kernels.modules import KernelLayer
from compile.kernels.packing import offset_sums, pack_weights
from compile.kernels.product import product_kernel
from compile.machine import Processor, resolve_processor
from pqrnn.integer import IntegerLinear
from pqrnn.model import ModelConfig, QrnnLayer
from targets import registry

# By family a target that has it.
TARGETS = {"vnni512": "linux-x86_64-vnni", "vnni256": "linux-x86_64-avxvnni", "dotprod": "linux-aarch64-dotprod", "i8mm": "linux-aarch64-i8mm"}
# Rows, depth, columns: one of each, tails of everything, whole tiles, several tiles of rows, and the extremes of int8 in great depth.
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
WORDS = ((1, 8, 8, 2), (3, 5, 3, 1), (4, 16, 16, 2), (9, 20, 24, 3), (13, 7, 17, 2), (33, 12, 5, 2))  # words, width, state, taps


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
    """What a kernel is given, and what it has to give."""

    kernel: Kernel
    inputs: tuple[NDArray[np.generic], ...]
    wanted: tuple[NDArray[np.generic], ...]

    @property
    def function(self) -> str:
        return f"run_{self.kernel.name}"


def product_case(family: Family, shape: tuple[int, int, int]) -> Case:
    """A product of numbers from -128 to 127, of which many are the extremes."""
    rows, depth, columns = shape
    generator = np.random.default_rng(rows * 1_000_003 + depth * 1009 + columns)
    left, right = (_extreme(generator, size) for size in ((rows, depth), (depth, columns)))
    weights = torch.from_numpy(right)
    kernel = product_kernel(f"product_{rows}_{depth}_{columns}", family, rows, depth, columns)
    inputs = (left, pack_weights(weights, family).numpy(), offset_sums(weights, family).numpy())
    return Case(kernel, inputs, (left.astype(np.int32) @ right.astype(np.int32),))


def _extreme(generator: np.random.Generator, size: Sequence[int]) -> NDArray[np.int8]:
    plain = generator.integers(-128, 128, size)
    return np.where(generator.random(size) < 0.3, generator.choice([-128, 127], size), plain).astype(np.int8)


def make_layer(width: int, state: int, taps: int) -> QrnnLayer:
    """A folded layer in integers whose gates are neither open nor shut."""
    torch.manual_seed(width * 10_007 + state * 101 + taps)
    layer = QrnnLayer(width, ModelConfig(state=state, kernel=taps, norm="none", precision="int8"), 2).eval()
    with torch.no_grad():
        layer.bias.normal_(0.0, 0.5)
    layer.fold()
    layer.product = layer.product.frozen()  # type: ignore[assignment, operator]
    return layer


def set_weights(linear: IntegerLinear) -> IntegerLinear:
    """Give a layer random weights of all sizes."""
    with torch.no_grad():
        linear.weight.copy_(torch.randint(-127, 128, linear.weight.shape, dtype=torch.int8))
        linear.scale.uniform_(1e-3, 3e-3)
        linear.largest.fill_(1.0 if linear.kind != "positive" else 2.5)
        if linear.bias is not None:
            linear.bias.normal_()
        linear.update_offset()
    return linear


def layer_inputs(kernel: KernelLayer, words: int, width: int) -> Mapping[str, torch.Tensor]:
    """Rows of a text that ends before the last word, as the operator takes them."""
    mask = torch.ones(words)
    mask[words - words // 4 :] = 0.0
    torch.manual_seed(words)
    left = torch.randint(-127, 128, (words, width), dtype=torch.int8) * mask.to(torch.int8)[:, None]
    return {"left": left, "weights": kernel.weights, "offsets": kernel.offsets, "scale": kernel.scale, "bias": kernel.bias, "mask": mask}
