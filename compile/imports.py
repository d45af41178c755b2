"""The model as MLIR, once for each form that targets ask for; what was exported before is taken from the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from compile.lowering.cache import Cache
from compile.lowering.iree_compile import compiler_version
from compile.plan import FLOORED, SPLIT, WIDE, Plan
from compile.support.progress import Reporter
from compile.support.stopwatch import Stopwatch
from pqrnn.run_folder import FACTS
from runtime_py.package_format.manifest import Bucket

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from compile.kernels.families import Kernels
    from compile.kernels.modules import KernelParser
    from compile.subwords.program import SubwordParser
    from pqrnn.model.int8 import Model
    from pqrnn.model.length_config import LengthConfig
    from pqrnn.model.parser import ParserModel

_ROOT = Path(__file__).parent.parent
_CODE = ("pqrnn", "compile")  # packages that decide what a model is as MLIR
_IMPORTERS = ("torch", "iree-turbine", "iree-base-compiler")


@dataclass(frozen=True, slots=True)
class Importer:
    """Exports a model and imports it.

    Attributes:
        model: The model as it is compiled.
        identity: Digests of what the model was read from; empty for a model whose imports are not kept.
        plans: Targets to compile for.
        buckets: Length buckets, one entry each.
        batch: Number of texts in a call of the second entry of every bucket; 1 for no second entry.
        folder: Where the files are written.
        kept: Cache of imported modules, or None.
        report: Is told the steps.
        stopwatch: Measures them.
        parts: Parts of a transformer that get entries of their own, by name.
    """

    model: ParserModel | SubwordParser
    identity: tuple[str, ...]
    plans: Sequence[Plan]
    buckets: tuple[Bucket, ...]
    batch: int
    folder: Path
    kept: Cache | None
    report: Reporter
    stopwatch: Stopwatch
    parts: Mapping[str, LengthConfig] = field(default_factory=dict)

    def run(self) -> dict[str, Path]:
        """Return the MLIR files by name.

        Raises:
            ExportError: PyTorch cannot trace the model.
            ImportStageError: The importer does not know an operation, or the compiler's description of a processor is
                not understood.
        """
        from compile.kernels.linking import link_kernels

        modules: dict[str, Path] = {}
        for form in dict.fromkeys(form_of(plan) for plan in self.plans):
            kernels, _ = form
            wanted = {plan.mlir: plan for plan in self.plans if form_of(plan) == form}
            names = sorted(wanted) if kernels is None else [f"{kernels.name}.mlirbc"]
            paths = self._fetch(form, names) or self._import(form, names)
            if kernels is None:
                modules |= paths
                continue
            with self.stopwatch.measure("import"):
                modules |= {
                    name: link_kernels(paths[names[0]], self.folder / name, kernels, plan.processor.resolved)
                    for name, plan in sorted(wanted.items())
                }
        return modules

    def _import(self, form: tuple[Kernels | None, str], names: Sequence[str]) -> dict[str, Path]:
        from compile.lowering.export import split_softmax
        from compile.lowering.import_mlir import import_programs

        with self.stopwatch.measure("export"):
            programs = self._export(form)
        kernels, _ = form
        self.report.step("import", f"{len(self.buckets)} entries{f' for {kernels.name}' if kernels else ''}")
        with self.stopwatch.measure("import"):
            split = kernels is not None and kernels.splits_softmax
            paths = {
                name: import_programs(
                    split_softmax(programs) if split or name == SPLIT else programs, self.folder / name
                )
                for name in names
            }
        if self.kept is not None and self.identity:
            for name, path in paths.items():
                self.kept.store_import(self._key(form, name), path.read_bytes(), compiler_version())
        return paths

    def _export(self, form: tuple[Kernels | None, str]) -> dict[str, ExportedProgram]:
        from compile.kernels.modules import with_kernels
        from compile.lowering.export import export_entries
        from compile.lowering.small_table import with_small_table
        from compile.subwords.program import SubwordParser, export_subwords

        def tell(bucket: Bucket) -> None:
            self.report.step("export", f"{bucket.entry} ({bucket.bytes} bytes)")

        if isinstance(self.model, SubwordParser):
            return export_subwords(self.model, self.buckets, tell, self.parts)
        kernels, integers = form
        model: ParserModel | KernelParser
        if kernels is not None:
            model = with_kernels(self.model, kernels)
        elif integers:
            model = with_integers(with_small_table(self.model), integers)
        else:
            model = self.model
        return export_entries(model, self.buckets, tell, self.batch, self.parts)

    def _fetch(self, form: tuple[Kernels | None, str], names: Sequence[str]) -> dict[str, Path]:
        """Return what was imported before, or nothing where a file is missing."""
        if self.kept is None or not self.identity:
            return {}
        with self.stopwatch.measure("import"):
            contents = {name: self.kept.fetch_import(self._key(form, name)) for name in names}
        paths = {name: self.folder / name for name in names}
        for name, content in contents.items():
            if content is None:
                return {}
            paths[name].write_bytes(content)
        for bucket in self.buckets:
            self.report.step("export", f"{bucket.entry}, from the cache")
        self.report.step("import", "from the cache")
        return paths

    def _key(self, form: tuple[Kernels | None, str], name: str) -> str:
        kernels, integers = form
        lanes, family = (kernels.lanes, kernels.name) if kernels is not None else (0, "")
        parts = [*self.identity, *_describe_code(), lanes, family, integers, name == SPLIT, self.batch]
        parts += [[name, lengths] for name, lengths in self.parts.items()]
        parts += [[bucket.words, bucket.bytes, bucket.entry] for bucket in self.buckets]
        return hashlib.sha256(msgspec.json.encode(["import", *parts])).hexdigest()


def form_of(plan: Plan) -> tuple[Kernels | None, str]:
    """Return the form in which a plan's module is exported.

    That is its kernels, and the name of its module where the compiler cannot be given integers as they are.
    """
    return plan.kernels, plan.mlir if plan.mlir in (WIDE, FLOORED) else ""


def with_integers(model: Model, name: str) -> Model:
    """Return a model with its products of integers as a module's compiler takes them.

    Args:
        model: The model, in 8 bits; it is left as it is.
        name: Name of the module, `compile.plan.WIDE` or `FLOORED`; empty where the compiler takes integers as they are.
    """
    from pqrnn.model.int8 import round_by_floor, widen_weights

    return {WIDE: widen_weights, FLOORED: round_by_floor}.get(name, lambda same: same)(model)


def identify(source: Path, weights: str) -> tuple[str, ...]:
    """Return digests of all that a model is read from.

    Args:
        source: Folder of the trained parser.
        weights: SHA-256 of the file of its weights.
    """
    return weights, hashlib.sha256((source / FACTS).read_bytes()).hexdigest()


@cache
def _describe_code() -> tuple[str, ...]:
    """Return a digest of the code and tables that turn a checkpoint into MLIR, and the versions of what they use."""
    digest = hashlib.sha256()
    for package in _CODE:
        for path in sorted((_ROOT / package).rglob("*")):
            if path.suffix in (".py", ".npz"):
                content = path.read_bytes()
                digest.update(f"{path.relative_to(_ROOT)} {len(content)}\n".encode() + content)
    return digest.hexdigest(), *(f"{name} {metadata.version(name)}" for name in _IMPORTERS)
