"""`python -m pqrnn` beside files that have the names of this project's packages."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[4]


def _run(folder: Path, path: str = "", *, script: bool = False) -> subprocess.CompletedProcess[str]:
    start = ["-c", "from pqrnn.cli import main; main()"] if script else ["-m", "pqrnn"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [path, str(_ROOT)]))}
    if script:
        environment["PYTHONSAFEPATH"] = "1"  # as for an installed command: not the folder that it is started in
    return subprocess.run(
        [sys.executable, *start, "zoo", "list"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=folder,
        env=environment,
    )


@pytest.mark.parametrize("name", ["targets", "compile", "runtime_py"])
@pytest.mark.parametrize("kind", ["package", "module"])
def test_what_stands_in_front_is_named(name: str, kind: str, tmp_path: Path) -> None:
    shadow = tmp_path / name if kind == "package" else tmp_path / f"{name}.py"
    if kind == "package":
        shadow.mkdir()
        (shadow / "__init__.py").write_text("raise SystemExit('ran')")
    else:
        shadow.write_text("raise SystemExit('ran')")
    done = _run(tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {shadow} stands in front of pqrnn's own package {name!r} ({_ROOT / name})")
    assert "Start `pqrnn` instead of `python -m pqrnn`" in done.stderr
    assert _run(tmp_path, script=True).returncode == 0
    done = _run(_ROOT, str(tmp_path), script=True)
    assert done.returncode == 2
    assert f"Take {tmp_path} out of $PYTHONPATH" in done.stderr


def test_folders_that_are_no_packages_stand_in_front_of_nothing(tmp_path: Path) -> None:
    for name in ("targets", "compile", "runtime_py"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "notes.txt").touch()
    done = _run(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
