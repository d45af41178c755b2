"""From a checkpoint to native libraries, one folder a target, whose answers have been compared with PyTorch's."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from compile.lowering.buckets import FINE_STEP, STEP, choose_buckets
from compile.lowering.iree_compile import DEFAULT_TIMEOUT, target_flags
from compile.lowering.processor import resolve_processor
from compile.native.arduino import write_arduino
from compile.native.building import Built, build_native
from compile.native.jvm import write_class
from compile.native.memory import MemoryPart, list_memory
from compile.native.proof import NativeProof, prove_native
from compile.native.toolchains import NativeCompiler, find_compiler
from compile.native.web import mark_of, write_npm
from compile.native.writing import Sources, prefix_of, write_module_map, write_native
from compile.plan import SPLIT, Plan
from compile.standalone.export import compile_object, static_flags
from compile.support.errors import CompileError, PackagingError, PlanError
from compile.support.reproduction import keep_evidence
from compile.support.scratch import scratch_folder
from runtime_py.errors import PackageError
from runtime_py.native.manifest import MARK, LibraryFile, NativeManifest, NativeVariant, write_manifest
from runtime_py.package_format.manifest import Bucket
from runtime_py.package_format.package import new_directory
from targets import Registry, Target, registry

if TYPE_CHECKING:
    from compile.verify.golden import GoldenSet
    from pqrnn.checkpoint import Checkpoint
    from pqrnn.model.parser import ParserModel


@dataclass(frozen=True, slots=True)
class NativeOptions:
    """Settings of a native build.

    Attributes:
        buckets: Length buckets; by default they are chosen as for a package of that target.
        libc: C library of targets with Linux (`compile.native.toolchains.find_compiler`).
        sources: Whether the C and the object files are kept beside the libraries.
        replace: Whether what was built before may be replaced.
        timeout: Seconds that one run of the compiler may take.
        kernels: Whether this project's own kernels are used.
        java: Whether Java can load the shared libraries; those for Android it always can.
    """

    buckets: Sequence[Bucket] | None = None
    libc: str = ""
    sources: bool = False
    replace: bool = False
    timeout: float = DEFAULT_TIMEOUT
    kernels: bool = True
    java: bool = False


@dataclass(frozen=True, slots=True)
class NativeParser:
    """A native parser for one target.

    Attributes:
        target: The target.
        compiler: Name of the C compiler.
        variant: Description of the libraries.
        proof: Result of the comparison with PyTorch.
        memory: Buffers of the largest length bucket.
    """

    target: Target
    compiler: str
    variant: NativeVariant
    proof: NativeProof
    memory: tuple[MemoryPart, ...]


def build_native_parsers(
    checkpoint: Path,
    out: Path,
    targets: Sequence[str] = ("host",),
    options: NativeOptions | None = None,
    *,
    known: Registry | None = None,
    on_progress: Callable[[str], None] = lambda _: None,
) -> list[NativeParser]:
    """Build native libraries of a trained parser.

    The folder appears at `out` when all targets are built and, where this machine or an emulator can run them, have
    answered the golden texts as PyTorch does.

    Args:
        checkpoint: Folder of the trained parser.
        out: Folder to write: a header, and a folder of libraries for each target.
        targets: Names of processor targets; where one has a faster twin, that is built beside it.
        options: Settings of the build.
        known: Registry that targets are looked up in, or None for that of this project.
        on_progress: Called at every step with what is done next.

    Raises:
        CompileError: A stage failed; its class says which. What repeats it is in `<out>.failed`.
        CheckpointError: The checkpoint cannot be read.
        TargetError: A target is unknown.
    """
    options = options or NativeOptions()
    everything = known or registry()
    chosen = [everything.get(name) for name in targets]
    if not chosen or len({target.id for target in chosen}) != len(chosen):
        raise PlanError(f"targets to build for: {', '.join(targets) or 'none'}; expected at least one, each once")
    for target in chosen:
        if target.family != "cpu":
            raise PlanError(f"{target.id}: a native parser is code for a processor, and this is none")
        if target.faster in targets:
            raise PlanError(f"{target.faster}: comes with {target.id}; name that alone")
    compilers = [find_compiler(target, options.libc) for target in chosen]  # before minutes of work
    try:
        with new_directory(out, "native parser", MARK, options.replace) as staging:
            build = read_checkpoint(checkpoint, options, everything, on_progress)
            built = []
            for target, compiler in zip(chosen, compilers, strict=True):
                twins = [target, *(everything.get(name) for name in (target.faster,) if name)]
                built += [build.run(twin, compiler, staging, target.id) for twin in twins]
            write_manifest(staging, build.describe([parser.variant for parser in built]))
            return built
    except PackageError as error:
        raise PackagingError(str(error)) from error
    except CompileError as error:
        keep_evidence(error, out.with_name(f"{out.name}.failed"))
        raise


def read_checkpoint(source: Path, options: NativeOptions, known: Registry, tell: Callable[[str], None]) -> NativeBuild:
    """Return the build of a trained parser, with nothing built yet.

    Raises:
        PlanError: It is an encoder that reads subwords.
        CheckpointError: The checkpoint cannot be read.
    """
    from compile.subwords.program import is_finetuned
    from pqrnn.checkpoint import load_checkpoint

    if is_finetuned(source):
        raise PlanError(f"{source}: an encoder that reads subwords has no native form; distil a parser from it")
    tell(f"checkpoint {source}")
    checkpoint = load_checkpoint(source)
    return NativeBuild(checkpoint, checkpoint.model.folded(), source.name, options, known, tell)


class NativeBuild:
    """What all targets have in common: the checkpoint, and golden texts by their buckets."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        model: ParserModel,
        name: str,
        options: NativeOptions,
        known: Registry,
        tell: Callable[[str], None],
        golden: GoldenSet | None = None,
    ) -> None:
        """Build nothing yet.

        Args:
            checkpoint: The trained parser.
            model: The model as it is compiled, with its norms folded.
            name: Name of the parser, for people.
            options: Settings of the build.
            known: Registry of targets.
            tell: Called at every step with what is done next.
            golden: Texts with PyTorch's answers in the buckets of the options; by default they are made.
        """
        from compile.kernels.modules import has_few_bits, has_products

        self.checkpoint, self.model, self.name = checkpoint, model, name
        self.options, self.known, self.tell = options, known, tell
        self.integers, self.few_bits = has_products(model), has_few_bits(model)
        self._golden: dict[tuple[Bucket, ...], GoldenSet] = {}
        if golden is not None and options.buckets is not None:
            self._golden[tuple(options.buckets)] = golden

    def describe(self, variants: Sequence[NativeVariant]) -> NativeManifest:
        """Return the description of a folder with the given libraries."""
        return NativeManifest(name=self.name, prefix=prefix_of(self.name), variants=tuple(variants))

    def run(self, target: Target, compiler: NativeCompiler, staging: Path, beside: str = "") -> NativeParser:
        """Build libraries for a target, and prove them where that can be.

        Args:
            target: The target.
            compiler: C compiler for it.
            staging: Existing folder, in which the libraries get a folder of their own.
            beside: Name of that folder, which may hold a twin's library already; by default the target's name.

        Raises:
            CompileError: A stage failed; its class says which.
        """
        with scratch_folder("native") as scratch:
            sources, kernels, plan, buckets, memory = self._write(target, scratch)
            folder = staging / (beside or target.id)
            folder.mkdir(exist_ok=True)
            self.tell(f"build {target.id} with {compiler.name}")
            java = self.options.java or compiler.system == "android"
            mark = mark_of(target)
            built = build_native(sources, kernels, compiler, folder, java=java, mark=mark)
            if compiler.system == "web":
                write_npm(folder, sources, self.name, few_bits=self.few_bits)
            elif compiler.system == "none":
                built = write_arduino(folder, sources, built, self.name, target.cpu)
            shutil.copyfile(sources.header, staging / sources.header.name)
            write_module_map(staging, sources)
            if java:
                write_class(staging / "java", sources, self.name)
            self.tell(f"verify {target.id}")
            golden = self._find_golden(buckets)
            facts = self.checkpoint.facts
            proof = prove_native(sources, built, target, compiler, facts.labels, golden, facts.calibration)
            if self.options.sources:
                _keep_sources(sources, kernels, folder / f"source{mark}")
            variant = _describe(target, plan, buckets, sources, built, proof, staging)
        return NativeParser(target, compiler.name, variant, proof, memory)

    def _write(
        self, target: Target, scratch: Path
    ) -> tuple[Sources, Path, Plan, tuple[Bucket, ...], tuple[MemoryPart, ...]]:
        from compile.kernels.linking import link_kernels
        from compile.kernels.modules import with_kernels
        from compile.lowering.export import export_entries, split_softmax
        from compile.lowering.import_mlir import import_programs

        flags = target_flags(target, self.known.family(target))
        kernels = scratch / "kernels.o"
        plan = Plan(target, "local-sync", flags, resolve_processor(target, (*flags, *static_flags(kernels))))
        if self.options.kernels:
            plan = plan.with_kernels(self.integers)
        buckets = self._choose_buckets(plan)
        self.tell(f"export {target.id}")
        model = with_kernels(self.model, plan.kernels) if plan.kernels is not None else self.model
        programs = export_entries(model, buckets)
        if plan.mlir == SPLIT:
            programs = split_softmax(programs)
        module = import_programs(programs, scratch / "imported.mlirbc")
        if plan.kernels is not None:
            module = link_kernels(module, scratch / "linked.mlirbc", plan.kernels, plan.processor.resolved)
        self.tell(f"compile {target.id}")
        prefix = prefix_of(self.name)
        compiled = compile_object(module, kernels, flags, buckets, self.options.timeout, prefix)
        folder = scratch / "source"
        folder.mkdir()
        sources = write_native(
            folder,
            compiled.schedule,
            compiled.weights,
            buckets,
            self.checkpoint.facts.labels,
            compiled.query,
            self.name,
            plan.processor.triple,
            plan.processor.features,
            self.checkpoint.facts.calibration,
        )
        return sources, kernels, plan, buckets, list_memory(compiled.schedule.entries[-1], compiled.reads)

    def _choose_buckets(self, plan: Plan) -> tuple[Bucket, ...]:
        """Return the buckets of a package that is compiled for this target alone."""
        from compile.kernels.modules import counts_words

        if self.options.buckets is not None:
            return tuple(self.options.buckets)
        lengths = self.checkpoint.facts.lengths
        if counts_words(self.model, plan.kernels):
            return choose_buckets(lengths, most=1)
        return choose_buckets(lengths, step=FINE_STEP if self.options.kernels and self.integers else STEP)

    def _find_golden(self, buckets: tuple[Bucket, ...]) -> GoldenSet:
        from compile.verify.golden import make_golden
        from compile.verify.reference import Oracle

        if buckets not in self._golden:
            facts = self.checkpoint.facts
            texts = [text.encode("utf-8", "replace") for text in facts.golden_texts]
            self._golden[buckets] = make_golden(Oracle(self.model, buckets), texts, buckets, facts.labels)
        return self._golden[buckets]


def _describe(
    target: Target,
    plan: Plan,
    buckets: Sequence[Bucket],
    sources: Sources,
    built: Built,
    proof: NativeProof,
    staging: Path,
) -> NativeVariant:
    return NativeVariant(
        target=target.id,
        triple=plan.processor.triple,
        features=plan.processor.features,
        library=built.shared.relative_to(staging).as_posix() if built.shared is not None else None,
        files={path.relative_to(staging).as_posix(): LibraryFile.of(path) for path in built.files},
        words=buckets[-1].words,
        bytes=buckets[-1].bytes,
        memory=sources.memory_bytes,
        weights=sources.weight_bytes,
        proved_on=proof.machine or None,
        unverified_reason=proof.reason or None,
    )


def _keep_sources(sources: Sources, kernels: Path, folder: Path) -> None:
    folder.mkdir()
    for path in sorted(sources.folder.glob("*.[ch]")):
        shutil.copyfile(path, folder / path.name)
    shutil.copyfile(kernels, folder / "kernels.o")
