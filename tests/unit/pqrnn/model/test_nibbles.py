"""Two weights in a byte: what is packed comes back, and what no packing makes is refused."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles.effort import examples

from pqrnn.model.nibbles import pack_nibbles, unpack_nibbles


@given(rows=st.integers(0, 5), columns=st.integers(1, 9), seed=st.integers(0, 1 << 30))
@examples(100)
def test_what_is_packed_comes_back(rows: int, columns: int, seed: int) -> None:
    drawn = torch.Generator().manual_seed(seed)
    weights = torch.randint(-7, 8, (rows, columns), dtype=torch.int8, generator=drawn)
    packed = pack_nibbles(weights)
    assert packed.dtype == torch.uint8
    assert packed.shape == (rows, (columns + 1) // 2)
    assert torch.equal(unpack_nibbles(packed, columns), weights)


@given(data=st.binary(min_size=1, max_size=12), odd=st.booleans())
@examples(200)
def test_bytes_are_weights_or_are_refused(data: bytes, odd: bool) -> None:
    """Every byte string is the packing of exactly one matrix, or of none."""
    packed = torch.tensor(list(data), dtype=torch.uint8)[None]
    halves = [half for byte in data for half in (byte & 15, byte >> 4)]
    columns = len(halves) - odd
    if 8 in halves or any(halves[columns:]):
        with pytest.raises(ValueError, match=r"holds -8|holds more than"):
            unpack_nibbles(packed, columns)
    else:
        weights = unpack_nibbles(packed, columns)
        assert weights.tolist() == [[half - 16 * (half > 8) for half in halves[:columns]]]
        assert torch.equal(pack_nibbles(weights), packed)


def test_the_first_of_two_is_the_lower_half() -> None:
    assert pack_nibbles(torch.tensor([[1, -1, 7]], dtype=torch.int8)).tolist() == [[0xF1, 0x07]]


@pytest.mark.parametrize("weight", [8, -8, 127, -128])
def test_weights_of_more_bits_are_refused(weight: int) -> None:
    with pytest.raises(ValueError, match="from -7 to 7"):
        pack_nibbles(torch.tensor([[0, weight]], dtype=torch.int8))
