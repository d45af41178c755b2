"""What the compiler makes of each shipped target, and that a target cannot promise less than its code uses."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from compile.compiler import STRIP_FLAGS, compile_module, compiler_path, compiler_version, target_flags
from compile.errors import CompilerFailed, PlanError
from compile.machine import resolve_processor
from compile.pipeline import plan_targets
from runtime_py.preflight import missing_features, this_machine
from targets import Target, TargetError, registry

NAMED = [name for name in registry().names() if registry().get(name).family == "cpu" and not registry().get(name).development]


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
    under = msgspec.structs.replace(target, features=tuple(feature for feature in target.features if feature not in ("avx2", "fma")))
    with pytest.raises(CompilerFailed, match=r"linux-x86_64-v3: .* may use avx2, fma, which the target's features leave out"):
        resolve_processor(under, flags_of(under))


@pytest.mark.parametrize("change", [{"cpu": "pentium9"}, {"cpu": "cortex-a53"}])
def test_a_processor_that_the_compiler_does_not_know_is_refused(change: dict[str, str]) -> None:
    target = msgspec.structs.replace(registry().get("linux-x86_64-v3"), **change)
    with pytest.raises(CompilerFailed, match="does not accept this target"):
        resolve_processor(target, flags_of(target))


def test_every_package_is_stripped() -> None:
    for name in registry().names():
        assert set(STRIP_FLAGS) <= set(flags_of(registry().get(name)))


def test_plans_of_bad_requests() -> None:
    with pytest.raises(TargetError, match="did you mean host"):
        plan_targets(["hots"], registry())
    with pytest.raises(PlanError, match="given twice"):
        plan_targets(["host", "host"], registry())
    with pytest.raises(PlanError, match="no target"):
        plan_targets([], registry())


def test_the_compiler_is_the_real_program() -> None:
    assert compiler_path().read_bytes()[:4] != b"#!/u"
    assert compiler_path().stat().st_size > 10_000
    assert compiler_version().startswith("IREE compiler version 3.")


def test_a_refused_module_keeps_the_diagnostics_and_what_repeats_them(tmp_path: Path) -> None:
    source = tmp_path / "bad.mlir"
    source.write_text("func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {\n  %y = torch_c.nonsense %x\n  return %y\n}\n")
    target = registry().get("host")
    with pytest.raises(CompilerFailed) as caught:
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
        "func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {\n  %y = arith.addf %x, %x : tensor<4xf32>\n  return %y : tensor<4xf32>\n}\n"
    )
    flags = flags_of(registry().get("host"))
    with pytest.raises(CompilerFailed, match=r"was stopped after 0 s"):
        compile_module(source, tmp_path / "good.vmfb", flags, timeout=0.001)
    assert [file.name for file in tmp_path.iterdir()] == ["good.mlir"]
    compiled = compile_module(source, tmp_path / "good.vmfb", flags)
    assert compiled.statistics.dispatches == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == ["good.mlir", "good.vmfb"]
