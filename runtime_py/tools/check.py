"""Checks that a variant answers right on this machine: the golden vectors are replayed and compared.

Integers (word count and word positions) have to be equal; logits may differ by the tolerance that the package states;
no decision may flip; every replay has to give the same bits; NaN, infinity and all-zero logits are separate faults,
since some drivers give them silently.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from runtime_py.device.preflight import this_machine
from runtime_py.execute.logits import Logits
from runtime_py.package_format.golden import GoldenVectors
from runtime_py.package_format.manifest import Parity
from runtime_py.package_format.package import Package, open_package, write_manifest
from runtime_py.parser import Parser

_WORST = 5


class Deviation(Struct, frozen=True):
    """One text, and what was different about it.

    Attributes:
        index: Index of the text.
        text: The text, for people.
        max_abs: Largest absolute difference of a logit.
        faults: What was wrong, in words.
    """

    index: int
    text: str
    max_abs: float
    faults: list[str]


class CheckResult(Struct, frozen=True):
    """Outcome of a check.

    Attributes:
        package: Path of the package.
        target: Name of the variant.
        reason: Why this variant was taken.
        parity: The numbers as they go into the manifest.
        worst: The worst texts, worst first.
    """

    package: str
    target: str
    reason: str
    parity: Parity
    worst: list[Deviation]

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return self.parity.passed


class Comparison:
    """Compares outputs with golden vectors, text by text, wherever the outputs come from."""

    def __init__(self, golden: GoldenVectors, tolerance: float) -> None:
        """Start with nothing compared.

        Args:
            golden: The expected outputs.
            tolerance: Largest allowed absolute difference of a logit.
        """
        self.golden = golden
        self.tolerance = tolerance
        self.intent_max_abs = self.tags_max_abs = 0.0
        self.counts = dict.fromkeys(
            (
                "intent_flips",
                "tag_flips",
                "count_mismatches",
                "span_mismatches",
                "not_finite",
                "all_zero",
                "not_deterministic",
            ),
            0,
        )
        self.texts = self.words = self.over_tolerance = 0
        self.deviations: list[Deviation] = []

    def add(self, index: int, replays: Sequence[Logits]) -> None:
        """Compare the outputs of one text.

        Args:
            index: Index of the text.
            replays: Outputs of repeated runs; the first is compared with the golden vectors, the others with the first.
        """
        first = replays[0]
        rows = self.golden.words(index)
        self.texts += 1
        self.words += rows.stop - rows.start
        faults: list[str] = []
        if any(not same_bits(first, other) for other in replays[1:]):
            self._count("not_deterministic", faults)
        largest = self._compare_intent(first.intent, self.golden.intent[index], faults)
        if len(first.tags) != rows.stop - rows.start:
            self._count("count_mismatches", faults)
        else:
            largest = max(largest, self._compare_words(first, rows, faults))
        if largest > self.tolerance:
            self.over_tolerance += 1
            faults.append("over tolerance")
        self.deviations.append(Deviation(index, self.golden.texts[index].decode("utf-8", "replace"), largest, faults))

    def _compare_intent(self, got: NDArray[np.float32], expected: NDArray[np.float32], faults: list[str]) -> float:
        if not np.isfinite(got).all():
            self._count("not_finite", faults)
            return 0.0
        if not got.any() and expected.any():
            self._count("all_zero", faults)
        if got.argmax() != expected.argmax():
            self._count("intent_flips", faults)
        largest = _largest(got, expected)
        self.intent_max_abs = max(self.intent_max_abs, largest)
        return largest

    def _compare_words(self, got: Logits, rows: slice, faults: list[str]) -> float:
        expected = self.golden.tags[rows]
        if not np.array_equal(got.spans, self.golden.spans[rows]):
            self._count("span_mismatches", faults)
        if not np.isfinite(got.tags).all():
            self._count("not_finite", faults)
            return 0.0
        flips = int((got.tags.argmax(axis=1) != expected.argmax(axis=1)).sum()) if len(expected) else 0
        if flips:
            self._count("tag_flips", faults, flips)
        largest = _largest(got.tags, expected)
        self.tags_max_abs = max(self.tags_max_abs, largest)
        return largest

    def _count(self, fault: str, faults: list[str], times: int = 1) -> None:
        self.counts[fault] += times
        faults.append(fault.replace("_", " "))

    def failures(self) -> list[str]:
        """Return what is wrong so far, in words; empty when nothing is."""
        failures = [f"{count} {fault.replace('_', ' ')}" for fault, count in self.counts.items() if count]
        if self.over_tolerance:
            largest = max(self.intent_max_abs, self.tags_max_abs)
            failures.append(
                f"{self.over_tolerance} texts over the tolerance of {self.tolerance:.3g} "
                f"(largest difference {largest:.3g})"
            )
        return failures

    def parity(self, repeats: int, machine: str, runtime: str, emulator: str = "") -> Parity:
        """Return the numbers as they go into the manifest.

        Args:
            repeats: How often each text was run.
            machine: The machine that ran the code, for people.
            runtime: Version of the runtime, and its device.
            emulator: The emulator that ran the code, if it was not hardware.
        """
        failures = self.failures()
        if self.texts != len(self.golden):
            failures.append(f"{self.texts} of {len(self.golden)} texts were run")
        return Parity(
            passed=not failures,
            texts=self.texts,
            words=self.words,
            repeats=repeats,
            tolerance=self.tolerance,
            intent_max_abs=self.intent_max_abs,
            tags_max_abs=self.tags_max_abs,
            machine=machine,
            runtime=runtime,
            checked=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            failures=failures,
            intent_flips=self.counts["intent_flips"],
            tag_flips=self.counts["tag_flips"],
            count_mismatches=self.counts["count_mismatches"],
            span_mismatches=self.counts["span_mismatches"],
            not_finite=self.counts["not_finite"],
            all_zero=self.counts["all_zero"],
            not_deterministic=self.counts["not_deterministic"],
            emulator=emulator,
        )

    def worst(self, count: int = _WORST) -> list[Deviation]:
        """Return the texts with faults, or the largest differences, worst first."""
        return sorted(
            self.deviations, key=lambda deviation: (-len(deviation.faults), -deviation.max_abs, deviation.index)
        )[:count]


def same_bits(first: Logits, second: Logits) -> bool:
    """Return whether two outputs are equal bit by bit (so that NaN equals itself)."""
    pairs = ((first.intent, second.intent), (first.tags, second.tags), (first.spans, second.spans))
    return all(a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in pairs)


def check_parser(parser: Parser, repeats: int = 3) -> CheckResult:
    """Replay the golden vectors of a loaded package.

    The whole set is replayed in rounds, so that every text follows another one each time and leftovers of an earlier
    text would show. A package with functions for several texts at once answers the set through these, too.

    Args:
        parser: The loaded package.
        repeats: Number of rounds, at least 1.

    Raises:
        PackageError: The golden vectors are missing or damaged.
        ParserError: The device failed.
    """
    if repeats < 1:
        raise ValueError(f"repeats is {repeats}, expected at least 1")
    golden = parser.package.golden()
    rounds: list[list[Logits]] = []
    for turn in range(repeats):
        # Odd rounds go backwards.
        order = range(len(golden)) if turn % 2 == 0 else range(len(golden) - 1, -1, -1)
        outputs = {index: parser.logits(golden.texts[index]) for index in order}
        rounds.append([outputs[index] for index in range(len(golden))])
    comparison = Comparison(golden, parser.manifest.golden.tolerance)
    for index in range(len(golden)):
        comparison.add(index, [outputs[index] for outputs in rounds])
    machine, gpu = this_machine(), parser.selection.gpu
    emulator = gpu.title if gpu is not None and gpu.software else ""
    batched = Comparison(golden, parser.manifest.golden.tolerance)
    if parser.batch > 1:
        for index, logits in enumerate(parser.logits_batch(golden.texts)):
            batched.add(index, [logits])
    parity = comparison.parity(
        repeats, machine.cpu or machine.architecture, f"iree {machine.runtime}, {parser.device}", emulator
    )
    if wrong := [f"{parser.batch} texts at once: {failure}" for failure in batched.failures()]:
        parity = msgspec.structs.replace(parity, passed=False, failures=parity.failures + wrong)
    return CheckResult(
        str(parser.package.path), parser.variant.target, parser.selection.reason, parity, comparison.worst()
    )


def check_package(path: str | Path, variant: str | None = None, repeats: int = 3, threads: int = 1) -> CheckResult:
    """Load a package, verify all its digests, and replay its golden vectors.

    Args:
        path: The package directory.
        variant: Name of a variant; by default the one that fits this machine best.
        repeats: Number of rounds, at least 1.
        threads: Number of threads, as `Parser.load` takes it.

    Raises:
        ParserError: The package cannot be loaded or run; that the answers are wrong is no error but ``passed`` being
            false.
    """
    open_package(path, verify=True)
    with Parser.load(path, variant=variant, threads=threads) as parser:
        return check_parser(parser, repeats)


def record_parity(path: str | Path, target: str, parity: Parity) -> Package:
    """Write the outcome of a check into the manifest of a package, in one step.

    Args:
        path: The package directory.
        target: Name of the variant that was checked.
        parity: The numbers of the check.

    Raises:
        PackageError: There is no such package or variant.
    """
    package = open_package(path)
    checked = package.variant(target)
    updated = msgspec.structs.replace(checked, parity=parity, unverified_reason=None)
    variants = [updated if variant.target == target else variant for variant in package.manifest.variants]
    write_manifest(package.path, msgspec.structs.replace(package.manifest, variants=variants))
    return open_package(path)


def _largest(got: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    return float(np.abs(got.astype(np.float64) - expected.astype(np.float64)).max(initial=0.0))
