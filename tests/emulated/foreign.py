"""Packages and modules for other machines, small enough to run in an emulator in seconds.

Beside the tiny parser a module has `product`, an int8 matrix product of ones: with data tiling the compiler makes it of
the dot-product instructions that 64-bit ARM got late (`sdot`, `smmla`). For GPUs, whose code makes sums with subgroups,
there is a sum by itself, and a parser that is one: every intent is the sum of the text's 32-bit numbers modulo 256,
plus its own number, and no text has a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from makers.small import gpu_variant
from msgspec.structs import replace
from tiny_package import BUCKETS, INTENTS, TAGS, compile_text, module_text, write_package

from compile.emulation.runner import Runner
from compile.support.process import Finished, run_tool
from runtime_py.package_format.golden import join_golden, save_golden
from runtime_py.package_format.manifest import Bucket, Variant
from runtime_py.package_format.package import seal

ROWS, DEPTH, COLUMNS = 8, 64, 16
SUMMED = 256
CPU = (
    "--iree-hal-target-device=local",
    "--iree-hal-local-target-device-backends=llvm-cpu",
    "--iree-llvmcpu-debug-symbols=false",
)

PRODUCT = f"""
  func.func @product(%a: tensor<{ROWS}x{DEPTH}xi8>, %b: tensor<{DEPTH}x{COLUMNS}xi8>) -> tensor<{ROWS}x{COLUMNS}xi32> {{
    %zero = arith.constant 0 : i32
    %empty = tensor.empty() : tensor<{ROWS}x{COLUMNS}xi32>
    %start = linalg.fill ins(%zero : i32) outs(%empty : tensor<{ROWS}x{COLUMNS}xi32>) -> tensor<{ROWS}x{COLUMNS}xi32>
    %product = linalg.matmul ins(%a, %b : tensor<{ROWS}x{DEPTH}xi8>, tensor<{DEPTH}x{COLUMNS}xi8>)
        outs(%start : tensor<{ROWS}x{COLUMNS}xi32>) -> tensor<{ROWS}x{COLUMNS}xi32>
    return %product : tensor<{ROWS}x{COLUMNS}xi32>
  }}
"""
SUM = f"""
module @sums {{
  func.func @sum(%rows: tensor<4x{SUMMED}xf32>) -> tensor<4xf32> {{
    %zero = arith.constant 0.0 : f32
    %empty = tensor.empty() : tensor<4xf32>
    %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<4xf32>) -> tensor<4xf32>
    %sums = linalg.generic {{indexing_maps = [affine_map<(r, c) -> (r, c)>, affine_map<(r, c) -> (r)>],
        iterator_types = ["parallel", "reduction"]}}
        ins(%rows : tensor<4x{SUMMED}xf32>) outs(%start : tensor<4xf32>) {{
      ^bb0(%value: f32, %sum: f32):
        %more = arith.addf %sum, %value : f32
        linalg.yield %more : f32
    }} -> tensor<4xf32>
    return %sums : tensor<4xf32>
  }}
}}
"""


def cpu_code(triple: str, cpu: str, features: tuple[str, ...] = ()) -> bytes:
    """Compile the tiny parser and the product for a processor."""
    options = [
        *CPU,
        "--iree-opt-data-tiling",
        f"--iree-llvmcpu-target-triple={triple}",
        f"--iree-llvmcpu-target-cpu={cpu}",
    ]
    if features:
        options.append(f"--iree-llvmcpu-target-cpu-features={','.join(f'+{feature}' for feature in features)}")
    return compile_text(module_text().rstrip().removesuffix("}") + PRODUCT + "}\n", options)


def vulkan_code(target: str, text: str) -> bytes:
    """Compile a module for a GPU by the compiler's name of it."""
    return compile_text(text, ["--iree-hal-target-device=vulkan", f"--iree-vulkan-target={target}"])


def cpu_sums() -> bytes:
    """Compile the parser that sums for any processor of this machine's architecture."""
    return compile_text(summing_text(), [*CPU, "--iree-llvmcpu-target-cpu=generic"])


def cpu_package(path: Path, code: bytes, triple: str, features: tuple[str, ...]) -> None:
    """Write the tiny package around code for a processor; its only variant is called `foreign`."""
    manifest = write_package(path, code)
    seal(
        path,
        replace(
            manifest, variants=[replace(manifest.variants[0], target="foreign", triple=triple, features=list(features))]
        ),
    )


def vulkan_package(path: Path, target: str, subgroup: int) -> None:
    """Write a package with the parser that sums, for a GPU; its only variant is called `foreign`."""
    summing_package(path, [(gpu_variant("foreign", subgroup=subgroup), vulkan_code(target, summing_text()))])


def summing_package(path: Path, pairs: Sequence[tuple[Variant, bytes]]) -> None:
    """Write a package with the parser that sums, compiled for one or more machines."""
    texts = [b"", b"a", b"wake me at seven", "réveille-moi à 7h".encode(), b"\xff" * 64]
    padded = [np.frombuffer(each.ljust(64, b"\0"), "<i4") for each in texts]
    intents = [np.arange(len(INTENTS), dtype=np.float32) + np.float32((each & 255).sum()) for each in padded]
    tags, spans = np.zeros((0, len(TAGS)), np.float32), np.zeros((0, 2), np.int32)
    manifest = write_package(path, b"none")
    save_golden(path / manifest.golden.path, join_golden(texts, intents, [tags] * len(texts), [spans] * len(texts)))
    (path / manifest.variants[0].path).unlink()
    for variant, code in pairs:
        (path / variant.path).parent.mkdir(parents=True, exist_ok=True)
        (path / variant.path).write_bytes(code)
    golden = replace(manifest.golden, texts=len(texts), words=0)
    seal(path, replace(manifest, variants=[variant for variant, _ in pairs], golden=golden))


def summing_text() -> str:
    """Return the parser that sums as MLIR."""
    return "module @sums {\n" + "".join(_summing_entry(bucket) for bucket in BUCKETS) + "}\n"


def _summing_entry(bucket: Bucket) -> str:
    """Write one entry.

    The row is repeated to 512 numbers, so that its sum keeps several subgroups busy, and the result divided by how
    often.
    """
    lanes = bucket.bytes // 4
    return f"""
  func.func @{bucket.entry}(%text: tensor<1x{lanes}xi32>)
      -> (tensor<1x{len(INTENTS)}xf32>, tensor<1x{bucket.words}x{len(TAGS)}xf32>, tensor<1x{bucket.words}x2xi32>,
          tensor<1xi32>) {{
    %mask = arith.constant 255 : i32
    %none = arith.constant 0.0 : f32
    %part = arith.constant {lanes / 512} : f32
    %row = tensor.empty() : tensor<{512 // lanes}x{lanes}xf32>
    %flat = tensor.collapse_shape %text [[0, 1]] : tensor<1x{lanes}xi32> into tensor<{lanes}xi32>
    %many = linalg.generic {{indexing_maps = [affine_map<(r, c) -> (c)>, affine_map<(r, c) -> (r, c)>],
        iterator_types = ["parallel", "parallel"]}}
        ins(%flat : tensor<{lanes}xi32>) outs(%row : tensor<{512 // lanes}x{lanes}xf32>) {{
      ^bb0(%value: i32, %o: f32):
        %low = arith.andi %value, %mask : i32
        %number = arith.sitofp %low : i32 to f32
        linalg.yield %number : f32
    }} -> tensor<{512 // lanes}x{lanes}xf32>
    %wide = tensor.collapse_shape %many [[0, 1]] : tensor<{512 // lanes}x{lanes}xf32> into tensor<512xf32>
    %e = tensor.empty() : tensor<{len(INTENTS)}xf32>
    %start = linalg.fill ins(%none : f32) outs(%e : tensor<{len(INTENTS)}xf32>) -> tensor<{len(INTENTS)}xf32>
    %sums = linalg.generic {{indexing_maps = [affine_map<(i, n) -> (n)>, affine_map<(i, n) -> (i)>],
        iterator_types = ["parallel", "reduction"]}}
        ins(%wide : tensor<512xf32>) outs(%start : tensor<{len(INTENTS)}xf32>) {{
      ^bb0(%number: f32, %sum: f32):
        %more = arith.addf %sum, %number : f32
        linalg.yield %more : f32
    }} -> tensor<{len(INTENTS)}xf32>
    %intents = linalg.generic {{indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>],
        iterator_types = ["parallel"]}}
        ins(%sums : tensor<{len(INTENTS)}xf32>) outs(%e : tensor<{len(INTENTS)}xf32>) {{
      ^bb0(%sum: f32, %o: f32):
        %i = linalg.index 0 : index
        %whole = arith.index_cast %i : index to i32
        %own = arith.sitofp %whole : i32 to f32
        %mean = arith.mulf %sum, %part : f32
        %more = arith.addf %mean, %own : f32
        linalg.yield %more : f32
    }} -> tensor<{len(INTENTS)}xf32>
    %intent = tensor.expand_shape %intents [[0, 1]] output_shape [1, {len(INTENTS)}]
        : tensor<{len(INTENTS)}xf32> into tensor<1x{len(INTENTS)}xf32>
    %t = arith.constant dense<0.0> : tensor<1x{bucket.words}x{len(TAGS)}xf32>
    %s = arith.constant dense<0> : tensor<1x{bucket.words}x2xi32>
    %c = arith.constant dense<0> : tensor<1xi32>
    return %intent, %t, %s, %c
        : tensor<1x{len(INTENTS)}xf32>, tensor<1x{bucket.words}x{len(TAGS)}xf32>, tensor<1x{bucket.words}x2xi32>,
          tensor<1xi32>
  }}
"""


def call(runner: Runner, module: Path, function: str, *inputs: str, device: str = "local-sync") -> Finished:
    """Run one function of a module with the runtime's own program."""
    arguments = [
        f"--device={device}",
        f"--module={module}",
        f"--function={function}",
        *(f"--input={value}" for value in inputs),
    ]
    return run_tool([*runner.tool("iree-run-module"), *arguments], 300, environment=runner.environment)


def script(runner: Runner, text: str, *arguments: str | Path) -> Finished:
    """Run a Python script there."""
    return run_tool([*runner.python, "-c", text, *arguments], 300, environment=runner.environment)
