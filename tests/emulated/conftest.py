"""Fixtures of the emulated tier.

What cannot be had here is skipped with the reason that the product itself would give.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from compile.emulation.runner import Runner, RunnerNotFoundError, emulated_runner
from targets.schema import Emulator

sys.path.insert(0, str(Path(__file__).parents[1] / "compiled"))  # the tiny package is theirs


@pytest.fixture
def emulated() -> Callable[..., Runner]:
    """Return an emulator (kind, then `cpu` or `lanes`), or skip the test with the reason why there is none."""

    def start(kind: str, cpu: str = "", lanes: int = 0) -> Runner:
        try:
            return emulated_runner(Emulator(kind, cpu, lanes))  # type: ignore[arg-type]
        except RunnerNotFoundError as error:
            pytest.skip(error.reason)

    return start
