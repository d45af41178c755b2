"""One parser in integers at every level of x86-64 that this machine runs, in turn in one process.

    python -m benchmarks.x86_levels pqrnn/zoo/checkpoints/mtop-en --name "int8, mtop-en"

The same weights are compiled for each level, with its own kernels, and called with a text of 8 words on one thread,
bytes to logits. Levels are compared with VNNI in registers of 512 bits, and with VNNI in 256 bits, which is what the
processors of laptops have. *In a row* is the fastest of some calls after each other, *cold* is a call after the caches
have been emptied; medians over rounds of ratios are kept, in `results/x86_levels.json`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from benchmarks.interleaved import BUCKETS, compare, eight_words, open_entry, time_entries
from benchmarks.modules import compile_entries
from benchmarks.results import keep_results, print_rows, tell_command
from benchmarks.weight_bits import NATIVE, cut_weights
from compile.kernels.advice import describe_kernels
from pqrnn.checkpoint import load_checkpoint
from pqrnn.evaluation.results import ResultRow
from runtime_py.device.preflight import missing_features, this_machine
from targets import registry

_BASES = ("linux-x86_64-vnni", "linux-x86_64-avxvnni")


def main() -> None:
    """Compile, measure, print, keep."""
    arguments = _read_arguments()
    torch.set_num_threads(1)
    checkpoint = load_checkpoint(arguments.run)
    eight = checkpoint.model.folded()
    labels = checkpoint.facts.labels
    text = eight_words()
    levels = [name for name in NATIVE if not missing_features(sorted(registry().get(name).features), this_machine())]
    rows: list[ResultRow] = []
    for bits, model in ((8, eight), (4, cut_weights(eight))):
        calls = {level: open_entry(compile_entries(model, {1: BUCKETS}, level), text, labels) for level in levels}
        for regime, times in time_entries(calls, text, arguments.rounds).items():
            for base in (base for base in _BASES if base in levels):
                for level in levels:
                    ratio, note = compare(times, level, base)
                    kernels = describe_kernels(registry().get(level), True, bits)
                    rows.append(
                        ResultRow(
                            work=f"{arguments.name}, {bits} bits, {level}",
                            metric=f"time against {base}, {regime}",
                            value=ratio,
                            n=arguments.rounds,
                            note=f"{note}; {kernels}",
                        )
                    )
                    print(f"  {rows[-1].work:48} {rows[-1].metric:52} {ratio:8.3f}  {note}", flush=True)
    if arguments.keep:
        keep_results("x86_levels", rows, tell_command("benchmarks.x86_levels"), replace_works={r.work for r in rows})
    else:
        print_rows("x86_levels", rows)


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a parser in 8 bits")
    parser.add_argument("--name", required=True, help="its name in the rows")
    parser.add_argument("--rounds", type=int, default=60, help="turns that each module gets")
    parser.add_argument("--no-keep", dest="keep", action="store_false", help="print only")
    return parser.parse_args()


if __name__ == "__main__":
    main()
