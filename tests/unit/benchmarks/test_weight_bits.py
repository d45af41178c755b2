"""What the benchmark of weights of 4 bits compiles: the same parser, with the nearest weights."""

from __future__ import annotations

import torch
from makers.int8 import make_four_bits, make_int8

from benchmarks.weight_bits import cut_weights
from pqrnn.model.int8 import IntegerLinear


def test_weights_are_cut_to_the_nearest_and_the_parser_is_left_alone() -> None:
    eight = make_int8(1).folded()
    four = cut_weights(eight)
    pairs = [
        (one, other)
        for one, other in zip(eight.modules(), four.modules(), strict=True)
        if isinstance(one, IntegerLinear) and isinstance(other, IntegerLinear)
    ]
    assert len(pairs) > 5
    for one, other in pairs:
        assert (one.bits, other.bits) == (8, 4)
        assert int(one.weight.abs().max()) == 0 or int(other.weight.abs().max()) == 7
        before, after = one.weight.float() * one.factor, other.weight.float() * other.factor
        assert torch.all((before - after).abs() <= other.factor * 0.5001)
    ready = make_four_bits(1).folded()
    for one, other in zip(ready.modules(), cut_weights(ready).modules(), strict=True):
        if isinstance(one, IntegerLinear) and one.bits == 4:
            assert torch.equal(one.weight, other.weight) and torch.equal(one.factor, other.factor)
