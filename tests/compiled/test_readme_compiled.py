"""The Python that the front page shows for a package runs as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

_README = Path(__file__).parents[2] / "README.md"


def test_the_first_python_example_runs(tiny_path: Path, tmp_path: Path) -> None:
    (code,) = re.findall(
        r"^```python\n(from runtime_py import Parser.*?)^```$", _README.read_text("utf-8"), re.M | re.S
    )
    (name,) = re.findall(r'Parser\.load\("(.+?)"\)', code)
    (tmp_path / name).symlink_to(tiny_path)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\S+ \[.*\]\n", done.stdout)
