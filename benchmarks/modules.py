"""Modules compiled as `pqrnn compile` does it, for shapes that no package has."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.peers.peer import PEERS, write_once
from compile.kernels.linking import link_kernels
from compile.kernels.modules import has_products, with_kernels
from compile.lowering.export import export_entries
from compile.lowering.import_mlir import import_programs
from compile.lowering.iree_compile import compile_module, compiler_version
from compile.plan import plan_targets
from pqrnn.model.parser import ParserModel
from runtime_py.package_format.manifest import Bucket
from targets import registry

if TYPE_CHECKING:
    from torch.export import ExportedProgram


def compile_entries(model: ParserModel, batches: Mapping[int, tuple[Bucket, ...]], target: str = "host") -> Path:
    """Compile a parser.

    Args:
        model: The parser, with its norms folded in.
        batches: For each number of texts in a call, the buckets whose entries take so many.
        target: Name of the target; by default this machine.

    Returns:
        The path of the module, which is kept below `.peers` for the same code and flags.

    Raises:
        CompileError: A stage failed.
    """
    (plan,), failures = plan_targets([registry().get(target)], registry())
    if failures:
        raise next(iter(failures.values()))
    plan = plan.with_kernels(has_products(model))
    wanted = with_kernels(model, plan.kernels) if plan.kernels else model
    programs: dict[str, ExportedProgram] = {}
    for batch, buckets in batches.items():
        names = {bucket.entry if batch == 1 else bucket.batched for bucket in buckets}
        programs |= {
            name: program for name, program in export_entries(wanted, buckets, batch=batch).items() if name in names
        }
    with tempfile.TemporaryDirectory(prefix="pqrnn-modules-") as folder:
        source = import_programs(programs, Path(folder, "imported.mlirbc"))
        if plan.kernels:
            source = link_kernels(source, Path(folder, plan.mlir), plan.kernels, plan.processor.resolved)
        key = hashlib.sha256(
            b"\0".join([source.read_bytes(), repr(plan.flags).encode(), compiler_version().encode()])
        ).hexdigest()[:24]
        return write_once(PEERS / "modules" / f"{key}.vmfb", lambda path: compile_module(source, path, plan.flags))
