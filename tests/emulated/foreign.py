"""Packages and modules for other machines, small enough to run in an emulator in seconds.

Beside the tiny parser a module has `product`, an int8 matrix product of ones: with data tiling the compiler makes it of the dot-product instructions
that 64-bit ARM got late (`sdot`, `smmla`). And there is a sum over a row, which Vulkan code for GPUs does with subgroups.
"""

from __future__ import annotations

from pathlib import Path

from iree.compiler.tools import compile_str
from msgspec.structs import replace
from tiny_package import module_text, write_package

from compile.emulation.runner import Runner
from compile.process import Finished, run_tool
from runtime_py.manifest import Variant, VulkanNeeds, encode_manifest

ROWS, DEPTH, COLUMNS = 8, 64, 16
SUMMED = 256
CPU = ("--iree-hal-target-device=local", "--iree-hal-local-target-device-backends=llvm-cpu", "--iree-llvmcpu-debug-symbols=false")

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
    %sums = linalg.generic {{indexing_maps = [affine_map<(r, c) -> (r, c)>, affine_map<(r, c) -> (r)>], iterator_types = ["parallel", "reduction"]}}
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
    options = [*CPU, "--iree-opt-data-tiling", f"--iree-llvmcpu-target-triple={triple}", f"--iree-llvmcpu-target-cpu={cpu}"]
    if features:
        options.append(f"--iree-llvmcpu-target-cpu-features={','.join(f'+{feature}' for feature in features)}")
    return _compiled(module_text().rstrip().removesuffix("}") + PRODUCT + "}\n", options)


def vulkan_code(target: str, text: str | None = None) -> bytes:
    """Compile the tiny parser, or another module, for a GPU by the compiler's name of it."""
    return _compiled(module_text() if text is None else text, ["--iree-hal-target-device=vulkan", f"--iree-vulkan-target={target}"])


def _compiled(text: str, options: list[str]) -> bytes:
    code = compile_str(text, extra_args=options)
    assert code is not None
    return code


def cpu_package(path: Path, code: bytes, triple: str, features: tuple[str, ...]) -> None:
    """Write the tiny package around code for a processor; its only variant is called `foreign`."""
    manifest = write_package(path, code)
    _with_variant(path, replace(manifest.variants[0], target="foreign", triple=triple, features=list(features)))


def vulkan_package(path: Path, code: bytes, subgroup: int) -> None:
    """Write the tiny package around code for a GPU; its only variant is called `foreign`."""
    manifest = write_package(path, code)
    needs = VulkanNeeds(subgroup=subgroup)
    _with_variant(path, replace(manifest.variants[0], target="foreign", device="vulkan", triple="any", cpu="any", vulkan=needs))


def _with_variant(path: Path, variant: Variant) -> None:
    from runtime_py.package import open_package

    manifest = open_package(path).manifest
    (path / "manifest.json").write_bytes(encode_manifest(replace(manifest, variants=[variant])))


def call(runner: Runner, module: Path, function: str, *inputs: str, device: str = "local-sync") -> Finished:
    """Run one function of a module with the runtime's own program."""
    arguments = [f"--device={device}", f"--module={module}", f"--function={function}", *(f"--input={value}" for value in inputs)]
    return run_tool([*runner.tool("iree-run-module"), *arguments], 300, environment=runner.environment)


def script(runner: Runner, text: str, *arguments: str | Path) -> Finished:
    """Run a Python script there."""
    return run_tool([*runner.python, "-c", text, *arguments], 300, environment=runner.environment)
