"""What importing `compile` costs, and what its modules may import."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import compile

FOLDER = Path(compile.__file__).parent


def test_the_pipeline_loads_no_pytorch_until_it_runs() -> None:
    code = (
        "import sys, compile.pipeline\n"
        "print([n for n in ('torch', 'iree.turbine', 'iree.compiler', 'onnxruntime') if n in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_nobody_below_imports_compile() -> None:
    root = FOLDER.parent
    allowed = {root / "pqrnn" / "cli"}  # the command line stands on top
    for package in ("pqrnn", "runtime_py", "targets"):
        for file in (root / package).rglob("*.py"):
            if any(folder in file.parents for folder in allowed):
                continue
            assert "compile" not in _imported(file), file


def _imported(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found
