"""Targets that IREE has no runtime for: a checkpoint as plain C, run in QEMU, compared with PyTorch.

    python -m benchmarks.standalone runs/mtop-en --data ../shared/data/mtop/spans --lang en

The texts are every n-th test utterance, and golden texts in other scripts, emoji and invalid bytes. Rows are kept in
`results/targets.json`, beside those of `benchmarks.targets`. No time is kept but that of the compiler: what runs here
is emulated.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.results import keep_results, tell_command
from benchmarks.targets import choose_texts, describe_decisions
from compile.lowering.buckets import choose_buckets
from compile.lowering.export import export_entries
from compile.lowering.import_mlir import import_programs
from compile.lowering.iree_compile import target_flags
from compile.standalone.errors import ToolchainError
from compile.standalone.export import Figures, write_standalone
from compile.standalone.proof import compute_logits
from compile.verify.parity import compare_answers
from pqrnn.checkpoint import load_checkpoint
from pqrnn.evaluation import prediction
from pqrnn.evaluation.results import ResultRow
from targets import registry

TARGETS = ("linux-armv7-neon", "linux-armv7-vfp3", "linux-riscv64", "linux-riscv64-v", "cortex-m7")


def main() -> None:
    """Export, compile, run, compare, print, keep."""
    arguments = _read_arguments()
    checkpoint, known = load_checkpoint(arguments.run), registry()
    model, buckets = checkpoint.model.folded(), choose_buckets(checkpoint.facts.lengths)
    labels = checkpoint.facts.labels
    texts = choose_texts(arguments.data, arguments.lang, arguments.texts, buckets)
    framework = prediction.compute_logits(checkpoint.model, texts)
    rows: list[ResultRow] = []
    with tempfile.TemporaryDirectory(prefix="pqrnn-standalone-") as scratch:
        module = import_programs(export_entries(model, buckets), Path(scratch) / "module.mlirbc")
        for name in arguments.target or TARGETS:
            target, folder, work = known.get(name), Path(scratch) / name, f"f32 as C, {name}"
            folder.mkdir()
            figures = write_standalone(
                module, target, target_flags(target, known.family(target)), buckets, labels, folder, arguments.run.name
            )
            new = describe_artifact(work, figures)
            try:
                machine, answers = compute_logits(folder, target, labels, texts)
            except ToolchainError as error:
                new.append(ResultRow(work=work, metric="executed", value=0, note=error.message))
            else:
                new += describe_decisions(
                    work, compare_answers(checkpoint, texts, framework, answers), machine, len(texts)
                )
            rows += new
            print(
                f"{name}: " + ", ".join(f"{row.metric} {row.value:g}" for row in new) + f" ({new[-1].note})",
                flush=True,
            )
    if arguments.keep:
        keep_results("targets", rows, tell_command("benchmarks.standalone"), replace_works={row.work for row in rows})


def describe_artifact(work: str, figures: Figures) -> list[ResultRow]:
    """Return rows about the compiled artifact."""
    return [
        ResultRow(
            work=work,
            metric="artifact",
            value=figures.code_bytes + figures.weight_bytes,
            unit="bytes",
            note="object file and weights",
        ),
        ResultRow(
            work=work,
            metric="working memory",
            value=figures.memory_bytes,
            unit="bytes",
            note="static, for the longest bucket",
        ),
        ResultRow(work=work, metric="compile", value=round(figures.seconds, 3), unit="s"),
        ResultRow(work=work, metric="dispatches", value=figures.dispatches, note="all entries together"),
    ]


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a trained parser")
    parser.add_argument("--data", required=True, help="labelled utterances with a test split, as for `pqrnn train`")
    parser.add_argument("--lang", help="only this language")
    parser.add_argument("--texts", type=int, default=500, help="test utterances, at least")
    parser.add_argument("--target", action="append", help=f"only this one; repeat for more (all: {', '.join(TARGETS)})")
    parser.add_argument("--no-keep", dest="keep", action="store_false", help="print only")
    return parser.parse_args()


if __name__ == "__main__":
    main()
