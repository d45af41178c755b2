"""Stages 3 and 4 for all targets at a time: compile every distinct module once, and prove it on each kind of machine.

The work is done by processes that the threads of this one wait for: compilers, emulators, and the interpreters that
replay golden vectors.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compile.lowering.cache import Cache, cache_key
from compile.lowering.iree_compile import Compiled, compile_module, compiler_version
from compile.plan import Plan
from compile.support.errors import CompileError
from compile.support.process import tool_group
from compile.support.progress import Reporter
from compile.support.stopwatch import Stopwatch
from compile.variant import ProvedVariant, adopt_proof, identify_proof, prove_variant
from compile.verify.golden import GoldenSet
from runtime_py.package_format.manifest import Bucket, Manifest, Variant

_WAKE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Module:
    """A module to compile.

    Attributes:
        key: Key of the compiled module in the cache.
        mlir: File of the module in MLIR.
        plans: Targets that get this module.
    """

    key: str
    mlir: Path
    plans: tuple[Plan, ...]


def group_modules(mlir: Mapping[str, Path], plans: Sequence[Plan]) -> list[Module]:
    """Group targets for which the compiler would make the same module.

    Args:
        mlir: Files of the modules in MLIR, by the names that plans refer to (`Plan.mlir`).
        plans: The targets.
    """
    version = compiler_version()
    contents = {name: path.read_bytes() for name, path in mlir.items()}
    groups: dict[str, list[Plan]] = {}
    for plan in plans:
        groups.setdefault(cache_key(contents[plan.mlir], plan.flags, version, plan.processor.resolved), []).append(plan)
    return [Module(key, mlir[members[0].mlir], tuple(members)) for key, members in groups.items()]


@dataclass(frozen=True, slots=True)
class Inputs:
    """Inputs that all targets have in common.

    Attributes:
        golden: Texts with PyTorch's answers.
        buckets: Length buckets of the package.
        manifest: Returns the manifest of a package with the given variants.
        files: Further files of the package, by their names in it.
        golden_of_parts: Golden texts of parts of the network that have functions of their own, by name.
    """

    golden: GoldenSet
    buckets: tuple[Bucket, ...]
    manifest: Callable[[Sequence[Variant]], Manifest]
    files: Mapping[str, bytes] = field(default_factory=dict)
    golden_of_parts: Mapping[str, GoldenSet] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A target that gets the outcome of a proof."""

    plan: Plan
    compiled: Compiled


class Builder:
    """Compiles and verifies targets in threads.

    Attributes:
        proved: Variants that passed, by target.
        failures: Errors of the other targets, by target.
    """

    def __init__(
        self,
        inputs: Inputs,
        folder: Path,
        cache: Cache | None,
        jobs: int,
        timeout: float,
        reporter: Reporter,
        stopwatch: Stopwatch,
    ) -> None:
        """Keep the settings.

        Args:
            inputs: Inputs that all targets have in common.
            folder: Folder for intermediate files.
            cache: Cache of compiled modules, or None.
            jobs: Number of tools that run at a time.
            timeout: Seconds that one run of the compiler may take.
            reporter: Told of every step.
            stopwatch: Measures the stages.
        """
        self._inputs = inputs
        self._folder = folder
        self._cache = cache
        self._jobs = jobs
        self._timeout = timeout
        self._reporter = reporter
        self._stopwatch = stopwatch
        self.proved: dict[str, ProvedVariant] = {}
        self.failures: dict[str, CompileError] = {}
        self._lock = threading.Lock()
        # Outcomes of proofs by what they are of; those under way have the list of the targets that wait for them.
        self._outcomes: dict[tuple[str, str], ProvedVariant | CompileError | list[_Waiting]] = {}

    def run(self, modules: Sequence[Module]) -> None:
        """Compile and verify all modules.

        After that every target is either in `proved` or in `failures`. On Ctrl-C, or an error in this class, all tools
        are killed first.
        """
        with tool_group() as group, ThreadPoolExecutor(self._jobs) as pool:
            try:
                compiling = {pool.submit(copy_context().run, self._compile, module): module for module in modules}
                waiting: set[Future[Any]] = set(compiling)
                while waiting:
                    # The system may give a signal to any thread, which does not wake this one from a wait without end.
                    done, waiting = wait(waiting, timeout=_WAKE_SECONDS, return_when=FIRST_COMPLETED)
                    for future in done:
                        compiled = future.result()
                        # A compiled module is verified for each of its targets; a verification returns nothing.
                        if compiled is not None:
                            module = compiling[future]
                            waiting |= {
                                pool.submit(copy_context().run, self._prove, plan, compiled, module.mlir)
                                for plan in module.plans
                            }
            except BaseException:
                group.stop()
                pool.shutdown(cancel_futures=True)
                raise

    def _compile(self, module: Module) -> Compiled | None:
        first = module.plans[0]
        for plan in module.plans:
            others = f"with {first.target.id}" if plan is not first else ""
            self._reporter.target(plan.target.id, "compile", others)
        destination = self._folder / f"{first.target.id}.vmfb"
        with self._stopwatch.measure("compile"):
            compiled = self._cache.fetch(module.key, destination) if self._cache is not None else None
            if compiled is not None:
                return compiled
            try:
                compiled = compile_module(module.mlir, destination, first.flags, self._timeout)
            except CompileError as error:
                for plan in module.plans:
                    self._fail(plan, copy(error))
                return None
            if self._cache is not None:
                self._cache.store(module.key, compiled, compiler_version())
            return compiled

    def _prove(self, plan: Plan, compiled: Compiled, mlir: Path) -> None:
        """Prove a target, or take over what became of the same code on the same kind of machine."""
        key = identify_proof(plan, compiled) or (plan.target.id, "")
        with self._lock:
            known = self._outcomes.setdefault(key, [])
            if isinstance(known, list):
                known.append(_Waiting(plan, compiled))
                if len(known) > 1:
                    return
        outcome = known if not isinstance(known, list) else self._run_proof(plan, compiled, mlir)
        with self._lock:
            waiting = known if isinstance(known, list) else [_Waiting(plan, compiled)]
            self._outcomes[key] = outcome
        for each in waiting:
            self._settle(each, outcome)

    def _run_proof(self, plan: Plan, compiled: Compiled, mlir: Path) -> ProvedVariant | CompileError:
        name, inputs = plan.target.id, self._inputs
        folder = self._folder / f"{name}.proof"
        folder.mkdir()
        with self._stopwatch.measure("verify"):
            try:
                return prove_variant(
                    plan,
                    compiled,
                    inputs.manifest,
                    inputs.golden,
                    inputs.buckets,
                    mlir,
                    folder,
                    lambda runner: self._reporter.target(
                        name, "verify", f"on {runner}" if runner else "by looking at the code"
                    ),
                    inputs.files,
                    inputs.golden_of_parts,
                )
            except CompileError as error:
                return error

    def _settle(self, waiting: _Waiting, outcome: ProvedVariant | CompileError) -> None:
        plan, compiled = waiting.plan, waiting.compiled
        name = plan.target.id
        if isinstance(outcome, CompileError):
            self._fail(plan, copy(outcome))
            return
        first = outcome.variant.target
        self.proved[name] = outcome if first == name else adopt_proof(plan, compiled, outcome)
        same = f"with {first}, which has the same code" if first != name else ""
        cached = "from the cache" if compiled.cached else ""
        self._reporter.target(name, "verify", ", ".join(filter(None, (same, cached))), "done")

    def _fail(self, plan: Plan, error: CompileError) -> None:
        self.failures[plan.target.id] = error
        self._reporter.target(plan.target.id, error.stage, error.message, "failed")
