"""A compiled module is run where a machine for it is at hand, else checked statically; the variant says which."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from compile.emulation.runner import Runner, RunnerNotFoundError, find_runner
from compile.lowering.iree_compile import Compiled, compile_evidence
from compile.packaging.manifest import describe_variant
from compile.packaging.writer import PackageWriter
from compile.plan import Plan
from compile.support.errors import VerificationError
from compile.verify.golden import GoldenSet
from compile.verify.replay import verify_variant
from compile.verify.static_checks import (
    INT64,
    check_machine_code,
    check_pages,
    check_shaders,
    shader_features,
    uses_subgroups,
)
from runtime_py.package_format.manifest import Bucket, Manifest, Variant, VulkanNeeds
from runtime_py.package_format.proofs import Parity

_REPEATS = 3  # rounds of the golden texts on a processor


@dataclass(frozen=True, slots=True)
class ProvedVariant:
    """A variant as it goes into the package.

    Attributes:
        variant: Description of the variant.
        compiled: Module of the variant, outside the package.
        runner: Machine or emulator that the module was run on; empty where it was not run.
    """

    variant: Variant
    compiled: Compiled
    runner: str


def describe_code(plan: Plan, compiled: Compiled) -> Variant:
    """Describe a module that has not been run yet, with the features of a GPU that its code needs."""
    needs = None
    if plan.target.vulkan is not None:
        code = compiled.path.read_bytes()
        used = shader_features(code)
        lanes = plan.target.vulkan.subgroup if uses_subgroups(code) else 0
        needs = VulkanNeeds(lanes, INT64 in used, sorted(used - {INT64}))
    return describe_variant(plan, compiled.seconds, compiled.statistics.dispatches, needs)


def identify_proof(plan: Plan, compiled: Compiled) -> tuple[str, str] | None:
    """Return what a proof is of, the SHA-256 of the code and the machine that runs it; None where nothing here does."""
    try:
        runner = find_runner(plan.target, describe_code(plan, compiled))
    except RunnerNotFoundError:
        return None
    return hashlib.sha256(compiled.path.read_bytes()).hexdigest(), runner.name


def adopt_proof(plan: Plan, compiled: Compiled, proved: ProvedVariant) -> ProvedVariant:
    """Return the variant of a target whose code, and machine to run it, are those of a variant that passed."""
    variant = msgspec.structs.replace(
        describe_code(plan, compiled), parity=proved.variant.parity, unverified_reason=proved.variant.unverified_reason
    )
    return ProvedVariant(variant, compiled, proved.runner)


def prove_variant(
    plan: Plan,
    compiled: Compiled,
    manifest: Callable[[Sequence[Variant]], Manifest],
    golden: GoldenSet,
    buckets: Sequence[Bucket],
    module: Path,
    folder: Path,
    on_runner: Callable[[str], None] = lambda _: None,
    files: Mapping[str, bytes] | None = None,
    golden_of_parts: Mapping[str, GoldenSet] | None = None,
) -> ProvedVariant:
    """Run a module in a package of its own, or check it statically where nothing here can run it.

    Args:
        plan: Target of the module.
        compiled: The module.
        manifest: Returns the manifest of a package with the given variants.
        golden: Texts with PyTorch's answers.
        buckets: Length buckets of the module.
        module: MLIR that the module was compiled from, for whoever examines a failure.
        folder: Empty folder; its content may be needed to examine a failure.
        on_runner: Called with the name of the machine or emulator before the module is run, or with an empty text.
        files: Further files of the package, by their names in it.
        golden_of_parts: Golden texts of parts of the network that have functions of their own, by name.

    Raises:
        VerificationError: The module does not answer as PyTorch does, or could not run on its target.
    """
    variant = describe_code(plan, compiled)
    if plan.target.family == "cpu":
        check_pages(compiled.path.read_bytes(), plan.processor)
    try:
        runner = find_runner(plan.target, variant)
    except RunnerNotFoundError as error:
        on_runner("")
        checked = _check_code(plan, compiled)
        reason = f"compiled and checked statically ({checked}); never run, because nothing here can: {error.reason}"
        return ProvedVariant(msgspec.structs.replace(variant, unverified_reason=reason), compiled, "")
    on_runner(runner.name)
    package = folder / "package.pqrnn"
    writer = PackageWriter(package, manifest, golden, files, golden_of_parts)
    writer.add_variant(variant, compiled.path)
    writer.finish()
    try:
        # What runs slowly is a program itself, and repeats itself: it is asked once, and by every entry once more.
        repeats = 1 if runner.emulated or plan.target.family != "cpu" else _REPEATS
        parity: Parity = verify_variant(package, variant.target, buckets, golden, runner, repeats)
        for name, vectors in (golden_of_parts or {}).items():
            of_part = [bucket.of_part(name) for bucket in buckets]
            verify_variant(package, variant.target, of_part, vectors, runner, repeats, budget=name)
    except VerificationError as error:
        error.evidence |= compile_evidence(module, plan.flags) | _replay_evidence(package, variant, runner)
        raise
    return ProvedVariant(msgspec.structs.replace(variant, parity=parity, unverified_reason=None), compiled, runner.name)


def _check_code(plan: Plan, compiled: Compiled) -> str:
    code = compiled.path.read_bytes()
    if plan.target.vulkan is not None:
        return check_shaders(code)
    if plan.target.family == "cpu":
        return check_machine_code(code, plan.processor)
    return "nothing to look at: it is no machine code"


def _replay_evidence(package: Path, variant: Variant, runner: Runner) -> dict[str, bytes | Path]:
    files: dict[str, bytes | Path] = {
        f"{package.name}/{path.relative_to(package).as_posix()}": path for path in package.rglob("*") if path.is_file()
    }
    settings = [f"{name}={value}" for name, value in runner.environment.items()]
    command = shlex.join(
        ["env", *settings, *runner.python, "-m", "runtime_py.tools.replay", package.name, "--target", variant.target]
    )
    return {**files, "replay.sh": f"#!/bin/sh\n# on {runner.name}\n{command}\n".encode()}
