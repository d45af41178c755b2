"""Kernels of 64-bit ARM in QEMU.

Right to the last bit, fewer instructions than the compiler's own code, and none that the target lacks.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from makers.kernels import (
    HEADS,
    SHAPES,
    TARGETS,
    TARGETS_F32,
    TEXT_SIZES,
    Case,
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
)

from compile.emulation.counting import CountError, count_instructions
from compile.emulation.runner import Runner
from compile.kernels.families import InstructionFamily, find_family
from compile.kernels.product_kernels import product_kernel
from compile.lowering.iree_compile import compile_module
from compile.support.process import run_tool
from compile.verify.loops import find_calls_in_loops
from compile.verify.static_checks import check_machine_code, find_objdump
from pqrnn.features.utf8 import pack_texts

ARM = pytest.mark.parametrize(
    ("name", "cpu"), [("smlal", "cortex-a53"), ("dotprod", "cortex-a76"), ("i8mm", "max,sve=off")]
)
PER_INSTRUCTION = {"smlal": 8, "dotprod": 16, "i8mm": 32}  # products
ROWS, DEPTH, COLUMNS = 8, 256, 384


def _run(runner: Runner, module: Path, case: Case, folder: Path) -> list[np.ndarray]:
    inputs, outputs = [], [folder / f"out{number}.npy" for number in range(len(case.wanted))]
    for number, value in enumerate(case.inputs):
        np.save(folder / f"in{number}.npy", value)
        inputs.append(f"--input=@{folder / f'in{number}.npy'}")
    command = [
        *runner.tool("iree-run-module"),
        "--device=local-sync",
        f"--module={module}",
        f"--function={case.function}",
    ]
    finished = run_tool(
        [*command, *inputs, *(f"--output=@{path}" for path in outputs)], 120.0, environment=runner.environment
    )
    assert finished.code == 0, finished.diagnostics
    return [np.load(path) for path in outputs]


@ARM
def test_products_are_exact_for_every_tail(
    name: str, cpu: str, emulated: Callable[..., Runner], tmp_path: Path
) -> None:
    runner = emulated("qemu-aarch64", cpu)
    cases = [product_case(find_family(name), shape) for shape in SHAPES]
    module = compile_kernels([case.kernel for case in cases], TARGETS[name], tmp_path)
    for case in cases:
        np.testing.assert_array_equal(_run(runner, module, case, tmp_path)[0], case.wanted[0], err_msg=case.function)


@ARM
def test_products_of_weights_of_4_bits_are_exact(
    name: str, cpu: str, emulated: Callable[..., Runner], tmp_path: Path
) -> None:
    runner, form = emulated("qemu-aarch64", cpu), find_family(name).in_bits(4)
    cases = [product_case(form, shape) for shape in ((3, 9, 5), (4, 67, 45), (2, 2050, 7))]
    module = compile_kernels([case.kernel for case in cases], TARGETS[name], tmp_path)
    for case in cases:
        np.testing.assert_array_equal(_run(runner, module, case, tmp_path)[0], case.wanted[0], err_msg=case.function)


@ARM
def test_layers_and_heads_say_what_their_operators_say(
    name: str, cpu: str, emulated: Callable[..., Runner], tmp_path: Path
) -> None:
    runner, family = emulated("qemu-aarch64", cpu), find_family(name)
    layers = [layer_case(family, 1, (4, 16, 16, 2)), layer_case(family, 2, (9, 21, 10, 3))]
    heads = [head_case(family, sizes) for sizes in HEADS[:2]]
    module = compile_kernels([case.kernel for case in (*layers, *heads)], TARGETS[name], tmp_path)
    for case in layers:
        (short, rounded), (real, wanted) = case.pairs(_run(runner, module, case, tmp_path))
        check_reals(real, wanted, 127.0, short, rounded)
    for case in heads:
        for found, wanted in case.pairs(_run(runner, module, case, tmp_path)):
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=2e-5)


def test_float32_is_near_float64(emulated: Callable[..., Runner], tmp_path: Path) -> None:
    """On the least of the 64-bit processors."""
    runner, family = emulated("qemu-aarch64", "cortex-a53"), find_family("neon")
    products = [product_f32_case(family, shape) for shape in SHAPES]
    layers = [layer_f32_case(family, 1, (4, 16, 16, 2)), layer_f32_case(family, 2, (9, 21, 10, 3))]
    heads = [head_f32_case(family, sizes) for sizes in HEADS[:2]]
    cases = [*(case for case, _ in products), *layers, *heads]
    module = compile_kernels([case.kernel for case in cases], TARGETS_F32["neon"], tmp_path)
    for case, bound in products:
        assert np.all(abs(_run(runner, module, case, tmp_path)[0] - case.wanted[0]) <= bound), case.function
    for near, others in ((2e-6, layers), (2e-5, heads)):
        for case in others:
            for found, wanted in case.pairs(_run(runner, module, case, tmp_path)):
                np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=near, err_msg=case.function)


def test_projections_are_those_of_pytorch_to_the_last_bit(emulated: Callable[..., Runner], tmp_path: Path) -> None:
    runner, sizes = emulated("qemu-aarch64", "cortex-a76"), TEXT_SIZES[0]
    kernel = make_projection_kernel("projection", find_family("dotprod").lanes, sizes)
    module = compile_kernels([kernel], TARGETS["dotprod"], tmp_path)
    for texts in (
        [b"Wake ME up at 7:30", b""],
        ["réveille-moi à 7h 😀🇩🇪🇫🇷".encode(), "ปลุกฉันตอนเจ็ดโมง".encode()],
        [b"x" * 96, b"\xff\xfe broken \xe2\x82"],
    ):
        inputs = (pack_texts(texts, sizes.size).numpy(), *projection_inputs(sizes))
        case = Case(kernel, inputs, project(sizes, tuple(texts)))
        for found, wanted in case.pairs(_run(runner, module, case, tmp_path)):
            np.testing.assert_array_equal(found, wanted)


def _count(module: Path, function: str, kinds: list[str], cpu: str) -> int:
    try:
        return count_instructions(
            [
                "--device=local-sync",
                f"--module={module}",
                f"--function={function}",
                *(f"--input={kind}" for kind in kinds),
            ],
            cpu,
        ).code
    except CountError as error:
        pytest.skip(str(error))


@ARM
def test_a_kernel_takes_fewer_instructions_than_the_compilers_own_code(
    name: str, cpu: str, emulated: Callable[..., Runner], tmp_path: Path
) -> None:
    emulated("qemu-aarch64", cpu)
    family = find_family(name)
    kernel = product_kernel("product", family, ROWS, DEPTH, COLUMNS)
    kinds = [f"{buffer.tensor.removeprefix('tensor<').removesuffix('>')}=1" for buffer in kernel.reads]
    ours = _count(compile_kernels([kernel], TARGETS[name], tmp_path), "run_product", kinds, cpu)
    stock = _count(_stock(family, tmp_path), "run", [f"{ROWS}x{DEPTH}xi8=1"], cpu)
    least = ROWS * DEPTH * COLUMNS // PER_INSTRUCTION[name]
    assert least < ours < 0.9 * stock, (least, ours, stock)


def _stock(family: InstructionFamily, folder: Path) -> Path:
    """The compiler's own product with weights that it knows, so that it lays them out when it compiles."""
    source = folder / "stock.mlir"
    weights = np.random.default_rng(0).integers(-127, 128, (DEPTH, COLUMNS), dtype=np.int8).tobytes().hex()
    source.write_text(f"""
func.func @run(%x: tensor<{ROWS}x{DEPTH}xi8>) -> tensor<{ROWS}x{COLUMNS}xi32> {{
  %w = arith.constant dense<"0x{weights}"> : tensor<{DEPTH}x{COLUMNS}xi8>
  %z = arith.constant 0 : i32
  %e = tensor.empty() : tensor<{ROWS}x{COLUMNS}xi32>
  %f = linalg.fill ins(%z : i32) outs(%e : tensor<{ROWS}x{COLUMNS}xi32>) -> tensor<{ROWS}x{COLUMNS}xi32>
  %r = linalg.matmul ins(%x, %w : tensor<{ROWS}x{DEPTH}xi8>, tensor<{DEPTH}x{COLUMNS}xi8>)
      outs(%f : tensor<{ROWS}x{COLUMNS}xi32>) -> tensor<{ROWS}x{COLUMNS}xi32>
  return %r : tensor<{ROWS}x{COLUMNS}xi32>
}}""")
    flags, _ = processor_of(TARGETS[family.name])
    return compile_module(source, folder / "stock.vmfb", flags).path


@pytest.mark.parametrize("name", PER_INSTRUCTION)
def test_a_kernel_uses_its_instruction_and_nothing_that_the_target_lacks(name: str, tmp_path: Path) -> None:
    if find_objdump() is None:
        pytest.skip("llvm-objdump is not installed: apt-get install llvm")
    code = compile_kernels(
        [product_kernel("product", find_family(name), 4, 64, 32)], TARGETS[name], tmp_path
    ).read_bytes()
    _, processor = processor_of(TARGETS[name])
    assert "none beyond" in check_machine_code(code, processor)
    assert find_calls_in_loops(code) == []
