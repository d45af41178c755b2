"""Variants of a package are run, natively or in an emulator, and measured."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from compile.emulation.counting import CountError, Instructions, count_instructions
from compile.emulation.runner import Runner, RunnerNotFoundError, find_runner, native_runner
from compile.support.process import run_tool
from compile.support.scratch import scratch_folder
from compile.target_bench.figures import BenchError, EntryFigures, TargetFigures
from compile.target_bench.module_parts import count_dispatches, measure_module
from runtime_py.package_format.manifest import Bucket, Variant
from runtime_py.package_format.package import Package, open_package
from targets import TargetError, registry

_SECONDS = 600.0
_REPETITIONS = 5
_MICROSECONDS = {"ns": 1e-3, "us": 1.0, "ms": 1e3, "s": 1e6}
_TEXT = "set an alarm for seven tomorrow morning and then play some quiet jazz in the kitchen"


def bench_targets(
    path: Path, targets: Sequence[str], seconds: float = 3.0, say: Callable[[str], None] = lambda _: None
) -> list[TargetFigures]:
    """Measure variants of a package.

    Args:
        path: Directory of the package.
        targets: Names of variants; "all" stands for all of them.
        seconds: Time to measure each native variant, shared among its entries.
        say: Called with what is being done.

    Raises:
        BenchError: The package has no such variant, or a variant fails on a machine that should run it.
        PackageError: There is no such package, or it is damaged.
    """
    package = open_package(path)
    known = {variant.target: variant for variant in package.manifest.variants}
    names = list(known) if "all" in targets else list(dict.fromkeys(targets))
    for name in names:
        if name not in known:
            raise BenchError(f"{path} has no variant {name!r}; it has: {', '.join(known)}")
    return [_bench(package, known[name], seconds, say) for name in names]


def fixed_text(bucket: Bucket) -> str:
    """Return a text that fills a bucket: as many words as it takes, unless its bytes are full before."""
    vocabulary = _TEXT.split()
    words: list[str] = []
    while len(words) < bucket.words:
        longer = [*words, vocabulary[len(words) % len(vocabulary)]]
        if len(" ".join(longer)) > bucket.bytes:
            break
        words = longer
    return " ".join(words)


def _bench(package: Package, variant: Variant, seconds: float, say: Callable[[str], None]) -> TargetFigures:
    module = package.path / variant.path
    package.verify_file(variant.path)
    buckets = package.manifest.buckets
    sizes, dispatches = measure_module(module), count_dispatches(module, [bucket.entry for bucket in buckets])
    notes: list[str] = []
    runner = _runner(variant, notes)
    say(f"{variant.target}: on {runner.name}" if runner else f"{variant.target}: sizes only")
    entries, documents = [], {}
    for bucket in buckets:
        microseconds: list[float] = []
        instructions: Instructions | None = None
        peak: int | None = None
        text = fixed_text(bucket)
        if runner is not None:
            with scratch_folder("bench") as folder:
                arguments = benchmark_arguments(folder, module, variant, bucket, text)
                if runner.emulated:
                    peak = _run(runner, variant, [*arguments, "--benchmark_min_time=1x"])[1]
                    instructions = _count(runner, arguments, notes)
                else:
                    span = f"--benchmark_min_time={seconds / len(buckets) / _REPETITIONS:.3f}s"
                    document, peak = _run(
                        runner, variant, [*arguments, span, f"--benchmark_repetitions={_REPETITIONS}"]
                    )
                    documents[bucket.entry] = document
                    microseconds = _times(document)
        entries.append(
            EntryFigures(
                bucket.entry,
                bucket.words,
                bucket.bytes,
                text,
                dispatches[bucket.entry],
                microseconds,
                instructions.code if instructions is not None else None,
                instructions.call if instructions is not None else None,
                peak,
            )
        )
    total = module.stat().st_size
    name, emulated = (runner.name, runner.emulated) if runner is not None else ("", False)
    return TargetFigures(
        variant.target,
        name,
        emulated,
        list(dict.fromkeys(notes)),
        total,
        sizes.code,
        sizes.weights,
        sizes.program,
        entries,
        documents,
    )


def _runner(variant: Variant, notes: list[str]) -> Runner | None:
    """Return the machine or emulator that runs a variant, or None with a note."""
    try:
        target = registry().get(variant.target)
    except TargetError:
        target = None  # its plug-in is not installed here
    try:
        return native_runner(variant) if target is None else find_runner(target, variant)
    except RunnerNotFoundError as error:
        notes.append(f"not run: {error.reason}")
        return None


def benchmark_arguments(folder: Path, module: Path, variant: Variant, bucket: Bucket, text: str) -> list[str]:
    """Return the arguments with which the runtime's benchmark program calls an entry with a text."""
    lanes = np.frombuffer(text.encode().ljust(bucket.bytes, b"\0"), "<i4").reshape(1, -1)
    np.save(folder / "text.npy", lanes)
    return [
        f"--device={variant.device}",
        f"--module={module}",
        f"--function={bucket.entry}",
        f"--input=@{folder / 'text.npy'}",
    ]


def _run(runner: Runner, variant: Variant, arguments: Sequence[str]) -> tuple[dict[str, Any], int]:
    """Run the benchmark program; return its document and the peak of the memory that it allocated for buffers."""
    command = [*runner.tool("iree-benchmark-module"), *arguments, "--benchmark_format=json", "--print_statistics"]
    finished = run_tool(command, _SECONDS, environment=runner.environment)
    try:
        document = json.loads(finished.output)
        failed = next((entry["error_message"] for entry in document["benchmarks"] if entry.get("error_occurred")), "")
    except (ValueError, KeyError) as error:
        raise BenchError(
            f"{variant.target} on {runner.name}: iree-benchmark-module {finished.ending}", finished.diagnostics
        ) from error
    if failed or finished.code:
        raise BenchError(
            f"{variant.target} on {runner.name}: iree-benchmark-module {finished.ending}",
            failed or finished.diagnostics,
        )
    peaks = re.findall(r"^\s*\w+_LOCAL:\s*(\d+)B peak", finished.diagnostics, re.MULTILINE)
    return document, sum(map(int, peaks))


def _times(document: dict[str, Any]) -> list[float]:
    return [
        entry["real_time"] * _MICROSECONDS[entry["time_unit"]]
        for entry in document["benchmarks"]
        if entry["run_type"] == "iteration"
    ]


def _count(runner: Runner, arguments: Sequence[str], notes: list[str]) -> Instructions | None:
    """Count instructions where that can be done, or leave a note."""
    if not runner.name.startswith("qemu-aarch64"):
        notes.append(f"instructions are counted on aarch64 only, not on {runner.name}")
        return None
    try:
        return count_instructions(arguments, runner.name.split(", ", 1)[1])
    except CountError as error:
        notes.append(f"instructions not counted: {error}")
        return None
