"""The preview of a compilation, for people and for scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from compile.build import Module
from compile.emulation.runner import RunnerNotFoundError, find_runner
from compile.lowering.cache import Cache
from compile.lowering.iree_compile import compile_command, compiler_path, compiler_version
from compile.packaging.manifest import describe_variant
from compile.plan import Plan
from compile.support.errors import CompileError
from runtime_py.package_format.file_entry import FileEntry, describe_file
from runtime_py.package_format.manifest import Bucket, VulkanNeeds


@dataclass(frozen=True, slots=True)
class PlannedTarget:
    """The preview of one target.

    Attributes:
        target: Name of the target.
        summary: Purpose of the target.
        same_as: Earlier target whose module this one shares; empty for a module of its own.
        key: Key of the module in the cache.
        cached: Whether the module is in the cache.
        verified: Machine or emulator that would run the code, or the reason why none can.
        runs: Whether the code would be run.
        command: Command of the compiler, as a shell takes it.
    """

    target: str
    summary: str
    same_as: str
    key: str
    cached: bool
    verified: str
    runs: bool
    command: str


@dataclass(frozen=True, slots=True)
class Preview:
    """The preview of a compilation.

    Attributes:
        package: Path of the package that would appear.
        buckets: Length buckets of the package.
        mlir: Size and digest of the modules that the commands read, by name.
        compiler: Version of the compiler, as it reports it.
        compiler_path: Path of the compiler's program; `iree-compile` on the PATH is a script that starts it.
        jobs: Number of targets that would be worked on at a time.
        cache: Folder of the cache; empty without a cache.
        targets: Previews of the targets, in order.
        refused: Reasons why the compiler does not accept a target, by target.
        notes: Remarks for whoever ships the package.
    """

    package: str
    buckets: tuple[Bucket, ...]
    mlir: dict[str, FileEntry]
    compiler: str
    compiler_path: str
    jobs: int
    cache: str
    targets: tuple[PlannedTarget, ...]
    refused: dict[str, str]
    notes: tuple[str, ...]


def describe_plan(
    out: Path,
    buckets: tuple[Bucket, ...],
    plans: Sequence[Plan],
    modules: Sequence[Module],
    cache: Cache | None,
    jobs: int,
    failures: Mapping[str, CompileError],
    notes: tuple[str, ...],
) -> Preview:
    """Return the preview of plans and of the modules that they are grouped into."""
    planned = {plan.target.id: _describe(plan, module, cache) for module in modules for plan in module.plans}
    return Preview(
        package=str(out),
        buckets=buckets,
        mlir={module.mlir.name: describe_file(module.mlir) for module in modules},
        compiler=compiler_version(),
        compiler_path=str(compiler_path()),
        jobs=jobs,
        cache=str(cache.folder) if cache is not None else "",
        targets=tuple(planned[plan.target.id] for plan in plans),
        refused={name: error.message for name, error in failures.items()},
        notes=notes,
    )


def _describe(plan: Plan, module: Module, cache: Cache | None) -> PlannedTarget:
    first = module.plans[0].target.id
    name = plan.target.id
    runs, verified = _verification(plan)
    return PlannedTarget(
        target=name,
        summary=plan.target.summary,
        same_as="" if name == first else first,
        key=module.key,
        cached=cache is not None and cache.has(module.key),
        verified=verified,
        runs=runs,
        command=compile_command(module.mlir.name, f"{first}.vmfb", plan.flags),
    )


def _verification(plan: Plan) -> tuple[bool, str]:
    declared = plan.target.vulkan
    # The most that the code can need.
    needs = VulkanNeeds(declared.subgroup, declared.int64) if declared is not None else None
    variant = describe_variant(plan, 0.0, vulkan=needs)
    try:
        return True, find_runner(plan.target, variant).name
    except RunnerNotFoundError as error:
        return False, error.reason
