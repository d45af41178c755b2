"""Files and folders that several tests need and that take long to make: made once in a run, whoever asks first.

The processes of a run (`pytest -n`) share a folder, which `conftest.py` names in the environment.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

VARIABLE = "PQRNN_TEST_SHARED"


def share_file(name: str, key: object, make: Callable[[Path], object]) -> Path:
    """Return a file or folder of the run, made by the first process that asks for it; others wait for it.

    Args:
        name: Its name.
        key: All that its content depends on; equal things have an equal `repr`.
        make: Writes it to a path that does not exist, and that is not the one where it stays.
    """
    folder = Path(os.environ[VARIABLE]) / sha256(repr(key).encode()).hexdigest()[:32]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            shutil.rmtree(folder / "new", ignore_errors=True)  # of one that failed
            (folder / "new").mkdir()
            make(folder / "new" / name)
            (folder / "new" / name).rename(path)
    return path
