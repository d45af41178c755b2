"""The one-way order of imports, and what the command line costs and says."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_ALLOWED = {
    "benchmarks": {"benchmarks", "compile", "pqrnn", "targets", "runtime_py"},
    "compile": {"compile", "pqrnn", "targets", "runtime_py"},
    "pqrnn": {"pqrnn", "runtime_py"},
    "targets": {"targets"},
    "runtime_py": {"runtime_py"},
}


_VERBS = (
    "average",
    "bench",
    "check",
    "compile",
    "conformance",
    "data",
    "deploy",
    "distill",
    "doctor",
    "evaluate",
    "export",
    "export-c",
    "finetune",
    "inspect",
    "parse",
    "quantize",
    "targets",
    "train",
    "zoo",
)


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("folder", _ALLOWED)
def test_imports_run_one_way(folder: str) -> None:
    ours = set(_ALLOWED)
    for path in (_ROOT / folder).rglob("*.py"):
        on_top = folder == "pqrnn" and path.parent.name == "cli"  # the command line may reach everything below it
        allowed = ours - {"benchmarks"} if on_top else _ALLOWED[folder]
        assert _imports(path) & ours <= allowed, path


def test_no_trainer_below_the_trainer() -> None:
    heavy = {"torch", "safetensors", "matplotlib", "typer", "rich"}
    for path in (_ROOT / "runtime_py").rglob("*.py"):
        assert not _imports(path) & heavy, path
    for path in [
        *(_ROOT / "pqrnn" / "data").rglob("*.py"),
        _ROOT / "pqrnn" / "evaluation" / "metrics.py",
        _ROOT / "pqrnn" / "evaluation" / "frames.py",
    ]:
        assert not _imports(path) & heavy, path


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pqrnn", *arguments], capture_output=True, text=True, check=False, timeout=120
    )


def test_help_needs_no_heavy_package() -> None:
    code = (
        "import sys; sys.argv = ['pqrnn', '--help']\n"
        "from pqrnn.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'iree', 'matplotlib', 'rich.progress'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    for verb in _VERBS:
        assert verb in done.stdout


@pytest.mark.parametrize("verb", _VERBS)
def test_every_verb_has_help(verb: str) -> None:
    done = _run(verb, "--help")
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("parse", "nowhere.pqrnn", "hello"), "nowhere.pqrnn"),
        (("inspect", "nowhere.pqrnn"), "nowhere.pqrnn"),
        (("evaluate", "nowhere", "--data", "home:en"), "zoo"),
        (("train", "--data", "nowhere.jsonl", "--out", "never"), "nowhere.jsonl"),
        (("train", "--data", "home:en", "--out", "never", "--norm", "layer"), "'layer'"),
        (("train", "--data", "home:en", "--out", "never", "--features", "100"), "16"),
        (("train", "--data", "home:en", "--out", "never", "--precision", "float16"), "float16"),
        (
            (
                "distill",
                "--teacher",
                "nowhere",
                "--data",
                "home:en",
                "--out",
                "never",
                "--relations",
                "1",
                "--state",
                "30",
            ),
            "multiple of 4",
        ),
        (("compile", "nowhere", "--out", "never.pqrnn"), "zoo"),
        (("compile", "runs/nowhere", "--out", "never.pqrnn"), "checkpoint.json"),
        (("targets", "show", "linux-x86_64-v33"), "linux-x86_64-v3"),
        (("data", "sample", "nowhere.toml"), "nowhere.toml"),
    ],
)
def test_errors_are_one_line_that_helps(arguments: tuple[str, ...], said: str) -> None:
    done = _run(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert said in done.stderr
    assert not Path("never").exists()


def test_errors_of_the_device_need_no_pytorch() -> None:
    code = (
        "import sys; sys.argv = ['pqrnn', 'parse', 'nowhere.pqrnn', 'x']\n"
        "from pqrnn.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code == 2, end.code\n"
        "heavy = {'torch', 'matplotlib', 'iree.compiler'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "nowhere.pqrnn" in done.stderr
