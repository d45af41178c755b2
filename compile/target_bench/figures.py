"""What is measured: the figures of a variant and of each of its length buckets."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from compile.support.errors import CompileError
from runtime_py.atomic_files import write_atomic


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


def keep_documents(figures: Sequence[TargetFigures], folder: Path) -> None:
    """Write every document of `iree-benchmark-module` to `<folder>/<target>.<entry>.json`."""
    for target in figures:
        for entry, document in target.benchmarks.items():
            write_atomic(folder / f"{target.target}.{entry}.json", json.dumps(document, indent=2).encode() + b"\n")
