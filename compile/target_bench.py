"""What each variant of a package costs, as far as this machine can tell the truth about it.

Code that runs natively is timed by the runtime's own `iree-benchmark-module`, whose documents are kept. An emulator's
times mean nothing, so of emulated code only exact figures are reported: executed instructions, bytes of code and
weights, launches, and memory. Code that cannot run here still has sizes.
"""

from __future__ import annotations

import json
import re
import statistics
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import numpy as np

from compile.emulation.counting import CountError, Instructions, count_instructions
from compile.emulation.runner import Runner, RunnerNotFoundError, find_runner, native_runner, native_tools
from compile.support.errors import CompileError
from compile.support.process import run_tool
from runtime_py.atomic_files import write_atomic
from runtime_py.package_format.manifest import Bucket, Variant
from runtime_py.package_format.package import Package, open_package
from targets import TargetError, registry

_SECONDS = 600.0
_REPETITIONS = 5
_MICROSECONDS = {"ns": 1e-3, "us": 1.0, "ms": 1e3, "s": 1e6}
_WORDS = [
    "set",
    "an",
    "alarm",
    "for",
    "seven",
    "tomorrow",
    "morning",
    "and",
    "then",
    "play",
    "some",
    "quiet",
    "jazz",
    "in",
    "the",
    "kitchen",
]


# Title, columns and rows.
Table = tuple[str, tuple[str, ...], list[tuple[str, ...]]]


class BenchError(CompileError):
    """A variant could not be measured."""

    stage: ClassVar[str] = "bench"


class EntryFigures(msgspec.Struct, frozen=True):
    """One length bucket, filled with a fixed text.

    Attributes:
        entry: Name of the compiled function.
        words: Most words that it takes.
        bytes: Most bytes that it takes.
        text: What was computed.
        dispatches: Launches of generated code in one call.
        microseconds: Wall time of a call by repetition of the benchmark, each a mean of many calls; empty for emulated
            code.
        instructions_code: Instructions that the compiled code executes in one call: exact. None where they are not
            counted.
        instructions_call: All instructions of one call, with those of the runtime: an average. None where they are not
            counted.
        peak_bytes: Most memory that the runtime had allocated for buffers, weights included; None for code that did not
            run.
    """

    entry: str
    words: int
    bytes: int
    text: str
    dispatches: int
    microseconds: list[float]
    instructions_code: int | None
    instructions_call: int | None
    peak_bytes: int | None

    @property
    def median(self) -> float | None:
        """Median of the repetitions in microseconds."""
        return statistics.median(self.microseconds) if self.microseconds else None


class TargetFigures(msgspec.Struct, frozen=True):
    """One variant.

    Attributes:
        target: Name of the variant.
        runner: What it ran on; empty where nothing here can run it.
        emulated: Whether that was an emulator.
        notes: Why something was not measured.
        module_bytes: The whole compiled module.
        code_bytes: Machine code in it, or shaders, or the interpreter's code.
        weight_bytes: Weights and tables in it.
        program_bytes: The rest: the program that launches the code.
        entries: One for each length bucket.
        benchmarks: By entry, the whole document of `iree-benchmark-module`; empty for emulated code.
    """

    target: str
    runner: str
    emulated: bool
    notes: list[str]
    module_bytes: int
    code_bytes: int
    weight_bytes: int
    program_bytes: int
    entries: list[EntryFigures]
    benchmarks: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ModuleSizes:
    """Bytes of the parts of a compiled module."""

    code: int
    weights: int
    program: int


def bench_targets(
    path: Path, targets: Sequence[str], seconds: float = 3.0, say: Callable[[str], None] = lambda _: None
) -> list[TargetFigures]:
    """Measure variants of a package.

    Args:
        path: The package.
        targets: Names of variants; "all" for every one.
        seconds: For each native variant, shared among its entries.
        say: Told what is being done.

    Raises:
        BenchError: The package has no such variant, or one does not run where it should.
        PackageError: There is no such package, or it is damaged.
    """
    package = open_package(path)
    known = {variant.target: variant for variant in package.manifest.variants}
    names = list(known) if "all" in targets else list(dict.fromkeys(targets))
    for name in names:
        if name not in known:
            raise BenchError(f"{path} has no variant {name!r}; it has: {', '.join(known)}")
    return [_bench(package, known[name], seconds, say) for name in names]


def keep_documents(figures: Sequence[TargetFigures], folder: Path) -> None:
    """Write every document of `iree-benchmark-module` to `<folder>/<target>.<entry>.json`."""
    for each in figures:
        for entry, document in each.benchmarks.items():
            write_atomic(folder / f"{each.target}.{entry}.json", json.dumps(document, indent=2).encode() + b"\n")


def figures_tables(figures: Sequence[TargetFigures]) -> list[Table]:
    """Return tables for people: one of all variants, and one of each; columns without a figure are left out."""
    sizes = [
        (
            each.target,
            each.runner or "-",
            f"{each.module_bytes:,}",
            f"{each.code_bytes:,}",
            f"{each.weight_bytes:,}",
            "; ".join(each.notes) or "-",
        )
        for each in figures
    ]
    tables = [_table("compiled modules, bytes", ("target", "ran on", "module", "code", "weights", "notes"), sizes)]
    columns = (
        "bucket",
        "launches",
        "instructions of the code",
        "with the runtime, about",
        "peak bytes of buffers",
        "us, median of repetitions",
    )
    for each in figures:
        costs = [
            (
                f"{entry.words} words, {entry.bytes} bytes",
                str(entry.dispatches),
                _number(entry.instructions_code),
                _number(entry.instructions_call),
                _number(entry.peak_bytes),
                "-"
                if entry.median is None
                else f"{entry.median:.0f} ({min(entry.microseconds):.0f} to {max(entry.microseconds):.0f})",
            )
            for entry in each.entries
        ]
        tables.append(_table(f"{each.target}, {each.runner or 'not run'}, one call", columns, costs))
    return tables


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    kept = [number for number in range(len(columns)) if any(row[number] != "-" for row in rows)]
    return title, tuple(columns[number] for number in kept), [tuple(row[number] for number in kept) for row in rows]


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def fixed_text(bucket: Bucket) -> str:
    """Return a text that fills a bucket: as many words as it takes, unless its bytes are full before."""
    words: list[str] = []
    while len(words) < bucket.words and len(" ".join([*words, _WORDS[len(words) % len(_WORDS)]])) <= bucket.bytes:
        words.append(_WORDS[len(words) % len(_WORDS)])
    return " ".join(words)


def measure_module(module: Path) -> ModuleSizes:
    """Return the sizes of the parts of a compiled module, which is a zip archive of them.

    Raises:
        BenchError: It is no such archive.
    """
    try:
        with zipfile.ZipFile(module) as archive:
            parts = {entry.filename: entry.file_size for entry in archive.infolist()}
    except (OSError, zipfile.BadZipFile) as error:
        raise BenchError(f"{module}: not a compiled module as this compiler writes it ({error})") from error
    program = sum(size for name, size in parts.items() if name == "module.fb")
    weights = sum(size for name, size in parts.items() if name.endswith(".bin"))
    return ModuleSizes(sum(parts.values()) - program - weights, weights, program)


def count_dispatches(module: Path, entries: Sequence[str]) -> dict[str, int]:
    """Return how many launches of generated code one call of each entry makes, from the program of the module.

    An entry either launches by itself or replays a list of launches that the initialiser recorded; neither has loops or
    choices.

    Raises:
        BenchError: The program cannot be read.
    """
    finished = run_tool([native_tools() / "iree-dump-module", "--output=disassembly", module], _SECONDS)
    if finished.code:
        raise BenchError(f"{module}: iree-dump-module {finished.ending}", finished.diagnostics)
    bodies = _functions(finished.output)
    recorded = _recordings(bodies)
    counts = {}
    for entry in entries:
        own = [body for name, body in bodies if name in (entry, f"{entry}$async")]
        if not own:
            raise BenchError(f"{module}: has no function {entry}")
        replayed = {
            slot
            for body in own
            for slot in re.findall(r"vm\.global\.load\.ref \.refs\[(\d+)\] : !hal\.command_buffer", body)
        }
        if not replayed <= recorded.keys():
            raise BenchError(f"{module}: cannot tell which launches {entry} replays")
        functions = [bodies[recorded[slot]][1] for slot in replayed]
        counts[entry] = sum(len(re.findall(r"@hal\.command_buffer\.dispatch\b", body)) for body in [*own, *functions])
    return counts


def _functions(text: str) -> list[tuple[str, str]]:
    """Return name and body of every function of a disassembly, by number."""
    parts = re.split(r"^vm\.func @([^(]+)\(", text, flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def _recordings(bodies: list[tuple[str, str]]) -> dict[str, int]:
    """Return by slot of a recorded list of launches the number of the function that recorded it.

    The initialiser calls it by number, `@module:4`, or by name; the disassembler gives the name of the initialiser to
    the very first function, too.
    """
    stored = (
        r"vm\.call @[\w$]+(?::(\d+)|\.(\S+))\(\)\s+vm\.global\.store\.ref %\w+, \.refs\[(\d+)\] : !hal\.command_buffer"
    )
    names = [name for name, _ in bodies]
    return {
        slot: int(number) if number else names.index(name)
        for _, body in bodies
        for number, name, slot in re.findall(stored, body)
    }


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
            with tempfile.TemporaryDirectory() as folder:
                arguments = _arguments(Path(folder), module, variant, bucket, text)
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
    """Return what runs a variant, or None with a note."""
    try:
        target = registry().get(variant.target)
    except TargetError:
        target = None  # its plug-in is not installed here
    try:
        return native_runner(variant) if target is None else find_runner(target, variant)
    except RunnerNotFoundError as error:
        notes.append(f"not run: {error.reason}")
        return None


def _arguments(folder: Path, module: Path, variant: Variant, bucket: Bucket, text: str) -> list[str]:
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
        failed = next((each["error_message"] for each in document["benchmarks"] if each.get("error_occurred")), "")
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
        each["real_time"] * _MICROSECONDS[each["time_unit"]]
        for each in document["benchmarks"]
        if each["run_type"] == "iteration"
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
