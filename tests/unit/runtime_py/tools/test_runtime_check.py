"""The comparison with golden vectors sees every kind of wrong answer, and nothing else."""

from collections.abc import Callable

import numpy as np
import pytest
from makers.runtime_fakes import fake_golden

from runtime_py.execute.logits import Logits
from runtime_py.package_format.proofs import Parity
from runtime_py.tools.comparison import Comparison, same_bits

Change = Callable[[Logits], Logits]


def right(index: int) -> Logits:
    golden = fake_golden()
    rows = golden.words(index)
    return Logits(golden.intent[index].copy(), golden.tags[rows].copy(), golden.spans[rows].copy(), False, 8)


def compare(change: Change, tolerance: float = 1e-3) -> Parity:
    """Compare two texts, the first of them changed, each run twice."""
    comparison = Comparison(fake_golden(), tolerance)
    comparison.add(0, [change(right(0)), change(right(0))])
    comparison.add(1, [right(1), right(1)])
    return comparison.parity(2, "machine", "runtime")


def changed(field: str, index: tuple[int, ...] | slice, value: float) -> Change:
    def apply(logits: Logits) -> Logits:
        getattr(logits, field)[index] = value
        return logits

    return apply


def test_right_answers_pass() -> None:
    parity = compare(lambda logits: logits)
    assert (parity.passed, parity.failures, parity.texts, parity.words, parity.repeats) == (True, [], 2, 3, 2)
    assert parity.intent_max_abs == parity.tags_max_abs == 0


def test_a_difference_within_the_tolerance_passes_and_is_recorded() -> None:
    parity = compare(changed("tags", (1, 1), 1.0005))
    assert parity.passed
    assert parity.tags_max_abs == pytest.approx(0.0005, rel=1e-3)


def test_a_difference_over_the_tolerance_fails_without_any_flip() -> None:
    parity = compare(changed("intent", (0,), 1.01))
    assert not parity.passed
    assert parity.intent_flips == 0
    assert parity.failures == ["1 texts over the tolerance of 0.001 (largest difference 0.01)"]


@pytest.mark.parametrize(
    ("change", "field", "number"),
    [
        (changed("intent", (1,), 5.0), "intent_flips", 1),
        (changed("tags", (slice(None), 2), 5.0), "tag_flips", 2),  # type: ignore[arg-type]
        (changed("spans", (1, 0), 4), "span_mismatches", 1),
        (changed("intent", (0,), float("nan")), "not_finite", 1),
        (changed("tags", (0, 0), float("inf")), "not_finite", 1),
        (changed("intent", slice(None), 0.0), "all_zero", 1),
        (lambda logits: logits._replace(tags=logits.tags[:1], spans=logits.spans[:1]), "count_mismatches", 1),
    ],
)
def test_each_fault_is_counted_under_its_name(change: Change, field: str, number: int) -> None:
    parity = compare(change, tolerance=100.0)
    assert not parity.passed
    assert getattr(parity, field) == number
    assert any(field.replace("_", " ") in failure for failure in parity.failures)


def test_a_run_that_differs_in_one_bit_is_not_deterministic() -> None:
    first, second = right(0), right(0)
    second.tags[0, 0] = np.nextafter(second.tags[0, 0], np.float32(2))
    comparison = Comparison(fake_golden(), 1e-3)
    comparison.add(0, [first, second])
    comparison.add(1, [right(1), right(1)])
    parity = comparison.parity(2, "", "")
    assert parity.not_deterministic == 1
    assert not parity.passed
    assert comparison.worst(1)[0].faults == ["not deterministic"]


def test_equal_bits_hold_for_nan() -> None:
    assert same_bits(changed("intent", (0,), float("nan"))(right(0)), changed("intent", (0,), float("nan"))(right(0)))
    assert not same_bits(right(0), right(1))


def test_texts_that_were_not_run_fail_the_check() -> None:
    comparison = Comparison(fake_golden(), 1e-3)
    comparison.add(0, [right(0)])
    assert comparison.parity(1, "", "").failures == ["1 of 2 texts were run"]


def test_the_worst_texts_come_first() -> None:
    comparison = Comparison(fake_golden(), 1.0)
    comparison.add(0, [changed("intent", (0,), 1.1)(right(0))])
    comparison.add(1, [changed("intent", (1,), 1.5)(right(1))])
    assert [(deviation.index, deviation.text) for deviation in comparison.worst()] == [(1, "é"), (0, "at seven")]
