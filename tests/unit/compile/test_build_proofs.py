"""Equal code is proved once on each kind of machine; whoever has the same code gets the same outcome."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from compile import build
from compile.build import Builder, Inputs, Module
from compile.lowering.iree_compile import Compiled
from compile.plan import Plan
from compile.support.errors import VerificationError
from compile.support.progress import Progress, Reporter
from compile.support.stopwatch import Stopwatch

_MACHINES = {"pi-3": "cortex-a53", "zero-2": "cortex-a53", "pi-4": "cortex-a72", "gpu": None}


def make_plan(name: str) -> Plan:
    return cast("Plan", SimpleNamespace(target=SimpleNamespace(id=name), flags=()))


@pytest.fixture
def reports() -> list[Progress]:
    return []


@pytest.fixture
def builder(tmp_path: Path, reports: list[Progress], monkeypatch: pytest.MonkeyPatch) -> Builder:
    def identify(plan: Plan, compiled: Compiled) -> tuple[str, str] | None:
        machine = _MACHINES[plan.target.id]
        return None if machine is None else ("digest", machine)

    def adopt(plan: Plan, compiled: Compiled, proved: Any) -> Any:
        return SimpleNamespace(variant=SimpleNamespace(target=plan.target.id), taken_from=proved.variant.target)

    def compile_one(mlir: Path, destination: Path, flags: object, timeout: float) -> Compiled:
        return Compiled(destination, (), 1.0, cast("Any", None))

    monkeypatch.setattr(build, "compile_module", compile_one)
    monkeypatch.setattr(build, "identify_proof", identify)
    monkeypatch.setattr(build, "adopt_proof", adopt)
    inputs = Inputs(cast("Any", None), (), cast("Any", None))
    reporter = Reporter(reports.append)
    reporter.expect_targets(_MACHINES)
    return Builder(inputs, tmp_path, None, 3, 60.0, reporter, Stopwatch())


def run(builder: Builder) -> None:
    builder.run([Module("key", Path("module.mlirbc"), tuple(map(make_plan, _MACHINES)))])


def test_a_proof_is_run_once_for_each_machine(
    builder: Builder, reports: list[Progress], monkeypatch: pytest.MonkeyPatch
) -> None:
    proofs: list[str] = []
    waits = threading.Event()

    def prove(plan: Plan, *_: object) -> Any:
        proofs.append(plan.target.id)
        if plan.target.id != "pi-4":
            waits.wait(0.2)  # so that others arrive while it goes on
        return SimpleNamespace(variant=SimpleNamespace(target=plan.target.id))

    monkeypatch.setattr(build, "prove_variant", prove)
    run(builder)
    assert sorted(proofs) in (["gpu", "pi-3", "pi-4"], ["gpu", "pi-4", "zero-2"])
    assert set(builder.proved) == set(_MACHINES) and not builder.failures
    (first,) = {"pi-3", "zero-2"} & set(proofs)
    (other,) = {"pi-3", "zero-2"} - set(proofs)
    assert cast("Any", builder.proved[other]).taken_from == first
    ends = {report.target: report.detail for report in reports if report.state == "done"}
    assert ends == {first: "", other: f"with {first}, which has the same code", "pi-4": "", "gpu": ""}


def test_who_has_the_same_code_fails_with_it(builder: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    def prove(plan: Plan, *_: object) -> Any:
        if plan.target.id in ("pi-3", "zero-2"):
            raise VerificationError("wrong words")
        return SimpleNamespace(variant=SimpleNamespace(target=plan.target.id))

    monkeypatch.setattr(build, "prove_variant", prove)
    run(builder)
    assert set(builder.failures) == {"pi-3", "zero-2"}
    assert set(builder.proved) == {"pi-4", "gpu"}
    errors = list(builder.failures.values())
    assert errors[0] is not errors[1] and all(error.message == "wrong words" for error in errors)
