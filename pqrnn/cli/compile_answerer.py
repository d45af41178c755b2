"""What `pqrnn compile` does with a model that answers questions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pqrnn.cli.output import print_json, say, show_table
from pqrnn.cli.progress import show_progress

if TYPE_CHECKING:
    from compile.options import CompileOptions


def compile_and_tell(run: Path, out: Path, targets: Sequence[str], options: CompileOptions, json: bool) -> int:
    """Compile a model, print what came of it, and return the exit code."""
    from compile.questions.pipeline import compile_answerer

    with show_progress(json) as tell:
        outcome = compile_answerer(run, out, targets, options, on_progress=tell)
    manifest = outcome.manifest
    if json:
        failures = {name: str(error) for name, error in outcome.failures.items()}
        print_json({"package": str(outcome.package), "failures": failures, "manifest": manifest})
        return 1 if failures else 0
    rows = []
    for each in manifest.variants:
        code, proof = each.code, each.proof
        verdict = (
            f"answers like PyTorch on {proof.questions} questions, logits within {proof.largest:.1e}"
            if proof is not None
            else f"unverified: {code.unverified_reason}"
        )
        seconds = "cached" if code.target in outcome.cached else f"{code.compile_seconds:.1f}"
        rows.append((code.target, f"{manifest.files[code.path].bytes:,}", seconds, verdict))
    windows = ", ".join(map(str, manifest.windows))
    parts = f", {len(manifest.parts)} parts of the network" if len(manifest.parts) > 1 else ""
    total = sum(entry.bytes for entry in manifest.files.values())
    title = f"{outcome.package}: windows of {windows} subwords{parts}, {total:,} bytes in all"
    show_table(title, ("target", "bytes", "seconds", "verified"), rows)
    for name, error in outcome.failures.items():
        say(f"{name}: not in the package. {error}", color="red", error=True)
    return 1 if outcome.failures else 0
