"""A machine that demands signatures of others' packages can still compile: what was just made has none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from compile.emulation.runner import Runner
from compile.verify import replay


def test_a_fresh_package_is_run_without_a_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PQRNN_REQUIRE_SIGNATURE", "/keys/a.pub")
    asked: list[dict[str, str]] = []

    class StopError(Exception):
        pass

    def run(command: Any, timeout: float, environment: dict[str, str]) -> None:
        asked.append(environment)
        raise StopError

    monkeypatch.setattr(replay, "run_tool", run)
    runner = Runner("this machine", emulated=False, python=("python3",), environment={"PYTHONPATH": "x"})
    golden: Any = None
    with pytest.raises(StopError):
        replay.verify_variant(Path("a.pqrnn"), "host", [], golden, runner)
    assert asked == [{"PYTHONPATH": "x", "PQRNN_REQUIRE_SIGNATURE": ""}]
