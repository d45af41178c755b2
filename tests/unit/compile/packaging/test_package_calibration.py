"""A package says of scores what its checkpoint says."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from makers.runs import write_run
from makers.runtime_fakes import fake_golden

from compile.packaging.manifest import describe_package
from runtime_py.decode.calibration import Calibration, RightModel, Threshold

CALIBRATION = Calibration(
    right=RightModel(intent=1.0, tags=0.5, bias=0.0),
    knots=((0.0, 0.0), (1.0, 1.0)),
    recommended=Threshold(of="score", least=0.5, kept=0.95),
    error=0.01,
    error_before=0.05,
)


@pytest.mark.parametrize("calibration", [None, CALIBRATION])
def test_a_package_has_the_calibration_of_its_checkpoint(tmp_path: Path, calibration: Calibration | None) -> None:
    facts = msgspec.structs.replace(write_run(tmp_path / "run"), calibration=calibration)
    stored = SimpleNamespace(tolerances=np.array([0.1]))
    golden: Any = SimpleNamespace(stored=stored, vectors=fake_golden(), basis="made up")
    assert describe_package("small", facts, 1, [], [], golden).calibration == calibration
