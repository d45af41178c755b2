"""The comparison of a variant's answers with the golden vectors and the golden decisions.

Integers (word count and word positions) have to be equal; logits may differ by each text's tolerance; no decision may
flip, neither by index nor by name; every replay has to give the same bits; NaN, infinity and all-zero logits are
separate faults, since some drivers give them silently.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from runtime_py.decode.decoder import Decoder
from runtime_py.execute.logits import Logits
from runtime_py.package_format.decisions import Decision, make_decision
from runtime_py.package_format.golden import GoldenVectors
from runtime_py.package_format.proofs import Parity

_WORST = 5
_FAULTS = (
    "intent_flips",
    "tag_flips",
    "decision_flips",
    "count_mismatches",
    "span_mismatches",
    "not_finite",
    "all_zero",
    "not_deterministic",
)


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


class Comparison:
    """Compares outputs with golden vectors, text by text, wherever the outputs come from."""

    def __init__(
        self,
        golden: GoldenVectors,
        tolerance: float,
        decoder: Decoder | None = None,
        decisions: Sequence[Decision] = (),
    ) -> None:
        """Start with nothing compared.

        Args:
            golden: The expected outputs.
            tolerance: Largest allowed absolute difference of a logit, where the outputs name none for each text.
            decoder: Decides what outputs mean; needed for decisions.
            decisions: What each text means; none in packages that do not say.
        """
        self.golden = golden
        self.tolerance = tolerance
        self._decoder, self._decisions = decoder, decisions
        self.intent_max_abs = self.tags_max_abs = 0.0
        self.counts = dict.fromkeys(_FAULTS, 0)
        self.texts = self.words = self.over_tolerance = 0
        self._excess = (0.0, 0.0, 0.0)  # of the text that is over its tolerance most: how many times, difference, bound
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
            self._compare_decision(index, first, faults)
        allowed = self.tolerance if self.golden.tolerances is None else float(self.golden.tolerances[index])
        if largest > allowed:
            self.over_tolerance += 1
            self._excess = max(self._excess, (largest / allowed, largest, allowed))
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
        if not got.tags.any() and expected.any():
            self._count("all_zero", faults)
        flips = int((got.tags.argmax(axis=1) != expected.argmax(axis=1)).sum()) if len(expected) else 0
        if flips:
            self._count("tag_flips", faults, flips)
        largest = _largest(got.tags, expected)
        self.tags_max_abs = max(self.tags_max_abs, largest)
        return largest

    def _compare_decision(self, index: int, got: Logits, faults: list[str]) -> None:
        if self._decoder is None or index >= len(self._decisions):
            return
        if not (np.isfinite(got.intent).all() and np.isfinite(got.tags).all()):
            return  # a fault of its own, and nothing to decide by
        decision = make_decision(self._decoder, self.golden.texts[index], got.intent, got.tags, got.spans)
        if decision != self._decisions[index]:
            self._count("decision_flips", faults)

    def _count(self, fault: str, faults: list[str], times: int = 1) -> None:
        self.counts[fault] += times
        faults.append(fault.replace("_", " "))

    def failures(self) -> list[str]:
        """Return what is wrong so far, in words; empty when nothing is."""
        failures = [f"{count} {fault.replace('_', ' ')}" for fault, count in self.counts.items() if count]
        if self.over_tolerance:
            _, largest, allowed = self._excess
            failures.append(
                f"{self.over_tolerance} texts over the tolerance of {allowed:.3g} (largest difference {largest:.3g})"
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
            decision_flips=self.counts["decision_flips"],
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


def _largest(got: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    return float(np.abs(got.astype(np.float64) - expected.astype(np.float64)).max(initial=0.0))
