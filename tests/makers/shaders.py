"""Shaders compiled alone, and what they are given: whole numbers of all of int8, and their products in NumPy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from compile.emulation.runner import Runner
from compile.kernels.linking import read_target
from compile.kernels.shaders import operators  # noqa: F401  they define the operators
from compile.kernels.shaders.matmul import matmul_shader
from compile.kernels.shaders.packing import pack_words
from compile.kernels.shaders.product import ProductSizes, product_shader
from compile.kernels.shaders.recurrence import recurrence_shader
from compile.kernels.shaders.shader import Shader, write_shader
from compile.lowering.iree_compile import compile_module
from compile.support.process import run_tool
from makers.kernels import processor_of

# One of each; tails of rows, depths and columns; one number a thread; more depth than float32 sums exactly.
PRODUCTS = (
    ProductSizes(3, 9, 5, 8),
    ProductSizes(9, 64, 48, 8),
    ProductSizes(11, 149, 298, 8),
    ProductSizes(2, 2050, 20, 8),
    ProductSizes(2, 1408, 16, 4),
    ProductSizes(5, 67, 45, 4),
)
RECURRENCES = ((2, 7, 21, 3), (1, 12, 80, 2))  # texts, words, state, taps


@dataclass(frozen=True)
class ShaderCase:
    """What a shader is given, and what it has to give."""

    shader: Shader
    inputs: tuple[NDArray[Any], ...]
    wanted: NDArray[Any]


def product_case(sizes: ProductSizes, *, scaled: bool) -> ShaderCase:
    """A product of numbers of which many are the extremes."""
    generator = np.random.default_rng(sizes.rows * 1_000_003 + sizes.depth * 1009 + sizes.columns)
    most = 127 if sizes.bits == 8 else 7

    def draw(size: tuple[int, int], least: int, largest: int) -> NDArray[np.int64]:
        plain = generator.integers(least, largest + 1, size)
        return np.where(generator.random(size) < 0.3, generator.choice([least, largest], size), plain)

    left, weights = draw((sizes.rows, sizes.depth), -128, 127), draw((sizes.depth, sizes.columns), -most, most)
    packed = pack_words(torch.from_numpy(weights.astype(np.int8)), sizes.bits).numpy()
    offsets = generator.integers(-9999, 9999, packed.shape[1]).astype(np.int32)
    wanted = left @ weights + offsets[: sizes.columns]
    name = f"product_{sizes.rows}_{sizes.depth}_{sizes.columns}_{sizes.bits}{'_scaled' if scaled else ''}"
    shader, inputs = product_shader(name, sizes, scaled=scaled), (left.astype(np.float32), packed, offsets)
    if not scaled:
        return ShaderCase(shader, inputs, wanted)
    affine = np.stack([generator.uniform(1e-3, 1e-2, len(offsets)), generator.normal(size=len(offsets))])
    short = affine.astype(np.float32)
    return ShaderCase(
        shader, (*inputs, short), wanted * short[0, : sizes.columns].astype(np.float64) + short[1, : sizes.columns]
    )


def matmul_case(rows: int, depth: int, columns: int) -> ShaderCase:
    """A product of ones and zeros with small whole numbers."""
    generator = np.random.default_rng(rows)
    left, right = generator.integers(0, 2, (rows, depth)), generator.integers(-3, 4, (depth, columns))
    shader = matmul_shader(f"matmul_{rows}_{depth}_{columns}", rows, depth, columns)
    return ShaderCase(shader, (left.astype(np.float32), right.astype(np.float32)), left @ right)


def recurrence_case(sizes: Sequence[int]) -> ShaderCase:
    """A recurrence, as its operator in PyTorch computes it, which `test_shaders` holds to the equations."""
    texts, words, state, taps = sizes
    generator = np.random.default_rng(words)
    sums = generator.integers(-3000, 3000, (texts * words, 2 * taps * 3 * state)).astype(np.int32)
    affine = (generator.standard_normal((2, 6 * state)) * [[1e-3], [1.0]]).astype(np.float32)
    mask = (np.arange(words) < np.maximum(1, words - 2 * np.arange(texts)[:, None])).astype(np.float32).reshape(-1)
    wanted = torch.ops.pqrnn.shader_recurrence(
        torch.from_numpy(sums), torch.from_numpy(affine), torch.from_numpy(mask), words, state, taps
    )
    shader = recurrence_shader(f"recurrence_{'_'.join(map(str, sizes))}", texts, words, state, taps)
    return ShaderCase(shader, (sums, affine, mask), wanted.numpy())


def compile_shaders(shaders: Iterable[Shader], target: str, folder: Path) -> Path:
    """Compile shaders into one module, functions `run_<name>`."""
    flags, processor = processor_of(target)
    device, code = read_target(processor.resolved)
    parts = []
    for shader in shaders:
        arguments = ", ".join(f"{buffer.name}: {buffer.tensor}" for buffer in shader.reads)
        names, kinds = (", ".join(each) for each in zip(*((b.name, b.tensor) for b in shader.reads), strict=True))
        (result,) = (buffer.tensor for buffer in shader.writes)
        parts.append(write_shader(shader, code))
        parts.append(f"""util.func public @run_{shader.name}({arguments}) -> {result} {{
  %r = util.call @{shader.name}({names}) : ({kinds}) -> {result}
  util.return %r : {result}
}}""")
    source = folder / f"{target}.mlir"
    source.write_text(f"module attributes {{hal.device.targets = [{device}]}} {{\n{chr(10).join(parts)}\n}}\n")
    return compile_module(source, folder / f"{target}.vmfb", flags).path


def run_shader(runner: Runner, module: Path, case: ShaderCase, folder: Path) -> NDArray[Any]:
    """Return what a shader gives on a device."""
    inputs = []
    for number, value in enumerate(case.inputs):
        np.save(folder / f"in{number}.npy", value)
        inputs.append(f"--input=@{folder / f'in{number}.npy'}")
    command = [*runner.tool("iree-run-module"), "--device=vulkan", f"--module={module}"]
    finished = run_tool(
        [*command, f"--function=run_{case.shader.name}", *inputs, f"--output=@{folder / 'out.npy'}"],
        120.0,
        environment=runner.environment,
    )
    assert finished.code == 0, finished.diagnostics
    return np.asarray(np.load(folder / "out.npy"))
