"""The shaders of a module in one executable: each once, and every launch finds its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from iree.compiler import ir
from makers.kernels import processor_of

from compile.lowering.iree_compile import compile_module, compiler_path
from compile.lowering.shader_library import join_shaders
from compile.support.errors import CompilerError, ImportStageError
from compile.support.process import run_tool

TWO = """
func.func @run(%left: tensor<4x8xf32>) -> tensor<4x3xf32> {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant dense_resource<one> : tensor<8x16xf32>
  %two = arith.constant dense_resource<two> : tensor<16x3xf32>
  %first = tensor.empty() : tensor<4x16xf32>
  %none = linalg.fill ins(%zero : f32) outs(%first : tensor<4x16xf32>) -> tensor<4x16xf32>
  %middle = linalg.matmul ins(%left, %one : tensor<4x8xf32>, tensor<8x16xf32>) outs(%none : tensor<4x16xf32>)
    -> tensor<4x16xf32>
  %second = tensor.empty() : tensor<4x3xf32>
  %nothing = linalg.fill ins(%zero : f32) outs(%second : tensor<4x3xf32>) -> tensor<4x3xf32>
  %right = linalg.matmul ins(%middle, %two : tensor<4x16xf32>, tensor<16x3xf32>) outs(%nothing : tensor<4x3xf32>)
    -> tensor<4x3xf32>
  return %right : tensor<4x3xf32>
}
"""
RESOURCES = (
    "{-# dialect_resources: {builtin: {"
    + ", ".join(
        f'{name}: "0x04000000{bytes(range(1, 1 + count)).hex() * 4}"' for name, count in (("one", 128), ("two", 48))
    )
    + "}} #-}\n"
)


@pytest.fixture(scope="module")
def translated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The module after the compiler's phase in which code is SPIR-V."""
    folder = tmp_path_factory.mktemp("shaders")
    (folder / "two.mlir").write_text(TWO + RESOURCES)
    flags, _ = processor_of("vulkan")
    command = [compiler_path(), folder / "two.mlir", "-o", folder / "out.mlir", *flags]
    finished = run_tool([*command, "--compile-to=executable-targets"], 60.0)
    assert finished.code == 0, finished.diagnostics
    return folder / "out.mlir"


def test_every_shader_is_there_once_and_constants_stay(translated: Path, tmp_path: Path) -> None:
    with ir.Context(), ir.Location.unknown():
        module = ir.Module.parse(translated.read_bytes())
        executables = [part.operation for part in module.body.operations if part.operation.name == "hal.executable"]
        assert len(executables) == 2
        copy = executables[1].clone()  # the same under another name
        copy.attributes["sym_name"] = ir.StringAttr.get("another")
        module.body.append(copy)
        with (tmp_path / "three.mlir").open("wb") as file:
            module.operation.print(file=file, binary=True)
    assert join_shaders(tmp_path / "three.mlir", tmp_path / "joined.mlir") == 2
    text = (tmp_path / "joined.mlir").read_text()
    assert re.findall(r"hal\.executable private @(\w+)", text) == ["shaders"]
    assert re.findall(r"hal\.executable\.export public @(\w+)", text) == ["s0", "s1"]
    launches = re.findall(r"stream\.cmd\.dispatch (@\S+?)[({\[\s]", text)
    assert launches == ["@shaders::@code::@s0", "@shaders::@code::@s1"]
    assert bytes(range(1, 129)).hex() in text.lower()  # what the constants hold


def test_a_module_without_shaders_stays_one(tmp_path: Path) -> None:
    (tmp_path / "empty.mlir").write_text("module {}")
    assert join_shaders(tmp_path / "empty.mlir", tmp_path / "joined.mlir") == 0
    assert (tmp_path / "joined.mlir").read_text().split()[:3] == ["module", "{", "}"]


def test_what_is_not_as_expected_is_said(tmp_path: Path) -> None:
    (tmp_path / "odd.mlir").write_text("hal.executable private @none {\n}\n")
    with pytest.raises(ImportStageError, match=r"expected one hal\.executable\.variant"):
        join_shaders(tmp_path / "odd.mlir", tmp_path / "joined.mlir")


def test_evidence_of_a_failure_repeats_it(tmp_path: Path) -> None:
    (tmp_path / "broken.mlir").write_text("func.func @run() -> tensor<1xf32> { return }")
    flags, _ = processor_of("vulkan")
    with pytest.raises(CompilerError) as caught:
        compile_module(tmp_path / "broken.mlir", tmp_path / "broken.vmfb", flags)
    assert set(caught.value.evidence) == {"module.mlir", "command.sh", "stderr.txt"}
    assert b"--compile-to=executable-targets" in bytes(caught.value.evidence["command.sh"])
    assert not list(tmp_path.glob("broken.vmfb*"))
