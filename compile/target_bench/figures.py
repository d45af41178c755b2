"""The figures of a variant and of each of its length buckets."""

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
    """The figures of one length bucket, which is filled with a fixed text.

    Attributes:
        entry: Name of the compiled function.
        words: Largest number of words of the bucket.
        bytes: Largest number of bytes of the bucket.
        text: The fixed text.
        dispatches: Number of launches of generated code in one call.
        microseconds: Wall times of a call, one for each repetition of the benchmark, each a mean of many calls; empty
            for emulated code.
        instructions_code: Exact number of instructions that the compiled code executes in one call; None where they are
            not counted.
        instructions_call: Average number of all instructions of one call, with those of the runtime; None where they
            are not counted.
        peak_bytes: Largest size of the memory that the runtime allocated for buffers, including weights; None for code
            that did not run.
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
        """Median of the wall times in microseconds, or None for emulated code."""
        return statistics.median(self.microseconds) if self.microseconds else None


class TargetFigures(msgspec.Struct, frozen=True):
    """The figures of one variant.

    Attributes:
        target: Name of the variant.
        runner: Machine or emulator that ran the code; empty where none can.
        emulated: Whether the code ran in an emulator.
        notes: Reasons why figures are missing.
        module_bytes: Size of the whole compiled module.
        code_bytes: Size of its machine code, its shaders, or the interpreter's code.
        weight_bytes: Size of its weights and tables.
        program_bytes: Size of the rest, the program that launches the code.
        entries: Figures of the length buckets.
        benchmarks: Documents of `iree-benchmark-module`, by entry; empty for emulated code.
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
