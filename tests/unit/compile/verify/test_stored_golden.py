"""The store of golden logits never changes a decision, however small the margin is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compile.support.errors import VerificationError
from compile.verify.golden import GoldenSet, answer_texts, store_vectors
from compile.verify.reference import Reference
from compile.verify.roundings import Roundings
from pqrnn.evaluation.prediction import Prediction
from runtime_py.decode.labels import Labels
from runtime_py.package_format.golden import join_golden
from runtime_py.package_format.margins import DecisionMargin

LABELS = Labels(("play", "stop"), ("O", "B-song", "I-song"))


class _FakeOracle:
    """Answers with given logits; `shifts` are the changes that undecided roundings make, by text."""

    def __init__(self, logits: dict[bytes, tuple[list[float], list[list[float]]]], shifts: dict[bytes, float]) -> None:
        self.logits, self.shifts = logits, shifts

    def answer(self, text: bytes) -> Reference:
        intent, tags = self.logits[text]
        rows = np.array(tags, np.float64).reshape(-1, 3)
        spans = np.array([[2 * word, 2 * word + 1] for word in range(len(rows))], np.int32).reshape(-1, 2)
        double = Prediction(np.array(intent, np.float64), rows, spans)
        single = Prediction(double.intent.astype(np.float32), rows.astype(np.float32), spans)
        roundings = Roundings(gaps={"a": 0.0 if text in self.shifts else 1.0}, errors={"a": 0.01})
        return Reference(text, single, single, double, roundings)

    def shift(self, reference: Reference, reach: dict[str, float]) -> float:
        return self.shifts[reference.text]


def _answer(logits: dict[bytes, Any], shifts: dict[bytes, float]) -> GoldenSet:
    return answer_texts(_FakeOracle(logits, shifts), logits, LABELS)  # type: ignore[arg-type]


def test_a_margin_smaller_than_the_step_of_other_texts_survives_the_store() -> None:
    # Of one text roundings are undecided, and its logits are stored in coarse steps; the other has a margin of 0.0023,
    # which such a step would wipe out: 512 times one letter did this, and a right parser was refused.
    golden = _answer(
        {b"a b": ([4.0, 1.0], [[5.0, 0.0, 0.0], [6.0, 0.0, 0.0]]), b"x" * 512: ([2.0011, 1.9988], [[3.0, 0.0, 0.0]])},
        {b"a b": 0.03},
    )
    assert [reference.text for reference in golden.references] == [b"a b", b"x" * 512]
    stored = golden.stored
    assert stored.tolerances is not None
    assert stored.tolerances[0] > 0.06 > 1e-4 > stored.tolerances[1]
    assert stored.intent[1].argmax() == 0
    assert abs(stored.intent[1][0] - stored.intent[1][1] - 0.0023) < 1e-4


@pytest.mark.parametrize("margin", [0.0, 0.0023, 0.059, 0.12])
def test_texts_whose_margin_is_within_their_own_bound_are_kept_out(margin: float) -> None:
    golden = _answer(
        {b"a": ([2.0 + margin, 2.0], [[3.0, 0.0, 0.0]]), b"b": ([4.0, 0.0], [[3.0, 0.0, 0.0]])}, {b"a": 0.03}
    )
    assert [reference.text for reference in golden.references] == [b"b"]
    assert golden.undecided == 1


def test_the_margin_of_the_whole_parse_counts_too() -> None:
    # Each largest logit is 1 away from the next, but the parse that is chosen must begin its slot, and of those that do
    # two are 0.02 apart.
    far = [[0.0, 1.02, 2.02], [3.0, 0.0, -9.0]]
    near = [[1.0, 1.02, 2.02], [3.0, 0.0, -9.0]]
    assert len(_answer({b"a b": ([4.0, 0.0], far)}, {b"a b": 0.03}).references) == 1
    with pytest.raises(VerificationError, match="undecided about all 1 texts"):
        _answer({b"a b": ([4.0, 0.0], near)}, {b"a b": 0.03})


numbers = st.floats(-8, 8, width=32)


@given(
    intent=st.lists(numbers, min_size=2, max_size=2),
    tags=st.lists(st.lists(numbers, min_size=3, max_size=3), max_size=4),
    tolerance=st.floats(1e-6, 1.0),
    seed=st.integers(0, 2**16),
)
def test_whatever_is_kept_decides_alike_before_and_after_storing_and_within_the_bound(
    intent: list[float], tags: list[list[float]], tolerance: float, seed: int
) -> None:
    rows = np.array(tags, np.float32).reshape(-1, 3)
    whole = join_golden([b"t"], [np.array(intent, np.float32)], [rows], [np.zeros((len(rows), 2), np.int32)])
    stored = store_vectors(whole, [tolerance])
    assert stored.tolerances is not None
    bound = float(stored.tolerances[0])
    assert max(abs(stored.intent - whole.intent).max(), abs(stored.tags - whole.tags).max(initial=0.0)) < bound
    if not DecisionMargin(LABELS).is_decided(stored.intent[0], stored.tags, bound):
        return
    decide = LABELS.decoder().decide
    expected = decide(stored.intent[0], stored.tags)
    assert decide(whole.intent[0], whole.tags) == expected
    rng = np.random.default_rng(seed)
    for _ in range(8):
        moved = [
            (part + rng.choice([-bound, bound, 0.0], part.shape) * 0.999).astype(np.float32)
            for part in (stored.intent[0], stored.tags)
        ]
        assert decide(*moved) == expected
        assert moved[0].argmax() == stored.intent[0].argmax()


def test_no_labels_means_the_largest_logits_alone() -> None:
    oracle: Any = _FakeOracle({b"a b": ([4.0, 0.0], [[1.0, 1.02, 2.02], [3.0, 0.0, -9.0]])}, {b"a b": 0.03})
    assert len(answer_texts(oracle, [b"a b"]).references) == 1
