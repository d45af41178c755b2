"""Integer products for GPUs: in float32, with the very same integers."""

from __future__ import annotations

import pytest
import torch
from makers.int8 import make_int8
from makers.small import BUCKETS, TEXTS
from torch import Tensor, nn

from compile.export import decompositions, export_entries, widen_products
from pqrnn.integer import IntegerLinear, Range, multiply
from pqrnn.projection import pack_texts


class _Product(nn.Module):
    weights: Tensor

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.register_buffer("weights", torch.full((depth, 3), 127, dtype=torch.int8))
        self.weights[:, 1] = -127
        self.weights[:, 2] = torch.randint(-127, 128, (depth,), dtype=torch.int8)

    def forward(self, left: Tensor) -> Tensor:
        return multiply(left.to(torch.int8), self.weights)


@pytest.mark.parametrize("depth", [1, 1024, 1025, 3000])
def test_the_largest_sums_are_exact(depth: int) -> None:
    torch.manual_seed(0)
    model = _Product(depth)
    left = torch.full((2, depth), -128, dtype=torch.int32)
    left[1] = torch.randint(-128, 128, (depth,), dtype=torch.int32)
    program = torch.export.export(model, (left,)).run_decompositions(decompositions())
    (wide,) = widen_products({"x": program}).values()
    assert torch.equal(wide.module()(left), model(left))
    assert int(model(left)[0, 1]) == 128 * 127 * depth


def test_a_parser_says_the_same_bits_without_8_bits() -> None:
    model = make_int8(1).folded()
    wide = widen_products(export_entries(model, BUCKETS))
    for bucket in BUCKETS:
        program = wide[bucket.entry]
        operations = {str(node.target) for node in program.graph.nodes}
        assert not any("_int_mm" in name for name in operations)
        made = [node.meta.get("val") for node in program.graph.nodes if node.op == "call_function"]
        kinds = {value.dtype for value in made if isinstance(value, Tensor)}
        assert torch.int8 not in kinds
        assert {torch.int32, torch.float32} <= kinds
        for text in ("", "stop", TEXTS[0]):
            packed = pack_texts([text.encode()], bucket.bytes)
            with torch.inference_mode():
                for found, wanted in zip(program.module()(packed), model(packed, bucket.words), strict=True):
                    assert torch.equal(found, wanted)


def test_weights_stay_integers_until_the_compiler_has_them() -> None:
    layer = IntegerLinear(8, 4, Range.SIGNED)
    program = torch.export.export(layer, (torch.zeros(2, 8),)).run_decompositions(decompositions())
    (wide,) = widen_products({"x": program}).values()
    assert {value.dtype for name, value in wide.state_dict.items() if name == "weight"} == {torch.int8}
