"""The proxy for energy, against the paper's prices by hand."""

from __future__ import annotations

import pytest

from benchmarks.energy import call_energy


def test_the_prices_are_those_of_the_paper() -> None:
    assert call_energy(1_000_000, 0, cold=True) == pytest.approx(70.0)
    assert call_energy(0, 8_000_000, cold=False) == pytest.approx(100.0)
    assert call_energy(0, 8_000_000, cold=True) == pytest.approx(1950.0)
    assert call_energy(1_000_000, 8_000_000, cold=True) == pytest.approx(2020.0)
