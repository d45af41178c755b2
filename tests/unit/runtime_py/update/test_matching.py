"""Bytes predicted from others: whatever they are, what is stored gives them back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime_py.update.matching import WINDOW, differences, predict


def _restore(old: bytes, new: bytes) -> bytes:
    source, target = np.frombuffer(old, np.uint8), np.frombuffer(new, np.uint8)
    segments = predict(source, target)
    assert sum(length for length, _ in segments) == len(new)
    assert all(length > 0 and (first == -1 or 0 <= first <= len(old) - length) for length, first in segments)
    stored = differences(source, target, segments).copy()
    begin = 0
    for length, first in segments:
        if first >= 0:
            stored[begin : begin + length] += source[first : first + length]
        begin += length
    return stored.tobytes()


def _noise(size: int, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8).tobytes()


@given(st.binary(max_size=400), st.binary(max_size=400))
def test_any_bytes_come_back(old: bytes, new: bytes) -> None:
    assert _restore(old, new) == new


@given(st.data())
def test_pieces_of_the_old_in_any_order_come_back(data: st.DataObject) -> None:
    old = _noise(3000) + bytes(500)
    pieces = data.draw(
        st.lists(st.tuples(st.integers(0, 3499), st.integers(0, 1500), st.binary(max_size=40)), max_size=6)
    )
    new = b"".join(old[begin : begin + size] + more for begin, size, more in pieces)
    assert _restore(old, new) == new


@pytest.mark.parametrize("old", [b"", b"x", bytes(10_000), b"ab" * 5000, _noise(WINDOW), _noise(WINDOW - 1)])
def test_small_and_uniform_bytes_come_back(old: bytes) -> None:
    for new in (b"", b"x", bytes(9000), old + b"x", b"x" + old, old[::-1]):
        assert _restore(old, new) == new


def test_weights_that_moved_a_little_are_stored_as_small_differences() -> None:
    generator = np.random.default_rng(0)
    code, weights = _noise(20_000, 1), generator.integers(-100, 100, 60_000).astype(np.int8)
    moved = weights + generator.integers(-1, 2, len(weights)).astype(np.int8)
    old = code + weights.tobytes() + _noise(10_000, 2)
    new = code + b"new code" + moved.tobytes() + _noise(10_000, 2)
    source, target = np.frombuffer(old, np.uint8), np.frombuffer(new, np.uint8)
    stored = differences(source, target, predict(source, target)).view(np.int8)
    assert (np.abs(stored.astype(int)) > 1).mean() < 0.05
    assert _restore(old, new) == new


def test_rows_that_got_a_byte_each_are_found() -> None:
    """A matrix with another column, as the head of an intent more has: every row has moved by one byte more."""
    rows = np.frombuffer(_noise(300 * 113), np.uint8).reshape(300, 113)
    wide = np.insert(rows, 60, 7, axis=1)
    segments = predict(rows.reshape(-1), wide.reshape(-1))
    stored = differences(rows.reshape(-1), wide.reshape(-1), segments)
    assert (stored != 0).mean() < 0.1
