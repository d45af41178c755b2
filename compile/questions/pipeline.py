"""All stages for a model that answers questions: from its folder to a package whose answers are PyTorch's."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from compile.imports import form_of, with_integers
from compile.kernels.encoder_layers import with_encoder_kernels
from compile.kernels.linking import link_kernels
from compile.kernels.modules import has_products
from compile.lowering.cache import Cache, cache_key, find_cache
from compile.lowering.export import split_softmax
from compile.lowering.import_mlir import import_programs
from compile.lowering.iree_compile import Compiled, compile_module, compiler_version
from compile.options import DEFAULT_OPTIONS, CompileOptions
from compile.packaging.manifest import describe_producer, describe_time, describe_variant
from compile.plan import SPLIT, Plan, check_destination, choose_targets, plan_targets
from compile.questions.program import choose_parts, choose_windows, export_windows, name_entries
from compile.questions.proof import Expected, expect_answers, golden_questions, prove
from compile.support.errors import CompileError, PackagingError, PlanError, TargetsError
from compile.support.process import tool_group
from compile.support.progress import Progress, Reporter
from compile.support.scratch import scratch_folder
from compile.verify.static_checks import check_machine_code
from pqrnn.checkpoint import digest_weights
from pqrnn.questions.checkpoint import SpanFacts, load_span_model
from pqrnn.questions.model import SpanModel
from runtime_py.atomic_files import write_atomic
from runtime_py.device.preflight import this_machine, why_not
from runtime_py.errors import PackageError
from runtime_py.package_format.manifest import Model
from runtime_py.package_format.manifest_bytes import ANSWERER
from runtime_py.package_format.package import collect_files, new_directory
from runtime_py.questions.answerer import Answerer
from runtime_py.questions.manifest import (
    GOLDEN,
    AnswererManifest,
    GoldenAnswer,
    PartOfNetwork,
    ProvedCode,
    check_answerer,
    read_answerer_manifest,
)
from targets import Registry, registry

TOKENIZER = "tokenizer/tokenizer.json"


@dataclass(frozen=True, slots=True)
class AnswererOutcome:
    """Result of a compilation.

    Attributes:
        package: Directory of the package.
        manifest: Its manifest.
        failures: Targets that are not in it, and why.
        cached: Targets whose module was taken from the cache.
    """

    package: Path
    manifest: AnswererManifest
    failures: dict[str, CompileError]
    cached: frozenset[str]


@dataclass(slots=True)
class _Made:
    """What the stages before the targets made."""

    facts: SpanFacts
    model: SpanModel
    parts: list[PartOfNetwork]
    windows: tuple[int, ...]
    expected: list[Expected]
    weights: str
    plans: list[Plan]
    mlir: dict[str, Path] = field(default_factory=dict)


def compile_answerer(
    run: Path,
    out: Path,
    targets: Sequence[str] = ("host",),
    options: CompileOptions = DEFAULT_OPTIONS,
    *,
    windows: Iterable[int] | None = None,
    known: Registry | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> AnswererOutcome:
    """Compile a model that answers questions into a package, and compare the package's answers with PyTorch's.

    The package appears at `out` when everything else is done, with every target that passed. If none passes, or on
    Ctrl-C, what stood there stays as it was.

    Args:
        run: Folder that `pqrnn finetune-questions` left.
        out: Directory of the package to be.
        targets: Names of targets; they have to be processors.
        options: Settings; those for parsers alone are refused.
        windows: Window lengths that get functions beside the longest; by default 128 and 256.
        known: Registry that targets are looked up in, or None for that of this project.
        on_progress: Called at every step.

    Raises:
        CompileError: A stage before the targets failed, or the only target; TargetsError where there were several.
        CheckpointError: The model cannot be read.
        TargetError: A target is unknown or its file is not valid.
    """
    check_destination(out, options.replace, ANSWERER)
    if options.native or options.batch > 1 or options.buckets is not None:
        raise PlanError(f"{run}: --native, --batch and length buckets are for parsers, and this answers questions")
    report = Reporter(on_progress)
    report.expect(3)
    made, failures = _prepare(run, targets, options, windows, known or registry(), report)
    cache = find_cache()[0] if options.cache else None
    with scratch_folder("compile") as folder:
        _import(made, folder, report)
        report.expect_targets(plan.target.id for plan in made.plans)
        try:
            with new_directory(out, "package that answers questions", ANSWERER, options.replace) as staging:
                cached = _build(made, failures, staging, folder, out, cache, options, report)
                manifest = read_answerer_manifest(staging)
        except PackageError as error:
            raise PackagingError(str(error)) from error
        except OSError as error:
            raise PackagingError(f"{error.filename or out}: cannot be written ({error.strerror})") from error
    return AnswererOutcome(out, manifest, failures, cached)


def _prepare(
    run: Path,
    names: Sequence[str],
    options: CompileOptions,
    windows: Iterable[int] | None,
    known: Registry,
    report: Reporter,
) -> tuple[_Made, dict[str, CompileError]]:
    report.step("plan", f"targets and {run}")
    targets, unreadable = choose_targets(names, known)
    with tool_group():
        plans, failures = plan_targets(targets, known, options.jobs or 1)
    gpus = [plan.target.id for plan in plans if plan.target.vulkan is not None]
    if gpus:
        raise PlanError(f"{run}: a model that answers questions is for processors, not for {', '.join(gpus)}")
    failures = unreadable | failures
    if not plans:
        raise _join(failures)
    model, facts = load_span_model(run)
    chosen = choose_parts(model, facts)
    lengths = [each for _, each in chosen]
    report.step("golden", f"{len(facts.golden)} training questions, and tricky ones")
    expected = expect_answers(model, model.make_reader(), golden_questions(facts.golden), lengths)
    plans = [_with_kernels(plan, has_products(model), options.kernels) for plan in plans]
    parts = [part for part, _ in chosen]
    made = _Made(
        facts, model, parts, choose_windows(model.layout.longest, windows), expected, digest_weights(run), plans
    )
    return made, failures


def _with_kernels(plan: Plan, integers: bool, wanted: bool) -> Plan:
    """Return the plan with kernels for products of integers, where the target has instructions for them."""
    found = plan.with_kernels(integers)
    if integers and wanted and found.kernels is not None and found.kernels.family is not None:
        return found
    return dataclasses.replace(plan, integers=integers)


def _import(made: _Made, folder: Path, report: Reporter) -> None:
    """Write the MLIR files that the plans name."""
    entries = name_entries(made.parts, made.windows)
    forms = list(dict.fromkeys(form_of(plan) for plan in made.plans))
    report.expect((len(entries) + 1) * len(forms) - 1)  # one import is expected already
    lengths = [each for _, each in choose_parts(made.model, made.facts)]
    for form in forms:
        kernels, integers = form
        model = with_integers(made.model, integers)
        if kernels is not None and kernels.family is not None:
            model = with_encoder_kernels(made.model, kernels.family)
        programs = export_windows(model, lengths, entries, lambda name: report.step("export", name))
        report.step("import", f"{len(entries)} functions{f' for {kernels.name}' if kernels else ''}")
        plans = {plan.mlir: plan for plan in made.plans if form_of(plan) == form}
        if kernels is None:
            for name in sorted(plans):
                made.mlir[name] = import_programs(split_softmax(programs) if name == SPLIT else programs, folder / name)
            continue
        written = split_softmax(programs) if kernels.splits_softmax else programs
        imported = import_programs(written, folder / f"{kernels.name}.mlirbc")
        for name, plan in sorted(plans.items()):
            made.mlir[name] = link_kernels(imported, folder / name, kernels, plan.processor.resolved)


def _build(
    made: _Made,
    failures: dict[str, CompileError],
    staging: Path,
    folder: Path,
    out: Path,
    cache: Cache | None,
    options: CompileOptions,
    report: Reporter,
) -> frozenset[str]:
    """Compile and prove every target, and write the package; return the targets that came from the cache."""
    _write_common(made, staging)
    proved: list[ProvedCode] = []
    cached = set()
    with tool_group():
        for plan in made.plans:
            name = plan.target.id
            try:
                report.target(name, "compile", "")
                compiled = _compile(plan, made.mlir[plan.mlir], folder, cache, options.timeout)
                report.target(name, "verify", "")
                proved.append(_prove(made, plan, compiled, proved, staging, out))
                cached |= {name} if compiled.cached else set()
                report.target(name, "verify", "", "done")
            except CompileError as error:
                failures[name] = error
                report.target(name, error.stage, error.message, "failed")
    if not proved:
        raise _join(failures)
    report.step("package", str(out))
    _seal(made, proved, staging, out)
    return frozenset(cached)


def _compile(plan: Plan, mlir: Path, folder: Path, cache: Cache | None, timeout: float) -> Compiled:
    destination = folder / f"{plan.target.id}.vmfb"
    key = cache_key(mlir.read_bytes(), plan.flags, compiler_version(), plan.processor.resolved)
    found = cache.fetch(key, destination) if cache is not None else None
    if found is None:
        found = compile_module(mlir, destination, plan.flags, timeout)
        if cache is not None:
            cache.store(key, found, compiler_version())
    return found


def _prove(
    made: _Made, plan: Plan, compiled: Compiled, proved: Sequence[ProvedCode], staging: Path, out: Path
) -> ProvedCode:
    """Put a module into the package beside those that are proved, and run it there; or look at its code."""
    code = describe_variant(plan, compiled.seconds, compiled.statistics.dispatches)
    path = staging / code.path
    path.parent.mkdir(parents=True)
    content = compiled.path.read_bytes()
    path.write_bytes(content)
    machine = this_machine()
    reason = why_not(code, machine)
    if reason is not None:
        checked = check_machine_code(content, plan.processor) if plan.target.family == "cpu" else "nothing to look at"
        said = f"compiled and checked statically ({checked}); never run here: {reason}"
        return ProvedCode(msgspec.structs.replace(code, unverified_reason=said))
    _seal(made, [*proved, ProvedCode(code)], staging, out)
    with Answerer.load(staging, variant=code.target) as answerer:
        proof = prove(answerer, made.expected, made.parts, machine.cpu or "this machine", code.target)
    return ProvedCode(msgspec.structs.replace(code, unverified_reason=None), proof)


def _write_common(made: _Made, staging: Path) -> None:
    (staging / TOKENIZER).parent.mkdir(parents=True)
    (staging / TOKENIZER).write_bytes(made.model.tokenizer_file)
    golden = [
        GoldenAnswer(each.golden.question, each.golden.context, answer.start, answer.end)
        for each in made.expected
        if (answer := each.answers[-1]) is not None
    ]
    (staging / GOLDEN).parent.mkdir(parents=True)
    (staging / GOLDEN).write_bytes(msgspec.json.format(msgspec.json.encode(golden), indent=1) + b"\n")


def _seal(made: _Made, variants: Sequence[ProvedCode], staging: Path, out: Path) -> None:
    """Write the manifest of what lies in the directory; modules of targets that failed go."""
    kept = {variant.code.path for variant in variants}
    for path in staging.glob("variants/*/module.vmfb"):
        if path.relative_to(staging).as_posix() not in kept:
            path.unlink()
            path.parent.rmdir()
    facts, whole = made.facts, made.parts[-1]
    manifest = AnswererManifest(
        name=out.name.removesuffix(".pqrnn"),
        created=describe_time(),
        producer=describe_producer(),
        model=Model(
            parameters=facts.parameters,
            precision=facts.config.precision,
            config=msgspec.to_builtins(facts.config),
            revision=facts.revision,
            data_fingerprint=hashlib.sha256(str(facts.described.get("windows", "")).encode()).hexdigest(),
            metrics={"exact_match": whole.exact_match, "f1": whole.f1} if facts.budgets else {},
            checkpoint=made.weights,
        ),
        layout=made.model.layout,
        tokenizer=TOKENIZER,
        windows=list(made.windows),
        parts=made.parts,
        variants=list(variants),
        golden=GOLDEN,
        files={name: entry for name, entry in collect_files(staging).items() if name != ANSWERER},
    )
    check_answerer(manifest)
    write_atomic(staging / ANSWERER, msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")


def _join(failures: dict[str, CompileError]) -> CompileError:
    return next(iter(failures.values())) if len(failures) == 1 else TargetsError(failures)
