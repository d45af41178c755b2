"""What the compiler makes of each shipped target, and that a target cannot promise less than its code uses."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from compile.lowering.iree_compile import STRIP_FLAGS, compile_module, compiler_path, compiler_version, target_flags
from compile.lowering.processor import resolve_processor
from compile.plan import plan_targets
from compile.support.errors import CompilerError
from runtime_py.device.preflight import missing_features, this_machine
from targets import Target, registry

_ALL = [registry().get(name) for name in registry().names()]
NAMED = [target.id for target in _ALL if target.family == "cpu" and not target.development and not target.refused]


def flags_of(target: Target) -> tuple[str, ...]:
    return target_flags(target, registry().family(target))


@pytest.mark.parametrize("name", NAMED)
def test_a_named_target_declares_what_its_code_may_use(name: str) -> None:
    target = registry().get(name)
    processor = resolve_processor(target, flags_of(target))
    assert processor.features == tuple(sorted(target.features))
    assert (processor.triple, processor.cpu) == (target.triple, target.cpu)


def test_host_is_resolved_to_what_this_machine_has() -> None:
    target = registry().get("host")
    processor = resolve_processor(target, flags_of(target))
    assert processor.cpu != "host"
    assert processor.triple.split("-")[0] == this_machine().architecture
    assert missing_features(processor.features, this_machine()) == []


def test_a_target_that_leaves_a_feature_out_is_refused() -> None:
    target = registry().get("linux-x86_64-v3")
    under = msgspec.structs.replace(
        target, features=tuple(feature for feature in target.features if feature not in ("avx2", "fma"))
    )
    with pytest.raises(
        CompilerError, match=r"linux-x86_64-v3: .* may use avx2, fma, which the target's features leave out"
    ):
        resolve_processor(under, flags_of(under))


@pytest.mark.parametrize("change", [{"cpu": "pentium9"}, {"cpu": "cortex-a53"}])
def test_a_processor_that_the_compiler_does_not_know_is_refused(change: dict[str, str]) -> None:
    target = msgspec.structs.replace(registry().get("linux-x86_64-v3"), **change)
    with pytest.raises(CompilerError, match="does not accept this target"):
        resolve_processor(target, flags_of(target))


def test_every_package_is_stripped() -> None:
    for name in registry().names():
        assert set(STRIP_FLAGS) <= set(flags_of(registry().get(name)))


def test_a_processor_whose_features_nobody_can_tell_is_refused() -> None:
    target = msgspec.structs.replace(registry().get("linux-armv7-neon"), cpu="cortex-a7")
    with pytest.raises(CompilerError, match="does not say what cortex-a7 has"):
        resolve_processor(target, flags_of(target))


def test_code_of_no_processor_is_for_any() -> None:
    for name in ("vulkan", "vulkan-llvmpipe", "vmvx"):
        target = registry().get(name)
        processor = resolve_processor(target, flags_of(target))
        assert (processor.triple, processor.cpu, processor.features) == ("any", "any", ())
        assert processor.resolved


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("vulkan-mali-valhall", {"subgroup": 32}, "counts on subgroups of 16, the target says 32"),
        ("vulkan-mali-valhall", {"subgroup": 0}, "counts on subgroups of 16, the target says 0"),
        ("vulkan-llvmpipe", {"int64": False}, "may use 64-bit integers, which the target does not declare"),
        ("vulkan", {"target": "no-such-gpu"}, "does not accept this target\n  .*Unknown Vulkan target 'no-such-gpu'"),
    ],
)
def test_a_gpu_that_is_not_what_the_target_says_is_refused(name: str, change: dict[str, object], message: str) -> None:
    target = registry().get(name)
    assert target.vulkan is not None
    other = msgspec.structs.replace(target, vulkan=msgspec.structs.replace(target.vulkan, **change))
    with pytest.raises(CompilerError, match=message):
        resolve_processor(other, flags_of(other))


def test_a_target_that_the_compiler_refuses_does_not_lose_the_others() -> None:
    bad = msgspec.structs.replace(registry().get("linux-x86_64-v3"), id="bad", cpu="pentium9")
    plans, failures = plan_targets([bad, registry().get("vmvx"), registry().get("linux-riscv64")], registry(), jobs=2)
    assert [plan.target.id for plan in plans] == ["vmvx", "linux-riscv64"]
    assert [plan.device for plan in plans] == ["local-sync", "local-sync"]
    assert list(failures) == ["bad"]
    script = failures["bad"].evidence["command.sh"]
    assert isinstance(script, bytes)
    assert b"echo 'module {}' | iree-compile - " in script
    assert b"--iree-llvmcpu-target-cpu=pentium9" in script


def test_the_compiler_is_the_real_program() -> None:
    assert compiler_path().read_bytes()[:4] != b"#!/u"
    assert compiler_path().stat().st_size > 10_000
    assert compiler_version().startswith("IREE compiler version 3.")


def test_a_refused_module_keeps_the_diagnostics_and_what_repeats_them(tmp_path: Path) -> None:
    source = tmp_path / "bad.mlir"
    source.write_text(
        "func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {\n  %y = torch_c.nonsense %x\n  return %y\n}\n"
    )
    target = registry().get("host")
    with pytest.raises(CompilerError) as caught:
        compile_module(source, tmp_path / "bad.vmfb", flags_of(target))
    assert "nonsense" in caught.value.diagnostics
    assert f"{source}:2:" in str(caught.value)
    assert set(caught.value.evidence) == {"module.mlir", "command.sh", "stderr.txt"}
    command = caught.value.evidence["command.sh"]
    assert isinstance(command, bytes)
    assert b"iree-compile module.mlir -o module.vmfb --iree-hal-target-device=local " in command
    assert [file.name for file in tmp_path.iterdir()] == ["bad.mlir"]


def test_time_up_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    source = tmp_path / "good.mlir"
    source.write_text(
        "func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {\n"
        "  %y = arith.addf %x, %x : tensor<4xf32>\n  return %y : tensor<4xf32>\n}\n"
    )
    flags = flags_of(registry().get("host"))
    with pytest.raises(CompilerError, match=r"was stopped after \d+ s"):
        compile_module(source, tmp_path / "good.vmfb", flags, timeout=0.001)
    assert [file.name for file in tmp_path.iterdir()] == ["good.mlir"]
    compiled = compile_module(source, tmp_path / "good.vmfb", flags)
    assert compiled.statistics.dispatches == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == ["good.mlir", "good.vmfb"]
