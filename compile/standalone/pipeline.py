"""From a checkpoint to a folder of C whose answers have been compared with PyTorch's, where this machine can run it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from compile.lowering.buckets import choose_buckets
from compile.lowering.iree_compile import DEFAULT_TIMEOUT, target_flags
from compile.standalone.export import Figures, write_standalone
from compile.standalone.note import write_note
from compile.standalone.proof import Proof, prove
from compile.standalone.toolchains import choose_compiler
from compile.standalone.writing import write_golden
from compile.support.errors import CompileError, PackagingError
from compile.support.reproduction import keep_evidence
from compile.support.scratch import scratch_folder
from runtime_py.errors import PackageError
from runtime_py.package_format.manifest import Bucket
from runtime_py.package_format.package import new_directory
from targets import Registry, Target, TargetError, registry

MARK = "parser.h"


@dataclass(frozen=True, slots=True)
class Exported:
    """A parser that was written as C.

    Attributes:
        folder: Folder of the parser.
        target: Target that it was written for.
        buckets: Length buckets, one entry each.
        figures: Sizes of the parser.
        proof: Result of the comparison with PyTorch.
    """

    folder: Path
    target: Target
    buckets: tuple[Bucket, ...]
    figures: Figures
    proof: Proof


def export_parser(
    checkpoint: Path,
    out: Path,
    target: str,
    *,
    buckets: Sequence[Bucket] | None = None,
    replace: bool = False,
    timeout: float = DEFAULT_TIMEOUT,
    known: Registry | None = None,
    on_progress: Callable[[str], None] = lambda _: None,
) -> Exported:
    """Write a trained parser as C for one target, build it and compare its answers with PyTorch's.

    The folder appears at `out` when everything has passed, and not before. Where no C compiler or no emulator for the
    target is installed, it is written all the same and says that it is not verified.

    Args:
        checkpoint: Folder of the trained parser.
        out: Folder to write.
        target: Name of a processor target.
        buckets: Length buckets; by default they are chosen from the lengths of the training texts.
        replace: Whether a parser in C at `out` may be replaced.
        timeout: Seconds that one run of the compiler may take.
        known: Registry that targets are looked up in, or None for that of this project.
        on_progress: Called at every step with what is done next.

    Raises:
        CompileError: A stage failed; its class says which. What repeats it is in `<out>.failed`.
        CheckpointError: The checkpoint cannot be read.
        TargetError: The target is unknown, or there can be no code for it.
    """
    targets = known or registry()
    chosen = targets.get(target)
    if chosen.refused and not chosen.standalone:
        raise TargetError(f"{target}: {chosen.refused}")
    choose_compiler(chosen)
    flags = target_flags(chosen, targets.family(chosen))
    try:
        with (
            new_directory(out, "parser in C", MARK, replace) as staging,
            scratch_folder("export") as scratch,
        ):
            return _export(checkpoint, staging, scratch, chosen, flags, buckets, timeout, on_progress, out)
    except PackageError as error:
        raise PackagingError(str(error)) from error
    except CompileError as error:
        keep_evidence(error, out.with_name(f"{out.name}.failed"))
        raise


def _export(
    source: Path,
    staging: Path,
    scratch: Path,
    target: Target,
    flags: tuple[str, ...],
    wanted: Sequence[Bucket] | None,
    timeout: float,
    tell: Callable[[str], None],
    out: Path,
) -> Exported:
    from compile.lowering.export import export_entries
    from compile.lowering.import_mlir import import_programs
    from compile.verify.golden import make_golden
    from compile.verify.reference import Oracle
    from pqrnn.checkpoint import load_checkpoint

    tell(f"checkpoint {source}")
    checkpoint = load_checkpoint(source)
    model = checkpoint.model.folded()
    buckets = tuple(wanted) if wanted is not None else choose_buckets(checkpoint.facts.lengths)
    labels = checkpoint.facts.labels
    tell("golden texts")
    golden = make_golden(
        Oracle(model, buckets), [text.encode("utf-8", "replace") for text in checkpoint.facts.golden_texts], buckets
    )
    module = import_programs(
        export_entries(model, buckets, lambda bucket: tell(f"export {bucket.entry}")), scratch / "module.mlirbc"
    )
    tell(f"compile {target.id}")
    figures = write_standalone(module, target, flags, buckets, labels, staging, source.name, timeout)
    write_golden(staging / "golden.bin", golden.vectors, golden.tolerance)
    tell(f"verify {target.id}")
    proof = prove(staging, target, buckets, labels, golden)
    write_note(staging / "README.md", source.name, target, figures, proof)
    return Exported(out, target, buckets, figures, proof)
