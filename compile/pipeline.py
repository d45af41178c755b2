"""All stages in order: from a checkpoint to a package that has been seen to answer right."""

from __future__ import annotations

import dataclasses
import hashlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from compile.lowering.buckets import FINE_STEP, STEP, choose_buckets
from compile.lowering.cache import Cache
from compile.lowering.iree_compile import DEFAULT_TIMEOUT, Statistics
from compile.plan import ARM, WIDE, Plan, check_destination, choose_targets, plan_targets, usable_cores
from compile.support.errors import CompileError, PackagingError, PlanError, TargetsError
from compile.support.process import tool_group
from compile.support.progress import STAGES, Progress, Reporter
from compile.support.reproduction import clear_evidence, failure_folder, keep_evidence
from compile.support.stopwatch import Stopwatch
from runtime_py.cache import module_folder
from runtime_py.errors import PackageError
from runtime_py.package_format.manifest import Bucket, Manifest, Variant
from targets import Registry, Target, registry

if TYPE_CHECKING:
    from compile.build import Builder, Inputs, Module
    from compile.kernels.families import Kernels
    from compile.preview import Preview
    from compile.variant import Proved
    from compile.verify.golden import GoldenSet
    from pqrnn.checkpoint import Checkpoint
    from pqrnn.model.parser import ParserModel

__all__ = ["STAGES", "CompileOutcome", "Progress", "compile_checkpoint", "preview_compilation"]


@dataclass(frozen=True, slots=True)
class CompileOutcome:
    """What came out.

    Attributes:
        package: The package's directory.
        manifest: What it says.
        statistics: The compiler's counts, by target.
        left_out: Golden texts that fit no bucket, and those that the model is too undecided about.
        seconds: Time by stage; what ran side by side is added up.
        failures: The targets that are not in the package, and why.
        cached: The targets whose module was compiled another time.
        ran_on: By target of the package what its code was run on; empty for nothing.
        notes: What whoever ships the package has to know.
    """

    package: Path
    manifest: Manifest
    statistics: dict[str, Statistics]
    left_out: tuple[int, int]
    seconds: dict[str, float]
    failures: dict[str, CompileError]
    cached: frozenset[str]
    ran_on: dict[str, str]
    notes: tuple[str, ...]


def compile_checkpoint(
    checkpoint: Path,
    out: Path,
    targets: Sequence[str] = ("host",),
    *,
    buckets: Sequence[Bucket] | None = None,
    replace: bool = False,
    jobs: int | None = None,
    cache: bool = True,
    kernels: bool = True,
    batch: int = 1,
    timeout: float = DEFAULT_TIMEOUT,
    known: Registry | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> CompileOutcome:
    """Compile a trained parser for one or more targets into one package.

    The package appears at `out` when everything else is done, with every target that passed; those that did not are in
    the outcome. If none passes, or a stage before them fails, or on Ctrl-C, what stood there stays as it was; no tool
    is left running. Every failure leaves a folder that repeats it: `<out>.failed/<target>`, or `<out>.failed/<stage>`;
    a run without failures removes those of an earlier one.

    Args:
        checkpoint: Folder of the trained parser.
        out: Directory of the package to be.
        targets: Names of targets; "all" is every one that can leave this machine.
        buckets: Length buckets; by default they are chosen from the lengths of the training texts
            (`compile.lowering.buckets`).
        replace: Whether a package at `out` may be replaced.
        jobs: How many targets are worked on at a time; by default as many as there are processor cores.
        cache: Whether modules are taken from and kept in the cache (`compile.lowering.cache`).
        kernels: Whether a parser gets this project's own kernels where a target has the instructions
            (`compile.kernels`).
        batch: More than 1 gives every bucket a second entry for that many texts at once, for servers
            (`Parser.parse_batch`).
        timeout: Seconds for one run of the compiler.
        known: Where targets are looked up; by default those of this project.
        on_progress: Called at every step, by one thread at a time.

    Raises:
        CompileError: A stage before the targets failed, or the only target; its class says which stage. TargetsError
            where there were several.
        CheckpointError: The checkpoint cannot be read.
        TargetError: A target is unknown or its file is not valid.
    """
    check_destination(out, replace)
    return _Compilation(out, jobs, cache, kernels, batch, timeout, on_progress).run(
        checkpoint, targets, buckets, known or registry(), replace
    )


def preview_compilation(
    checkpoint: Path,
    out: Path,
    targets: Sequence[str] = ("host",),
    *,
    buckets: Sequence[Bucket] | None = None,
    replace: bool = False,
    jobs: int | None = None,
    cache: bool = True,
    kernels: bool = True,
    batch: int = 1,
    known: Registry | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Preview:
    """Say what `compile_checkpoint` would do.

    The model is exported, to say what is in the cache; nothing is compiled or written.

    Arguments and errors as `compile_checkpoint`.
    """
    check_destination(out, replace)
    return _Compilation(out, jobs, cache, kernels, batch, DEFAULT_TIMEOUT, on_progress).preview(
        checkpoint, targets, buckets, known or registry()
    )


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What is known before a target is looked at.

    Attributes:
        checkpoint: The trained parser.
        model: As it is compiled.
        buckets: Its entries.
        plans: What is compiled for.
        failures: What the compiler does not accept.
    """

    checkpoint: Checkpoint
    model: ParserModel
    buckets: tuple[Bucket, ...]
    plans: list[Plan]
    failures: dict[str, CompileError]


class _Compilation:
    """One run of the stages: where it writes, whom it tells, and how long each stage took."""

    def __init__(
        self,
        out: Path,
        jobs: int | None,
        cache: bool,
        kernels: bool,
        batch: int,
        timeout: float,
        on_progress: Callable[[Progress], None],
    ) -> None:
        if jobs is not None and jobs < 1:
            raise PlanError(f"{jobs} jobs were asked for, expected at least 1")
        if batch < 1:
            raise PlanError(f"batches of {batch} texts were asked for, expected at least 1")
        self.out = out
        self.jobs = jobs or usable_cores()
        self.cache = Cache(module_folder()) if cache else None
        self.kernels = kernels
        self.batch = batch
        self.timeout = timeout
        self.report = Reporter(on_progress)
        self.stopwatch = Stopwatch()

    def run(
        self, source: Path, names: Sequence[str], buckets: Sequence[Bucket] | None, known: Registry, replace: bool
    ) -> CompileOutcome:
        targets, unreadable = choose_targets(names, known)
        self.report.expect(6)
        kept = failure_folder(self.out)
        with self._evidence_of_stages(kept):
            prepared = self._prepare(source, targets, buckets, known)
            with tempfile.TemporaryDirectory(prefix="pqrnn-compile-") as folder:
                golden = self._golden(prepared)
                mlir = self._import(prepared, Path(folder))
                builder = self._build(prepared, golden, mlir, Path(folder))
                failures = unreadable | prepared.failures | builder.failures
                clear_evidence(kept)
                for name, error in failures.items():
                    keep_evidence(error, kept / name)
                if not builder.proved:
                    raise next(iter(failures.values())) if len(failures) == 1 else TargetsError(failures)
                proved = [builder.proved[plan.target.id] for plan in prepared.plans if plan.target.id in builder.proved]
                manifest = self._write(self._describe(prepared, golden), proved, golden, replace)
        return CompileOutcome(
            package=self.out,
            manifest=manifest,
            statistics={one.variant.target: one.compiled.statistics for one in proved},
            left_out=(golden.too_long, golden.undecided),
            seconds=self.stopwatch.seconds,
            failures=failures,
            cached=frozenset(one.variant.target for one in proved if one.compiled.cached),
            ran_on={one.variant.target: one.runner for one in proved},
            notes=self._notes(targets),
        )

    def preview(self, source: Path, names: Sequence[str], buckets: Sequence[Bucket] | None, known: Registry) -> Preview:
        from compile.build import group_modules
        from compile.preview import describe_plan

        targets, unreadable = choose_targets(names, known)
        self.report.expect(4)
        prepared = self._prepare(source, targets, buckets, known)
        with tempfile.TemporaryDirectory(prefix="pqrnn-compile-") as folder:
            modules = group_modules(self._import(prepared, Path(folder)), prepared.plans)
            return describe_plan(
                self.out,
                prepared.buckets,
                prepared.plans,
                modules,
                self.cache,
                self.jobs,
                unreadable | prepared.failures,
                self._notes(targets),
            )

    @contextmanager
    def _evidence_of_stages(self, kept: Path) -> Iterator[None]:
        """Keep what a failure of a stage that all targets have in common leaves; those of targets are kept before."""
        try:
            yield
        except CompileError as error:
            if error.folder is None:
                keep_evidence(error, kept / error.stage)
            raise

    def _prepare(
        self, source: Path, targets: Sequence[Target], buckets: Sequence[Bucket] | None, known: Registry
    ) -> _Prepared:
        with self._stage("plan", "targets"), tool_group():
            plans, failures = plan_targets(targets, known, self.jobs)
        if not plans:
            raise next(iter(failures.values())) if len(failures) == 1 else TargetsError(failures)
        with self._stage("plan", f"checkpoint {source}"):
            # Only now: PyTorch takes seconds to load, and a misspelt target should not.
            from compile.kernels.modules import counts_words, has_products
            from pqrnn.checkpoint import load_checkpoint

            checkpoint = load_checkpoint(source)
            model = checkpoint.model.folded()
            integers = has_products(model)
            plans = [
                plan.with_kernels(integers) if self.kernels else dataclasses.replace(plan, integers=integers)
                for plan in plans
            ]
            if buckets is not None:
                chosen = tuple(buckets)
            elif all(counts_words(model, plan.kernels) for plan in plans):
                chosen = choose_buckets(checkpoint.facts.lengths, most=1)
            else:
                chosen = choose_buckets(checkpoint.facts.lengths, step=FINE_STEP if self.kernels and integers else STEP)
        self.report.expect(
            (len(chosen) + 1) * len({_form(plan) for plan in plans}) - 2
        )  # one of each is expected already
        return _Prepared(checkpoint, model, chosen, plans, failures)

    def _golden(self, prepared: _Prepared) -> GoldenSet:
        from compile.verify.golden import make_golden
        from compile.verify.reference import Oracle

        texts = prepared.checkpoint.facts.golden_texts
        with self._stage("golden", f"{len(texts)} texts of the training set, and tricky ones"):
            return make_golden(
                Oracle(prepared.model, prepared.buckets),
                [text.encode("utf-8", "replace") for text in texts],
                prepared.buckets,
            )

    def _import(self, prepared: _Prepared, folder: Path) -> dict[str, Path]:
        from compile.kernels.linking import link_kernels
        from compile.kernels.modules import with_kernels
        from compile.lowering.export import export_entries, split_softmax
        from compile.lowering.import_mlir import import_programs
        from pqrnn.model.int8 import widen_weights

        def tell(bucket: Bucket) -> None:
            self.report.step("export", f"{bucket.entry} ({bucket.bytes} bytes)")

        modules: dict[str, Path] = {}
        for kernels, wide in dict.fromkeys(_form(plan) for plan in prepared.plans):
            with self.stopwatch.measure("export"):
                model = (
                    with_kernels(prepared.model, kernels)
                    if kernels
                    else widen_weights(prepared.model)
                    if wide
                    else prepared.model
                )
                programs = export_entries(model, prepared.buckets, tell, self.batch)
            with self._stage("import", f"{len(prepared.buckets)} entries{f' for {kernels.name}' if kernels else ''}"):
                wanted = {plan.mlir: plan for plan in prepared.plans if _form(plan) == (kernels, wide)}
                if kernels is None:
                    modules |= {
                        name: import_programs(split_softmax(programs) if name == ARM else programs, folder / name)
                        for name in sorted(wanted)
                    }
                else:
                    imported = import_programs(programs, folder / f"{kernels.name}.mlirbc")
                    modules |= {
                        name: link_kernels(imported, folder / name, kernels, plan.processor.resolved)
                        for name, plan in sorted(wanted.items())
                    }
        return modules

    def _describe(self, prepared: _Prepared, golden: GoldenSet) -> Callable[[Sequence[Variant]], Manifest]:
        from compile.packaging.manifest import describe_package

        name = self.out.name.removesuffix(".pqrnn")
        parameters = prepared.model.parameters_count()
        facts, buckets = prepared.checkpoint.facts, prepared.buckets
        return lambda variants: describe_package(name, facts, parameters, buckets, variants, golden, self.batch)

    def _build(self, prepared: _Prepared, golden: GoldenSet, mlir: dict[str, Path], folder: Path) -> Builder:
        from compile.build import Builder, Inputs, group_modules

        inputs: Inputs = Inputs(golden, prepared.buckets, self._describe(prepared, golden))
        modules: list[Module] = group_modules(mlir, prepared.plans)
        self.report.expect_targets(plan.target.id for plan in prepared.plans)
        builder = Builder(inputs, folder, self.cache, self.jobs, self.timeout, self.report, self.stopwatch)
        builder.run(modules)
        return builder

    def _write(
        self,
        describe: Callable[[Sequence[Variant]], Manifest],
        proved: Sequence[Proved],
        golden: GoldenSet,
        replace: bool,
    ) -> Manifest:
        """Put the package together beside its destination, and let it take its place."""
        from runtime_py.package_format.golden import save_golden
        from runtime_py.package_format.package import new_package, open_package, seal

        try:
            with self._stage("package", str(self.out)), new_package(self.out, replace) as staging:
                manifest = describe(_store_modules(staging, proved))
                vectors = staging / manifest.golden.path
                vectors.parent.mkdir(parents=True, exist_ok=True)
                save_golden(vectors, golden.stored)
                seal(staging, manifest)
                manifest = open_package(staging).manifest
        except PackageError as error:
            raise PackagingError(str(error)) from error
        except OSError as error:
            raise PackagingError(f"{error.filename or self.out}: cannot be written ({error.strerror})") from error
        return manifest

    def _notes(self, targets: Sequence[Target]) -> tuple[str, ...]:
        own = [target.id for target in targets if target.development]
        notes = [
            f"{name} is this machine and no other: do not ship this package, compile for a named target (`pqrnn targets`)"
            for name in own
        ]
        return (*notes, *([self.cache.problem] if self.cache is not None and self.cache.problem else []))

    @contextmanager
    def _stage(self, stage: str, detail: str) -> Iterator[None]:
        self.report.step(stage, detail)
        with self.stopwatch.measure(stage):
            yield


def _form(plan: Plan) -> tuple[Kernels | None, bool]:
    """Return what a plan's module is exported for:

    kernels, and whether its integer products are computed in float32.
    """
    return plan.kernels, plan.mlir == WIDE


def _store_modules(folder: Path, proved: Sequence[Proved]) -> list[Variant]:
    """Copy the modules of variants into a package, equal ones once;

    return the variants with the paths of their modules.
    """
    variants = []
    paths: dict[str, str] = {}
    for one in proved:
        content = one.compiled.path.read_bytes()
        path = paths.setdefault(hashlib.sha256(content).hexdigest(), one.variant.path)
        if path == one.variant.path:
            destination = folder / path
            destination.parent.mkdir(parents=True)
            destination.write_bytes(content)
        variants.append(msgspec.structs.replace(one.variant, path=path))
    return variants
