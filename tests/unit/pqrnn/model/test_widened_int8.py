"""Integer products in float32, for GPUs: the very same integers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from makers.int8 import make_int8
from makers.small import BUCKETS, TEXTS, make_model
from torch import Tensor

from compile.lowering.export import export_entries
from pqrnn.evaluation import prediction
from pqrnn.features.utf8 import pack_texts
from pqrnn.model.int8 import IntegerLinear, multiply, widen_weights


@pytest.mark.parametrize("depth", [1, 1024, 1025, 3000])
def test_the_largest_sums_are_exact(depth: int) -> None:
    torch.manual_seed(0)
    left = torch.randint(-128, 128, (4, depth), dtype=torch.int8)
    weights = torch.randint(-127, 128, (depth, 3), dtype=torch.int8)
    left[0], weights[:, 0], weights[:, 1] = -128, -127, 127
    found = multiply(left.float(), weights.float())
    assert found.dtype == torch.int32
    assert found[0, :2].tolist() == [128 * 127 * depth, -128 * 127 * depth]
    assert torch.equal(found.long(), left.long() @ weights.long())
    assert torch.equal(found, multiply(left, weights))


def test_a_parser_says_the_same_bits() -> None:
    model = make_int8(1).folded()
    wide = widen_weights(model)
    for bucket in BUCKETS:
        for text in ("", "stop", *TEXTS):
            packed = pack_texts([text.encode()[: bucket.bytes]], bucket.bytes)
            with torch.inference_mode():
                for found, wanted in zip(wide(packed, bucket.words), model(packed, bucket.words), strict=True):
                    assert torch.equal(found, wanted)
    assert {layer.weight.dtype for layer in model.modules() if isinstance(layer, IntegerLinear)} == {
        torch.int8
    }  # the model is left as it is


def test_many_texts_are_answered_as_few_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several rows are multiplied in float32, which is many times quicker; no bit of an answer depends on that."""
    model = make_int8(2).folded()
    rows: list[int] = []
    multiply_integers = torch._int_mm

    def count(left: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        rows.append(left.shape[0])
        return multiply_integers(left, weights)

    monkeypatch.setattr(torch, "_int_mm", count)
    few = prediction.compute_logits(model, TEXTS)
    assert max(rows) < 4
    rows.clear()
    many = prediction.compute_logits(model, [*TEXTS] * (1 + 128 // len(TEXTS)))
    assert not rows
    for one, other in zip(few, many, strict=False):
        for found, wanted in zip(other, one, strict=True):
            assert np.array_equal(found, wanted)


@pytest.mark.slow
def test_there_are_no_8_bits_in_what_is_compiled() -> None:
    for program in export_entries(widen_weights(make_int8(1).folded()), BUCKETS[1:]).values():
        values = [node.meta.get("val") for node in program.graph.nodes]
        kinds = {value.dtype for value in values if isinstance(value, Tensor)}
        assert {torch.int32, torch.float32} <= kinds
        assert torch.int8 not in kinds


def test_a_model_in_float32_stays_what_it_is() -> None:
    model = make_model(1).folded()
    wide = widen_weights(model).state_dict()
    assert all(torch.equal(wide[name], value) for name, value in model.state_dict().items())
