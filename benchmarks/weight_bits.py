"""Weights of 4 bits beside those of 8 in the compiled module of one parser: bytes, instructions, time.

    python -m benchmarks.weight_bits ../runs/mtop-en-int8 --name "int8, mtop-en"

The parser of 8 bits is compiled as it is, and with its weights cut to 4 bits: its answers then mean little, its speed
and its bytes are those of a parser that has learned in 4 bits. Both modules are called in turn in one process on one
thread with a text of 8 words, bytes to logits. *In a row* is the fastest of some calls after each other, *cold* is a
call after the caches have been emptied; medians of ratios are kept. 64-bit ARM is emulated, where instructions are
counted, which is exact. Rows are kept in `results/weight_bits.json`.
"""

from __future__ import annotations

import argparse
import copy
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks.interleaved import BUCKETS, WORDS, compare, eight_words, open_entry, time_entries
from benchmarks.modules import compile_entries
from benchmarks.results import keep_results, print_rows, tell_command
from compile.emulation.counting import CountError, count_instructions
from compile.kernels.advice import describe_kernels
from pqrnn.checkpoint import load_checkpoint
from pqrnn.evaluation.results import ResultRow
from pqrnn.model.int8 import IntegerLinear
from pqrnn.model.parser import ParserModel
from runtime_py.device.preflight import missing_features, this_machine
from runtime_py.execute.entry import EntryFunction
from targets import registry

NATIVE = ("linux-x86_64-v2", "linux-x86_64-v3", "linux-x86_64-avxvnni", "linux-x86_64-vnni")
EMULATED = {"raspberry-pi-4": "cortex-a72", "raspberry-pi-5": "cortex-a76", "linux-aarch64-i8mm": "max,sve=off"}


def cut_weights(model: ParserModel) -> ParserModel:
    """Return a copy of a folded parser whose weights have 4 bits; those of 8 become the nearest."""
    cut = copy.deepcopy(model)
    for linear in cut.modules():
        if isinstance(linear, IntegerLinear) and linear.bits == 8:
            linear.weight.copy_(torch.round(linear.weight.float() * (7 / 127)))
            linear.scale.mul_(127 / 7)
            linear.bits = 4
            linear.derive()
    return cut


def main() -> None:
    """Compile, measure, print, keep."""
    arguments = _read_arguments()
    torch.set_num_threads(1)
    checkpoint = load_checkpoint(arguments.run)
    eight = checkpoint.model.folded()
    models = {"8 bits": eight, "4 bits": cut_weights(eight)}
    if not any(isinstance(module, IntegerLinear) for module in eight.modules()):
        raise SystemExit(f"{arguments.run}: a parser of float32; quantize it first")
    labels = checkpoint.facts.labels
    text = eight_words()
    rows: list[ResultRow] = []
    for target in arguments.target or [*NATIVE, *EMULATED]:
        described = registry().get(target)
        if target not in EMULATED and missing_features(sorted(described.features), this_machine()):
            print(f"{target}: this machine cannot run it")
            continue
        modules = {bits: compile_entries(model, {1: BUCKETS}, target) for bits, model in models.items()}
        work = f"{arguments.name}, {target}"
        for bits, module in modules.items():
            size, note = module.stat().st_size, describe_kernels(described, True, int(bits.split()[0]))
            rows.append(ResultRow(work=work, metric="module", value=size, unit="bytes", peer=bits, note=note))
        if target in EMULATED:
            rows += count(work, modules, text, EMULATED[target])
        else:
            calls = {bits: open_entry(path, text, labels) for bits, path in modules.items()}
            rows += measure(work, calls, text, arguments.rounds)
        for row in rows[-4:]:
            print(f"  {row.work:36} {row.metric:24} {row.peer:8} {row.value:14,.3f} {row.unit}", flush=True)
    if arguments.keep:
        keep_results("weight_bits", rows, tell_command("benchmarks.weight_bits"), replace_works={r.work for r in rows})
    print_rows("weight_bits", rows)


def count(work: str, modules: dict[str, Path], text: bytes, cpu: str) -> list[ResultRow]:
    """Return rows with the instructions of a call, counted in QEMU."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="pqrnn-bits-") as folder:
        np.save(Path(folder, "text.npy"), np.frombuffer(text.ljust(BUCKETS[0].bytes, b"\0"), "<i4").reshape(1, -1))
        for bits, module in modules.items():
            arguments = ["--device=local-sync", f"--module={module}", f"--function={BUCKETS[0].entry}"]
            try:
                counted = count_instructions([*arguments, f"--input=@{folder}/text.npy"], cpu)
            except CountError as error:
                print(f"{work}: {error}")
                return []
            rows.append(
                ResultRow(work=work, metric=f"instructions, {WORDS} words", value=counted.code, peer=bits, note=cpu)
            )
    return rows


def measure(work: str, calls: dict[str, EntryFunction], text: bytes, rounds: int) -> list[ResultRow]:
    """Return rows with the median over rounds of the ratio of the calls' times, in a row and cold."""
    rows = []
    for regime, times in time_entries(calls, text, rounds).items():
        ratio, note = compare(times, "4 bits", "8 bits")
        metric = f"time against 8 bits, {regime}"
        rows.append(ResultRow(work=work, metric=metric, value=ratio, n=rounds, peer="4 bits", note=note))
    return rows


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a parser in int8")
    parser.add_argument("--name", required=True, help="its name in the rows")
    parser.add_argument("--target", action="append", help="only this one; repeat for more")
    parser.add_argument("--rounds", type=int, default=60, help="turns that each module gets")
    parser.add_argument("--no-keep", dest="keep", action="store_false", help="print only")
    return parser.parse_args()


if __name__ == "__main__":
    main()
