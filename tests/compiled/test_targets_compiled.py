"""Every shipped target through the real compiler, down to linked code, and what target files claim about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from compile.lowering.iree_compile import compile_module, target_flags
from compile.lowering.processor import resolve_processor
from compile.support.errors import CompilerError
from targets import Target, TargetError, shipped
from targets.board import processor_target
from targets.isa import ARCHITECTURES, architecture_of

# What a parser's code consists of: a matrix product with weights, a transcendental function, integers with shifts.
PROGRAM = """
func.func @f(%x: tensor<8x16xf32>, %bytes: tensor<8xi32>) -> (tensor<8x4xf32>, tensor<8xi32>) {
  %weights = arith.constant dense<0.25> : tensor<16x4xf32>
  %zero = arith.constant dense<0.0> : tensor<8x4xf32>
  %product = linalg.matmul ins(%x, %weights : tensor<8x16xf32>, tensor<16x4xf32>)
      outs(%zero : tensor<8x4xf32>) -> tensor<8x4xf32>
  %bent = math.tanh %product : tensor<8x4xf32>
  %four = arith.constant dense<4> : tensor<8xi32>
  %high = arith.shrui %bytes, %four : tensor<8xi32>
  %hash = arith.muli %high, %bytes : tensor<8xi32>
  return %bent, %hash : tensor<8x4xf32>, tensor<8xi32>
}
"""
WHOLE = [name for name in shipped().names() if not shipped().get(name).base and not shipped().get(name).refused]
Compile = Callable[[str], Path]


def flags_of(target: Target) -> tuple[str, ...]:
    return target_flags(target, shipped().family(target))


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compile:
    folder = tmp_path_factory.mktemp("targets")
    (folder / "program.mlir").write_text(PROGRAM)

    def get(name: str) -> Path:
        path = folder / f"{name}.vmfb"
        if not path.exists():
            compile_module(folder / "program.mlir", path, flags_of(shipped().get(name)))
        return path

    return get


@pytest.mark.parametrize("name", WHOLE)
def test_the_compiler_takes_every_target_down_to_linked_code(name: str, compiled: Compile) -> None:
    target = shipped().get(name)
    processor = resolve_processor(target, flags_of(target))
    if not target.development:
        assert set(processor.features) == set(target.features)
    assert compiled(name).stat().st_size > 1000


@pytest.mark.parametrize("name", [name for name in shipped().names() if shipped().get(name).base])
def test_a_preset_is_compiled_with_the_flags_of_its_base(name: str) -> None:
    target = shipped().get(name)
    assert flags_of(target) == flags_of(shipped().get(target.base))


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("android-aarch64", "linux-aarch64"),
        ("windows-x86_64-v3", "linux-x86_64-v3"),
        ("macos-x86_64-v3", "linux-x86_64-v3"),
    ],
)
def test_targets_that_claim_the_code_of_another_have_it(name: str, other: str, compiled: Compile) -> None:
    assert any(f"byte for byte that of {other}" in limit.text for limit in shipped().get(name).limits)
    assert compiled(name).read_bytes() == compiled(other).read_bytes()


def test_code_for_another_processor_is_other_code(compiled: Compile) -> None:
    levels = [
        "linux-x86_64-v2",
        "linux-x86_64-v3",
        "linux-x86_64-v4",
        "linux-aarch64",
        "linux-armv7-neon",
        "linux-riscv64",
        "linux-riscv64-v",
        "vmvx",
        "vulkan",
    ]
    assert len({compiled(name).read_bytes() for name in levels}) == len(levels)


@pytest.mark.parametrize("change", [{"target": "mali-g9000"}, {"subgroup": 16}, {"int64": False}])
def test_a_gpu_that_is_not_what_the_compiler_makes_code_for_is_refused(change: dict[str, object]) -> None:
    target = shipped().get("vulkan-nvidia-ampere")
    assert target.vulkan is not None
    wrong = msgspec.structs.replace(target, vulkan=msgspec.structs.replace(target.vulkan, **change))
    with pytest.raises(CompilerError, match="vulkan-nvidia-ampere: "):
        resolve_processor(wrong, flags_of(wrong))


@pytest.mark.parametrize(
    "name", ["linux-x86_64-v2", "linux-aarch64", "linux-armv7-neon", "linux-riscv64"]
)  # one of each architecture
def test_every_feature_that_a_target_may_name_is_one_of_the_compilers(name: str) -> None:
    target = shipped().get(name)
    features = ARCHITECTURES[architecture_of(target.triple) or ""].features
    everything = msgspec.structs.replace(target, features=tuple(sorted(features)))
    assert set(resolve_processor(everything, flags_of(everything)).features) == features
    misspelt = msgspec.structs.replace(target, features=(*target.features, "neonn"))
    with pytest.raises(CompilerError, match="does not accept this target"):
        resolve_processor(misspelt, flags_of(misspelt))


@pytest.mark.parametrize(
    ("system", "architecture"),
    [("Linux", "x86_64"), ("Linux", "aarch64"), ("Linux", "riscv64"), ("Darwin", "aarch64"), ("Windows", "x86_64")],
)
def test_the_compiler_takes_the_description_of_a_machine_with_every_feature(system: str, architecture: str) -> None:
    known = ARCHITECTURES[architecture]
    target = processor_target(
        "board", system, architecture, known.features | known.baseline | {"not-known-here"}, "a CPU"
    )
    resolved = resolve_processor(target, target_flags(target, shipped().family(target)))
    assert set(resolved.features) == set(target.features) <= known.features


def test_an_unknown_machine_cannot_be_described() -> None:
    with pytest.raises(
        TargetError, match="board: Linux on vax is no machine that this can describe; it can: Darwin aarch64"
    ):
        processor_target("board", "Linux", "vax", [], "")
