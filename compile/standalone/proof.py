"""Comparison of a parser in C with PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from compile.standalone.building import built_program
from compile.standalone.errors import ToolchainError
from compile.standalone.toolchains import find_toolchain
from compile.verify.golden import GoldenSet
from compile.verify.reference import Prediction
from compile.verify.replay import judge_entries
from runtime_py.decode.labels import Labels
from runtime_py.package_format.manifest import Bucket
from targets import Target


@dataclass(frozen=True, slots=True)
class Proof:
    """Result of a comparison.

    Attributes:
        machine: Machine or emulator that ran the program; empty if none could.
        reason: Why no machine could run the program; empty if one did.
        texts: Number of texts, each of which every entry that can hold it has answered.
        largest: Largest difference of a logit from PyTorch's in float64.
        tolerance: Largest difference that is allowed.
    """

    machine: str
    reason: str
    texts: int
    largest: float
    tolerance: float


def compute_logits(
    folder: Path, target: Target, labels: Labels, texts: Sequence[bytes]
) -> tuple[str, list[Prediction]]:
    """Build a written parser and run texts, each in the smallest bucket that holds it.

    Args:
        folder: Folder that `compile.standalone.pipeline.export_parser` has written.
        target: Target that the parser was written for.
        labels: Labels of the parser.
        texts: Texts as UTF-8, or any bytes.

    Returns:
        The machine that ran the program, and the answers for `compile.verify.parity.compare_answers`.

    Raises:
        ToolchainError: The C compiler or the emulator is not installed.
        StandaloneError: The parser cannot be built, or crashes.
    """
    toolchain = find_toolchain(target)
    with built_program(folder, toolchain, labels) as program:
        return toolchain.machine, program.answers(texts)


def prove(folder: Path, target: Target, buckets: Sequence[Bucket], labels: Labels, golden: GoldenSet) -> Proof:
    """Build a written parser and judge the answers of every entry to the golden texts.

    Raises:
        StandaloneError: The parser cannot be built, or crashes.
        VerificationError: The parser does not answer as PyTorch does.
    """
    try:
        toolchain = find_toolchain(target)
    except ToolchainError as error:
        return Proof("", error.message, 0, 0.0, golden.tolerance)
    with built_program(folder, toolchain, labels) as program:
        texts = [reference.text for reference in golden.references]
        numerics = judge_entries(
            program.entry_answers(texts, buckets), buckets, golden, f"{target.id} in C on {toolchain.machine}"
        )
        return Proof(toolchain.machine, "", len(texts), numerics.largest, golden.tolerance)
