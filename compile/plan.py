"""What is to be compiled:

which targets, what the compiler is told for each, and where the package goes. Nothing here takes long or writes
anything.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from pathlib import Path

from compile.kernels.families import Kernels, choose_kernels
from compile.lowering.iree_compile import target_flags
from compile.lowering.processor import Processor, resolve_processor
from compile.support.errors import CompileError, PlanError
from runtime_py.package_format.manifest import ANY, MANIFEST_NAME
from targets import Registry, Target, TargetError
from targets.isa import architecture_of

ALL = "all"
USUAL, ARM, WIDE = "module.mlirbc", "module-arm.mlirbc", "module-wide.mlirbc"


@dataclass(frozen=True, slots=True)
class Plan:
    """One target of a compilation: what it is, what the compiler is told, what its processor comes down to, which kernels it gets, and whether the model that
    is compiled for it has integer products.
    """

    target: Target
    device: str
    flags: tuple[str, ...]
    processor: Processor
    kernels: Kernels | None = None
    integers: bool = False

    @property
    def mlir(self) -> str:
        """The name of the module that is compiled for it: one for all, others for 32-bit ARM (`compile.lowering.export.split_softmax`) and for integer products on GPUs
        and in the interpreter (`pqrnn.model.int8.widen_weights`: many GPUs cannot store 8 bits, and the code for both is wrong in silence), and with kernels one
        a processor.
        """
        if self.kernels is not None:
            return (
                f"module-{self.kernels.name}-{hashlib.sha256(self.processor.resolved.encode()).hexdigest()[:12]}.mlirbc"
            )
        if self.integers and self.processor.triple == ANY:
            return WIDE
        return ARM if architecture_of(self.processor.triple) == "arm" else USUAL

    def with_kernels(self, integers: bool) -> Plan:
        """Return the plan with the kernels that its processor has instructions for (`compile.kernels`);

        `integers`: whether there are integer products.
        """
        return replace(
            self, kernels=choose_kernels(self.processor.triple, self.processor.features, integers), integers=integers
        )


def check_destination(out: Path, replace: bool) -> None:
    """Refuse a place where no package can be written, before minutes of work.

    What has changed by the time of writing is found again then.

    Raises:
        PlanError: Something is there that may not be replaced, or a file is where a folder has to be.
    """
    if out.exists() and not (out / MANIFEST_NAME).is_file():
        raise PlanError(f"{out}: exists and is no package, so it is not replaced. Choose another name")
    if out.exists() and not replace:
        raise PlanError(f"{out}: exists already. Choose another name, or say that it may be replaced (--replace)")
    place = next(parent for parent in out.absolute().parents if parent.exists())
    if not place.is_dir() or not os.access(place, os.W_OK):
        raise PlanError(f"{out}: {place} is no folder that can be written to. Choose another name")


def choose_targets(names: Sequence[str], known: Registry) -> tuple[list[Target], dict[str, CompileError]]:
    """Look targets up; "all" stands for every one that can leave this machine and that there is code for.

    Returns:
        The targets, and by name those that "all" stands for and whose files are not valid.

    Raises:
        PlanError: No target, or one twice.
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
    """Ask the compiler what the processors of targets are.

    Args:
        targets: What is compiled for.
        known: Where they come from.
        jobs: How many are asked for at a time.

    Returns:
        The plans, and by name the targets that the compiler does not accept.
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
        plans = [one.result() for one in waiting]
    return [one for one in plans if one is not None], failures


def usable_cores() -> int:
    """Return how many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
