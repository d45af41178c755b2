"""The judge of a host's answers to a conformance file (`runtime_py.tools.conformance`)."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from msgspec import UNSET, Struct

from runtime_py.tools.conformance import ByteSlot, Calibrated, Case, Conformance, HostAnswer, LongCase

_SHOWN = 5  # differences that a summary names


class Difference(Struct, frozen=True):
    """One thing that a host answered otherwise, or not at all.

    Attributes:
        id: Index of the case.
        what: Kind of the difference.
        expected: What was expected, cut where it is long.
        found: What the host answered, cut where it is long.
    """

    id: int
    what: str
    expected: str
    found: str


class Verdict(Struct, frozen=True):
    """Outcome of a comparison.

    Attributes:
        passed: Whether every case was answered and nothing differs.
        cases: Number of texts in the file, long ones included.
        answered: Number of these that were answered.
        with_logits: Number of cases whose logits were given and compared; the decisions are compared in any case.
        largest_difference: Largest absolute difference of a logit.
        tolerance: Largest absolute difference that is allowed.
        failures: Number of differences of each kind.
        first: The first differences, by index of the case.
    """

    passed: bool
    cases: int
    answered: int
    with_logits: int
    largest_difference: float
    tolerance: float
    failures: dict[str, int]
    first: list[Difference]


@dataclass(slots=True)
class _Judge:
    """Collects differences."""

    differences: list[Difference] = field(default_factory=list)
    largest: float = 0.0
    with_logits: int = 0

    def expect(self, case: int, what: str, expected: object, given: object) -> None:
        if expected != given:
            self.differences.append(Difference(case, what, _short(expected), _short(given)))

    def judge(self, case: Case, answer: HostAnswer, conformance: Conformance) -> None:
        if answer.refused or answer.truncated:
            self.expect(
                case.id, "refused or cut, though it fits", "an answer", "refused" if answer.refused else "truncated"
            )
            return
        self.expect(case.id, "words", case.words, answer.words)
        self.expect(case.id, "intent", case.intent, answer.intent)
        self.expect(case.id, "slots", _slots(case.slots), _slots(answer.slots))
        if answer.score is not None and not abs(answer.score - case.score) <= conformance.score_tolerance:
            self.differences.append(Difference(case.id, "score", _short(case.score), _short(answer.score)))
        if answer.calibrated is not None and case.calibrated is not UNSET:
            self._judge_calibrated(case.id, case.calibrated, answer.calibrated, conformance.score_tolerance)
        pairs = [
            (case.intent_logits, answer.intent_logits, "intent logits"),
            (case.tag_logits, answer.tag_logits, "tag logits"),
        ]
        self.with_logits += all(given is not None for _, given, _ in pairs)
        for expected, given, what in pairs:
            if given is not None:
                self._compare(case.id, what, expected, given, conformance.tolerance)

    def _judge_calibrated(self, case: int, expected: Calibrated, given: Calibrated, tolerance: float) -> None:
        wanted, got = (
            [each.score, *each.slots, *(() if each.in_scope is UNSET else (each.in_scope,))]
            for each in (expected, given)
        )
        if len(wanted) != len(got) or not all(abs(a - b) <= tolerance for a, b in zip(wanted, got, strict=True)):
            self.differences.append(Difference(case, "calibrated scores", _short(wanted), _short(got)))

    def _compare(self, case: int, what: str, expected: Any, given: Any, tolerance: float) -> None:
        """Compare lists of numbers, or lists of such lists."""
        try:
            wanted, got = np.array(expected, np.float64), np.array(given, np.float64)
        except ValueError:  # rows of unequal lengths
            self.differences.append(
                Difference(case, f"{what}: shape", str(np.shape(expected)), "rows of unequal lengths")
            )
            return
        if wanted.shape != got.shape:
            self.differences.append(Difference(case, f"{what}: shape", str(wanted.shape), str(got.shape)))
            return
        if not wanted.size:
            return
        distance = np.abs(wanted - got)
        at = tuple(int(index) for index in np.unravel_index(distance.argmax(), distance.shape))
        self.largest = max(self.largest, float(distance[at]))
        if not distance[at] <= tolerance:
            self.differences.append(
                Difference(case, f"{what} at {list(at)}", _short(float(wanted[at])), _short(float(got[at])))
            )

    def judge_long(self, case: LongCase, answer: HostAnswer) -> None:
        if answer.refused:
            return
        if not answer.truncated:
            self.differences.append(
                Difference(case.id, f"too many {case.reason}", "refused or truncated", "an answer that does not say so")
            )
        else:
            self.expect(case.id, "bytes read of a text that was cut", case.prefix, answer.prefix)


def judge(conformance: Conformance, answers: Iterable[HostAnswer]) -> Verdict:
    """Compare a host's answers with what is expected.

    Args:
        conformance: The conformance file.
        answers: The host's answers, in any order.

    Returns:
        The verdict; a case without an answer, an answer without a case and a second answer are differences, too.
    """
    collected = _Judge()
    given: dict[int, HostAnswer] = {}
    known = len(conformance.cases) + len(conformance.long_cases)
    for answer in answers:
        if answer.id in given or answer.id >= known:
            what = "answered twice" if answer.id in given else "no such case"
            collected.differences.append(Difference(answer.id, what, "one answer for each case", what))
        else:
            given[answer.id] = answer
    for case in conformance.cases:
        if case.id in given:
            collected.judge(case, given[case.id], conformance)
    for long_case in conformance.long_cases:
        if long_case.id in given:
            collected.judge_long(long_case, given[long_case.id])
    missing = [index for index in range(known) if index not in given]
    collected.differences += [Difference(index, "no answer", "one answer for each case", "none") for index in missing]
    failures: dict[str, int] = {}
    for difference in collected.differences:
        kind = difference.what.split(" at [")[0]
        failures[kind] = failures.get(kind, 0) + 1
    first = sorted(collected.differences, key=lambda difference: difference.id)[:_SHOWN]
    return Verdict(
        not failures,
        known,
        len(given),
        collected.with_logits,
        collected.largest,
        conformance.tolerance,
        failures,
        first,
    )


def _slots(slots: list[ByteSlot] | None) -> list[tuple[str, int, int]] | None:
    return None if slots is None else [(slot.label, slot.start, slot.end) for slot in slots]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + " ..."
