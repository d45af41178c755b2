"""All stages in order: from a checkpoint to a package whose answers have been compared with PyTorch's."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from compile.imports import Importer, form_of, identify
from compile.lowering.buckets import FINE_STEP, STEP, choose_buckets
from compile.lowering.cache import find_cache
from compile.lowering.iree_compile import Statistics
from compile.options import DEFAULT_OPTIONS, CompileOptions
from compile.parts import choose_parts, smaller_parts
from compile.plan import Plan, check_destination, choose_targets, plan_targets, usable_cores
from compile.prepared import Prepared
from compile.support.errors import CompileError, PackagingError, PlanError, TargetsError
from compile.support.process import tool_group
from compile.support.progress import STAGES, Progress, Reporter
from compile.support.reproduction import clear_evidence, failure_folder, keep_evidence
from compile.support.scratch import scratch_folder
from compile.support.stopwatch import Stopwatch
from runtime_py.errors import PackageError
from runtime_py.package_format.manifest import Bucket, Manifest, Variant
from targets import Registry, Target, registry

if TYPE_CHECKING:
    from compile.build import Builder
    from compile.native.libraries import ProvedLibrary
    from compile.preview import Preview
    from compile.variant import ProvedVariant
    from compile.verify.golden import GoldenSet
    from pqrnn.checkpoint import Checkpoint
    from pqrnn.model.parser import ParserModel

    _Goldens = tuple[GoldenSet, Mapping[str, GoldenSet]]  # of the whole network and of its parts

__all__ = ["STAGES", "CompileOptions", "CompileOutcome", "Progress", "compile_checkpoint", "preview_compilation"]


@dataclass(frozen=True, slots=True)
class CompileOutcome:
    """Result of a compilation.

    Attributes:
        package: Directory of the package.
        manifest: Manifest of the package.
        statistics: The compiler's counts, by target.
        left_out: Number of golden texts that fit no bucket, and of those that the model is too undecided about.
        seconds: Time by stage; the times of stages that ran side by side are added up.
        failures: Targets that are not in the package, and why.
        cached: Targets whose module was taken from the cache.
        ran_on: Machine or emulator that each target's code was run on, by target; empty for code that was not run.
        notes: Remarks for whoever ships the package.
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
    options: CompileOptions = DEFAULT_OPTIONS,
    *,
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
        targets: Names of targets; "all" stands for every target whose code can leave this machine.
        options: Settings of the compilation.
        known: Registry that targets are looked up in, or None for that of this project.
        on_progress: Called at every step, by one thread at a time.

    Raises:
        CompileError: A stage before the targets failed, or the only target; its class says which stage. TargetsError
            where there were several.
        CheckpointError: The checkpoint cannot be read.
        TargetError: A target is unknown or its file is not valid.
    """
    check_destination(out, options.replace)
    return _Compilation(out, options, known or registry(), on_progress).run(checkpoint, targets)


def preview_compilation(
    checkpoint: Path,
    out: Path,
    targets: Sequence[str] = ("host",),
    options: CompileOptions = DEFAULT_OPTIONS,
    *,
    known: Registry | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Preview:
    """Say what `compile_checkpoint` would do.

    The model is exported, to say what is in the cache; nothing is compiled, and nothing written but the export into the
    cache.

    Arguments and errors as `compile_checkpoint`.
    """
    check_destination(out, options.replace)
    return _Compilation(out, options, known or registry(), on_progress).preview(checkpoint, targets)


class _Compilation:
    """One run of the stages, with its destination, its listener and the time that each stage took."""

    def __init__(
        self, out: Path, options: CompileOptions, known: Registry, on_progress: Callable[[Progress], None]
    ) -> None:
        self.out = out
        self.options = options
        self.known = known
        self.jobs = options.jobs or usable_cores()
        self.cache, self.uncached = find_cache() if options.cache else (None, "")
        self.report = Reporter(on_progress)
        self.stopwatch = Stopwatch()

    def run(self, source: Path, names: Sequence[str]) -> CompileOutcome:
        targets, unreadable = choose_targets(names, self.known)
        self.report.expect(6)
        kept = failure_folder(self.out)
        with self._evidence_of_stages(kept):
            prepared = self._prepare(source, targets)
            with scratch_folder("compile") as folder:
                golden, of_parts = self._golden(prepared)
                mlir = self._import(prepared, folder)
                builder = self._build(prepared, golden, of_parts, mlir, folder)
                libraries, unbuilt = self._build_libraries(prepared, builder.proved, (golden, of_parts), folder)
                failures = unreadable | prepared.failures | builder.failures | unbuilt
                clear_evidence(kept)
                for name, error in failures.items():
                    keep_evidence(error, kept / name)
                if not builder.proved:
                    raise _join_failures(failures)
                proved = [builder.proved[plan.target.id] for plan in prepared.plans if plan.target.id in builder.proved]
                manifest = self._write(prepared, proved, libraries, golden, of_parts)
        return CompileOutcome(
            package=self.out,
            manifest=manifest,
            statistics={item.variant.target: item.compiled.statistics for item in proved},
            left_out=(golden.too_long, golden.undecided),
            seconds=self.stopwatch.seconds,
            failures=failures,
            cached=frozenset(item.variant.target for item in proved if item.compiled.cached),
            ran_on={item.variant.target: item.runner for item in proved},
            notes=self._notes(targets),
        )

    def preview(self, source: Path, names: Sequence[str]) -> Preview:
        from compile.build import group_modules
        from compile.preview import describe_plan

        targets, unreadable = choose_targets(names, self.known)
        self.report.expect(4)
        prepared = self._prepare(source, targets)
        with scratch_folder("compile") as folder:
            modules = group_modules(self._import(prepared, folder), prepared.plans)
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
        """Keep the evidence of a stage that all targets have in common; that of single targets is kept before."""
        try:
            yield
        except CompileError as error:
            if error.folder is None:
                keep_evidence(error, kept / error.stage)
            raise

    def _prepare(self, source: Path, targets: Sequence[Target]) -> Prepared:
        with self._stage("plan", "targets"), tool_group():
            plans, failures = plan_targets(targets, self.known, self.jobs)
        if not plans:
            raise _join_failures(failures)
        with self._stage("plan", f"checkpoint {source}"):
            # Only now: PyTorch takes seconds to load, and a misspelt target should not.
            from compile.kernels.modules import has_products
            from compile.subwords.program import is_finetuned
            from pqrnn.checkpoint import digest_weights, load_checkpoint

            if self.options.native:
                from compile.native.libraries import find_compilers

                find_compilers([plan.target for plan in plans])  # that there is none is said before minutes of work
            if is_finetuned(source):
                return self._prepare_subwords(source, plans, failures)
            checkpoint, weights = load_checkpoint(source), digest_weights(source)
            model = checkpoint.model.folded()
            integers = has_products(model)
            plans = [
                plan.with_kernels(integers) if self.options.kernels else dataclasses.replace(plan, integers=integers)
                for plan in plans
            ]
            buckets = self._choose_buckets(checkpoint, model, plans)
        exports = len({form_of(plan) for plan in plans})
        self.report.expect((len(buckets) + 1) * exports - 2)  # one of each is expected already
        parts = choose_parts(model, checkpoint.facts, buckets) if self.options.budgets else {}
        return Prepared(checkpoint, weights, model, buckets, plans, failures, identify(source, weights), parts)

    def _prepare_subwords(self, source: Path, plans: list[Plan], failures: dict[str, CompileError]) -> Prepared:
        """Prepare a fine-tuned encoder, which has no kernels, and whose tokenizer needs a processor."""
        from compile.subwords.program import choose_subword_buckets, load_source
        from pqrnn.checkpoint import digest_weights

        if self.options.native:
            raise PlanError(f"{source}: a parser of subwords has no native form (--native); distil a parser from it")
        gpus = [plan.target.id for plan in plans if plan.target.vulkan is not None]
        if gpus or self.options.batch > 1:
            what = f"for {', '.join(gpus)}" if gpus else f"for {self.options.batch} texts at once (--batch)"
            raise PlanError(f"{source}: a parser of subwords cannot be compiled {what}: its words are cut one by one")
        loaded = load_source(source)
        buckets = tuple(self.options.buckets or choose_subword_buckets(loaded.model, loaded.facts))
        plans = [dataclasses.replace(plan, integers=False) for plan in plans]
        parts = choose_parts(loaded.model, loaded.facts, buckets) if self.options.budgets else {}
        return Prepared(loaded, digest_weights(source), loaded.model, buckets, plans, failures, parts=parts)

    def _choose_buckets(self, checkpoint: Checkpoint, model: ParserModel, plans: Sequence[Plan]) -> tuple[Bucket, ...]:
        from compile.kernels.modules import counts_words, has_products

        if self.options.buckets is not None:
            return tuple(self.options.buckets)
        if all(counts_words(model, plan.kernels) for plan in plans):
            return choose_buckets(checkpoint.facts.lengths, most=1)
        fine = self.options.kernels and has_products(model)
        return choose_buckets(checkpoint.facts.lengths, step=FINE_STEP if fine else STEP)

    def _golden(self, prepared: Prepared) -> tuple[GoldenSet, dict[str, GoldenSet]]:
        """Return the golden texts of the whole network, and those of its parts by name."""
        from compile.verify.golden import make_golden

        facts = prepared.checkpoint.facts
        texts = [text.encode("utf-8", "replace") for text in facts.golden_texts]
        with self._stage("golden", f"{len(texts)} texts of the training set, and tricky ones"):
            whole, *of_parts = (
                make_golden(prepared.oracle(lengths), texts, prepared.buckets, facts.labels)
                for lengths in (None, *smaller_parts(prepared.parts).values())
            )
        return whole, dict(zip(smaller_parts(prepared.parts), of_parts, strict=True))

    def _import(self, prepared: Prepared, folder: Path) -> dict[str, Path]:
        """Return the MLIR files by name."""
        return Importer(
            model=prepared.model,
            identity=prepared.identity,
            plans=prepared.plans,
            buckets=prepared.buckets,
            batch=self.options.batch,
            folder=folder,
            kept=self.cache,
            report=self.report,
            stopwatch=self.stopwatch,
            parts=smaller_parts(prepared.parts),
        ).run()

    def _describe(
        self, prepared: Prepared, golden: GoldenSet, of_parts: Mapping[str, GoldenSet]
    ) -> Callable[[Sequence[Variant]], Manifest]:
        from compile.packaging.manifest import describe_package
        from compile.subwords.program import SubwordParser

        name = self.out.name.removesuffix(".pqrnn")
        parameters = prepared.model.parameters_count()
        facts, buckets, batch = prepared.checkpoint.facts, prepared.buckets, self.options.batch
        tokenizer = prepared.model.describe_tokenizer() if isinstance(prepared.model, SubwordParser) else None
        return lambda variants: describe_package(
            name,
            facts,
            parameters,
            buckets,
            variants,
            golden,
            batch,
            prepared.weights,
            tokenizer,
            prepared.parts,
            of_parts,
        )

    def _build(
        self,
        prepared: Prepared,
        golden: GoldenSet,
        of_parts: Mapping[str, GoldenSet],
        mlir: dict[str, Path],
        folder: Path,
    ) -> Builder:
        from compile.build import Builder, Inputs, group_modules
        from compile.subwords.program import files_of

        describe = self._describe(prepared, golden, of_parts)
        inputs = Inputs(golden, prepared.buckets, describe, files_of(prepared.model), of_parts)
        modules = group_modules(mlir, prepared.plans)
        self.report.expect_targets(plan.target.id for plan in prepared.plans)
        builder = Builder(inputs, folder, self.cache, self.jobs, self.options.timeout, self.report, self.stopwatch)
        builder.run(modules)
        return builder

    def _build_libraries(
        self, prepared: Prepared, proved: Iterable[str], goldens: _Goldens, folder: Path
    ) -> tuple[list[ProvedLibrary], dict[str, CompileError]]:
        if not self.options.native:
            return [], {}
        from compile.native.libraries import build_libraries
        from compile.native.pipeline import NativeBuild, NativeOptions

        build = NativeBuild(
            cast("Checkpoint", prepared.checkpoint),  # `_prepare_subwords` refuses these
            cast("ParserModel", prepared.model),
            self.out.name.removesuffix(".pqrnn"),
            NativeOptions(prepared.buckets, kernels=self.options.kernels, timeout=self.options.timeout),
            self.known,
            lambda step: self.report.step("package", f"native library: {step}"),
            goldens[0],
        )
        targets = [plan.target for plan in prepared.plans if plan.target.id in proved]
        with self.stopwatch.measure("package"):
            return build_libraries(build, targets, self._describe(prepared, *goldens), goldens[0], folder)

    def _write(
        self,
        prepared: Prepared,
        proved: Sequence[ProvedVariant],
        libraries: Sequence[ProvedLibrary],
        golden: GoldenSet,
        of_parts: Mapping[str, GoldenSet],
    ) -> Manifest:
        """Put the package together beside its destination, and let it take the destination's name."""
        from compile.packaging.writer import PackageWriter
        from compile.subwords.program import files_of
        from runtime_py.package_format.package import new_package, open_package

        try:
            with self._stage("package", str(self.out)), new_package(self.out, self.options.replace) as staging:
                describe, files = self._describe(prepared, golden, of_parts), files_of(prepared.model)
                writer = PackageWriter(staging, describe, golden, files, of_parts)
                for item in proved:
                    writer.add_variant(item.variant, item.compiled.path)
                for library in libraries:
                    writer.add_library(library.library, library.file)
                writer.finish()
                return open_package(staging).manifest
        except PackageError as error:
            raise PackagingError(str(error)) from error
        except OSError as error:
            raise PackagingError(f"{error.filename or self.out}: cannot be written ({error.strerror})") from error

    def _notes(self, targets: Sequence[Target]) -> tuple[str, ...]:
        notes = [
            f"{target.id} is this machine and no other: do not ship this package, "
            "compile for a named target (`pqrnn targets`)"
            for target in targets
            if target.development
        ]
        lacking = [target.id for target in targets if target.family != "cpu"] if self.options.native else []
        if lacking:
            notes.append(f"{', '.join(lacking)}: a native library is code for a processor, and this is none")
        if problem := self.cache.problem if self.cache is not None else self.uncached:
            notes.append(problem)
        return tuple(notes)

    @contextmanager
    def _stage(self, stage: str, detail: str) -> Iterator[None]:
        self.report.step(stage, detail)
        with self.stopwatch.measure(stage):
            yield


def _join_failures(failures: dict[str, CompileError]) -> CompileError:
    """Return the only failure, or one error that names them all."""
    return next(iter(failures.values())) if len(failures) == 1 else TargetsError(failures)
