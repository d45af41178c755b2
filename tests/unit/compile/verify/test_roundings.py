"""Roundings that could go either way: found, told from those that could not, and what they change is measured."""

from __future__ import annotations

import copy
import random

import pytest
import torch
from makers.int8 import make_int8
from makers.small import BUCKETS, TEXTS, answer_golden, make_model
from torch import Tensor

from compile.verify.golden import GoldenSet, make_golden
from compile.verify.reference import Oracle
from compile.verify.roundings import Roundings, Watch, measure_reach
from compile.verify.tolerance import TOLERATED
from pqrnn.model.int8 import ActivationRange, IntegerLinear


class _Model(torch.nn.Module):
    """Two layers that round, one after the other, and a product before them that does not."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.exact = IntegerLinear(4, 4, ActivationRange.INTEGERS)
        self.first, self.second = (
            IntegerLinear(4, 4, ActivationRange.SIGNED),
            IntegerLinear(4, 4, ActivationRange.SIGNED),
        )
        for layer in (self.exact, self.first, self.second):
            layer.weight.copy_(torch.randint(-127, 128, (4, 4)))
            layer.scale.fill_(1 / 512)
            layer.derive()

    def forward(self, value: Tensor) -> Tensor:
        return self.second(torch.tanh(self.first(value)))


@pytest.fixture
def watch() -> Watch:
    model = _Model()
    return Watch(model, copy.deepcopy(model).double())


def _run(watch: Watch, value: Tensor) -> tuple[Roundings, Tensor]:
    with watch.record() as found:
        exact = watch._exact(value.double())
    with watch.compare(found):
        watch._model(value)
    return found, exact


def test_gaps_are_distances_to_the_middle_between_two_steps(watch: Watch) -> None:
    found, _ = _run(watch, torch.tensor([[10.4, 20.0, -30.3, 0.0]]) / 127)
    assert list(found.gaps) == ["first 1", "second 1"]
    assert found.gaps["first 1"] == pytest.approx(0.1, abs=1e-5)
    assert 0.0 <= found.errors["first 1"] < 2e-5
    assert 0.0 < found.errors["second 1"] < 1e-4
    assert found.inputs == {}


def test_errors_are_measured_behind_the_same_integers(watch: Watch) -> None:
    # The first rounding goes the other way in float32; what comes after is compared as if it had not.
    value = torch.tensor([[10.5, 20.0, 30.0, 40.0]], dtype=torch.float64) / 127 - 1e-12
    assert watch._model.first.quantize(value.float())[0, 0] == 11  # type: ignore[operator, union-attr]
    with watch.record() as found:
        watch._exact(value)
    with watch.compare(found):
        watch._model(value.float())
    assert found.gaps["first 1"] < 1e-9
    assert found.errors["second 1"] < 1e-4


def test_only_what_is_within_reach_is_drawn(watch: Watch) -> None:
    value = torch.tensor([[10.4, 20.0, 30.0, 40.0]], dtype=torch.float64) / 127
    found, exact = _run(watch, value.float())
    near = {"first 1": 0.09, "second 1": 0.0}
    far = {"first 1": 0.11, "second 1": 0.0}
    assert found.settled({"first 1": 0.09, "second 1": found.gaps["second 1"] / 2})
    assert not found.settled(far)

    def outcomes(reach: dict[str, float]) -> set[tuple[float, ...]]:
        made = set()
        for seed in range(12):
            with watch.disturb(reach, seed):
                made.add(tuple(watch._exact(value).flatten().tolist()))
        return made

    assert outcomes(near) == {tuple(exact.flatten().tolist())}
    with watch.disturb({"first 1": 0.0, "second 1": 0.0}, 0):
        up = watch._exact(value + torch.tensor([[0.2, 0.0, 0.0, 0.0]], dtype=torch.float64) / 127)
    assert outcomes(far) == {tuple(exact.flatten().tolist()), tuple(up.flatten().tolist())}
    assert outcomes(far) == outcomes(far)


def test_what_a_draw_leaves_as_it_is_its_mirror_image_changes(watch: Watch) -> None:
    value = torch.tensor([[10.4, 20.4, 30.4, 40.4]], dtype=torch.float64) / 127
    with watch.record() as found:
        watch._exact(value)
    assert not found.settled({"first 1": 0.11, "second 1": 0.0})
    seen: list[Tensor] = []
    hook = watch._exact.first.register_forward_hook(  # type: ignore[union-attr, operator]
        lambda layer, inputs, output: seen.append(layer.quantize(inputs[0]))
    )
    for seed in range(8):
        with watch.disturb({"first 1": 0.11, "second 1": 0.0}, seed):
            watch._exact(value.repeat(2, 1))
    hook.remove()
    for integers in seen:
        changed = (integers - watch._exact.first.quantize(value)).abs()  # type: ignore[union-attr, operator]
        assert changed.sum(0).tolist() == [1, 1, 1, 1]


def test_nothing_watches_any_more_afterwards(watch: Watch) -> None:
    value = torch.rand(1, 4)
    before = watch._model(value)
    _run(watch, torch.rand(1, 4))
    with watch.disturb({"first 1": 1.0, "second 1": 1.0}, 0):
        pass
    assert torch.equal(watch._model(value), before)


def test_reach_is_the_largest_error_of_all_texts() -> None:
    texts = [Roundings(errors={"a": 1e-5, "b": 3e-5}), Roundings(errors={"a": 2e-5, "b": 1e-5})]
    assert measure_reach(texts, 8.0) == {"a": pytest.approx(16e-5), "b": pytest.approx(24e-5)}


@pytest.fixture(scope="module")
def golden() -> GoldenSet:
    rng = random.Random(0)
    texts = [" ".join("".join(rng.choices("abcdefgh", k=4)) for _ in range(16)) for _ in range(60)]
    model = make_int8(1)
    with torch.no_grad():  # far apart, so that hardly any text is too undecided to be kept
        for head in (model.intent, model.tags):
            head.bias.add_(torch.arange(float(head.out_features)))
    return make_golden(Oracle(model.folded(), BUCKETS), [text.encode() for text in texts], BUCKETS)


@pytest.mark.slow
def test_settled_texts_are_held_to_the_error_of_float32(golden: GoldenSet) -> None:
    assert 30 < sum(golden.settled) < len(golden.settled)
    assert golden.settled_tolerance < 1e-4 < golden.tolerance < 1.0
    assert "8 bits" in golden.basis
    for reference, settled, allowed in zip(golden.references, golden.settled, golden.tolerances, strict=True):
        assert allowed == golden.settled_tolerance if settled else allowed >= golden.settled_tolerance
        assert abs(reference.single.intent - reference.double.intent).max() <= allowed
        assert reference.margin > 2 * allowed
    assert golden.tolerance == max(golden.tolerances)


def test_a_text_is_held_to_its_own_roundings_not_to_those_of_the_worst(golden: GoldenSet) -> None:
    loose = sorted(allowed for allowed, settled in zip(golden.tolerances, golden.settled, strict=True) if not settled)
    assert len(loose) > 5
    assert loose[len(loose) // 2] < golden.tolerance / 2


def test_stored_logits_are_rounded_by_less_than_the_tolerance_allows(golden: GoldenSet) -> None:
    stored, whole = golden.stored, golden.vectors
    assert stored.tolerances is not None
    for index, allowed in enumerate(golden.tolerances):
        rows = whole.words(index)
        differences = [stored.intent[index] - whole.intent[index], stored.tags[rows] - whole.tags[rows]]
        largest = max(float(abs(part).max(initial=0.0)) for part in differences)
        assert largest <= allowed / 16
        assert allowed < stored.tolerances[index] <= allowed * (1 + 1 / 16 + 1e-6)
    assert (stored.intent.argmax(1) == whole.intent.argmax(1)).all()
    assert (stored.tags.argmax(1) == whole.tags.argmax(1)).all()


def test_pytorch_in_float32_makes_the_same_integers_in_settled_texts(golden: GoldenSet) -> None:
    spans = [
        float(abs(one.single.tags - one.double.tags).max(initial=0.0))
        for one, fine in zip(golden.references, golden.settled, strict=True)
        if fine
    ]
    assert max(spans) * TOLERATED <= golden.settled_tolerance * (1 + 1e-6)


def test_a_model_in_float32_has_no_such_roundings() -> None:
    model = make_model(1).folded()
    golden = answer_golden(model)
    assert all(golden.settled)
    assert golden.settled_tolerance == golden.tolerance < 1e-4
    reference = Oracle(model, BUCKETS).answer(TEXTS[0].encode())
    assert reference is not None
    assert reference.roundings == Roundings()
