"""Where the real data sets are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Return the folder of the real data sets: ``PQRNN_DATA``, or ``../shared/data`` beside the repository."""
    repository = Path(__file__).resolve().parents[2]
    root = Path(os.environ.get("PQRNN_DATA") or repository.parent / "shared" / "data")
    if not (root / "mtop").is_dir():
        pytest.skip(
            f"no real data sets in {root}; set PQRNN_DATA to the folder that holds mtop/, massive/, snips/, ..."
        )
    return root
