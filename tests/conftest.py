"""Set-up of all tests: one marker per folder, one thread, and Hypothesis profiles.

The default profile draws the same examples everywhere, so that a failure is repeatable. `HYPOTHESIS_PROFILE=explore`
draws new ones, and `HYPOTHESIS_EFFORT=20` twenty times as many in the tests that say how many (`oracles.effort`).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Timings and memory of a shared machine stay predictable. PyTorch reads this when it is imported; the hook below
# catches an earlier import.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Targets of the person who runs the tests are not those under test.
os.environ["PQRNN_TARGETS"] = str(Path(__file__).parent / "no-such-folder")

# A shell that starts the tests in the background lets them ignore Ctrl-C, and so would every program that they start
# and interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_TIERS = ("unit", "data", "compiled", "emulated")  # those that take longest last
_HERE = Path(__file__).parent

_SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)
settings.register_profile("fixed", deadline=None, derandomize=True, suppress_health_check=_SLOW, print_blob=True)
settings.register_profile("explore", settings.get_profile("fixed"), derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests neither find what was compiled before them nor leave anything in the user's cache.

    The processes of one run (`pytest -n`) share the cache, and the folder of `makers.shared`.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PQRNN_CACHE", str(folder / "cache"))
        patch.setenv("PQRNN_TEST_SHARED", str(folder / "shared"))
        yield


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark every test by the folder that it lies in; where several processes run them, put files that take long first.

    The last files are short then, so that all processes end at about the same time.
    """
    tiers = {}
    for item in items:
        parts = item.path.relative_to(_HERE).parts if item.path.is_relative_to(_HERE) else ()
        if parts and parts[0] in _TIERS:
            item.add_marker(parts[0])
            tiers[item.path] = _TIERS.index(parts[0])
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: tiers.get(item.path, 0), reverse=True)


def pytest_collection_finish() -> None:
    """Keep PyTorch, where the collected tests import it, on one thread."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
