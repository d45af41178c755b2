"""The plan of a compilation: which targets, the compiler's flags for each, and where the package goes.

Nothing here takes long or writes anything.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from pathlib import Path

from compile.kernels.families import SHADERS, Kernels, choose_kernels
from compile.lowering.iree_compile import target_flags
from compile.lowering.processor import Processor, resolve_processor
from compile.support.errors import CompileError, PlanError
from runtime_py.package_format.manifest import ANY, MANIFEST_NAME
from targets import Registry, Target, TargetError
from targets.isa import architecture_of

ALL = "all"
USUAL, SPLIT = "module.mlirbc", "module-split.mlirbc"
WIDE, FLOORED = "module-wide.mlirbc", "module-floored.mlirbc"  # of parsers in 8 bits


@dataclass(frozen=True, slots=True)
class Plan:
    """One target of a compilation.

    Attributes:
        target: The target.
        device: Device of the runtime that runs the code.
        flags: Compiler flags.
        processor: The processor as the compiler sees it.
        kernels: Kernels that the target gets, or None.
        integers: Whether the model that is compiled multiplies integers.
    """

    target: Target
    device: str
    flags: tuple[str, ...]
    processor: Processor
    kernels: Kernels | None = None
    integers: bool = False

    @property
    def mlir(self) -> str:
        """Name of the MLIR file that is compiled for the target.

        Targets share one file, but for a few cases. 32-bit ARM and
        WebAssembly have their own (`compile.lowering.export.split_softmax`).
        With kernels or shaders there is one file for each processor. Products of integers on GPUs without shaders have
        their own (`pqrnn.model.int8.widen_weights`), because many GPUs cannot store 8 bits, and the compiler's code is
        silently wrong; so have those of the interpreter, which rounds where it should cut off
        (`pqrnn.model.int8.round_by_floor`).
        """
        if self.kernels is not None:
            return (
                f"module-{self.kernels.name}-{hashlib.sha256(self.processor.resolved.encode()).hexdigest()[:12]}.mlirbc"
            )
        if self.integers and self.processor.triple == ANY:
            return FLOORED if self.target.vulkan is None else WIDE
        return SPLIT if architecture_of(self.processor.triple) in ("arm", "wasm32") else USUAL

    def with_kernels(self, integers: bool) -> Plan:
        """Return the plan with the kernels that its processor has instructions for, or a GPU's shaders for integers.

        Args:
            integers: Whether the model multiplies integers.
        """
        if self.target.vulkan is not None:
            return replace(self, kernels=SHADERS if integers else None, integers=integers)
        return replace(
            self, kernels=choose_kernels(self.processor.triple, self.processor.features, integers), integers=integers
        )


def check_destination(out: Path, replace: bool, mark: str = MANIFEST_NAME) -> None:
    """Refuse a destination where no package can be written, before minutes of work.

    Changes until the package is written are noticed then.

    Args:
        out: Directory of the package to be.
        replace: Whether a package at `out` may be replaced.
        mark: Name of the file that tells such a package.

    Raises:
        PlanError: Something that may not be replaced exists at `out`, or its folder cannot be written to.
    """
    if out.exists() and not (out / mark).is_file():
        raise PlanError(f"{out}: exists and is no package, so it is not replaced. Choose another name")
    if out.exists() and not replace:
        raise PlanError(f"{out}: exists already. Choose another name, or say that it may be replaced (--replace)")
    folder = next(parent for parent in out.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise PlanError(f"{out}: {folder} is no folder that can be written to. Choose another name")


def choose_targets(names: Sequence[str], known: Registry) -> tuple[list[Target], dict[str, CompileError]]:
    """Look targets up.

    Args:
        names: Names of targets; "all" stands for every target whose code can leave this machine and that is not
            refused.
        known: Registry that targets are looked up in.

    Returns:
        The targets, and the errors of those that "all" stands for and whose files are not valid, by name.

    Raises:
        PlanError: There is no target, or a target is given twice.
        TargetError: A target that was named is unknown, its file is not valid, or there can be no code for it.
    """
    if not names:
        raise PlanError("no target to compile for")
    named = [known.get(name) for name in names if name != ALL]
    if len({target.id for target in named}) != len(named) or list(names).count(ALL) > 1:
        raise PlanError(f"a target is given twice: {', '.join(names)}")
    for target in named:
        if target.refused:
            raise TargetError(f"{target.id}: {target.refused}")
    failures: dict[str, CompileError] = {}
    if ALL in names:
        listed = {target.id for target in named}
        for name in known.names():
            try:
                target = known.get(name)
            except TargetError as error:
                failures[name] = PlanError(str(error))
                continue
            if name not in listed and not target.development and not target.refused:
                named.append(target)
    return named, failures


def plan_targets(
    targets: Sequence[Target], known: Registry, jobs: int = 1
) -> tuple[list[Plan], dict[str, CompileError]]:
    """Ask the compiler for the processors of targets.

    Args:
        targets: Targets to compile for.
        known: Registry that the targets come from.
        jobs: Number of targets to ask for at a time.

    Returns:
        The plans, and the errors of targets that the compiler does not accept, by name.
    """
    failures: dict[str, CompileError] = {}

    def plan(target: Target) -> Plan | None:
        family = known.family(target)
        flags = target_flags(target, family)
        try:
            return Plan(target, family.device, flags, resolve_processor(target, flags))
        except CompileError as error:
            failures[target.id] = error
            return None

    with ThreadPoolExecutor(jobs) as pool:
        waiting = [pool.submit(copy_context().run, plan, target) for target in targets]
        plans = [future.result() for future in waiting]
    return [plan for plan in plans if plan is not None], failures


def usable_cores() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
