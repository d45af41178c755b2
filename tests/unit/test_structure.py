"""The shape of the product: which way imports run, how long modules are, what the command line costs and says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import typer
from makers.imports import PACKAGES, ROOT, find_circles, import_graph, imported_packages, reached_packages, sources

from pqrnn.cli.main import main

_ALLOWED = {
    "benchmarks": {"benchmarks", "compile", "pqrnn", "targets", "runtime_py"},
    "compile": {"compile", "pqrnn", "targets", "runtime_py"},
    "pqrnn": {"pqrnn", "runtime_py"},
    "targets": {"targets"},
    "runtime_py": {"runtime_py"},
}

_ON_TOP = ("cli", "api", "building")  # of pqrnn: they may reach everything below them
_HEAVY = {"torch", "safetensors", "matplotlib", "typer", "rich"}
# Files that import nothing heavy even within functions, and modules that load nothing heavy, also through others.
_WITHOUT_HEAVY = ("runtime_py", "targets", "pqrnn/data", "pqrnn/evaluation/metrics.py", "pqrnn/evaluation/frames.py")
_LOADING_NOTHING_HEAVY = ("runtime_py", "targets", "pqrnn.data", "pqrnn.evaluation.metrics", "pqrnn.evaluation.frames")

_VERBS = (
    "apply",
    "ask",
    "average",
    "bench",
    "bom",
    "budget",
    "budget-questions",
    "build",
    "calibrate",
    "check",
    "compile",
    "conformance",
    "data",
    "demo-page",
    "deploy",
    "diff",
    "distill",
    "distill-encoder",
    "doctor",
    "evaluate",
    "evaluate-questions",
    "export",
    "export-c",
    "extend",
    "finetune",
    "finetune-questions",
    "inspect",
    "keygen",
    "native",
    "parse",
    "quantize",
    "quantize-questions",
    "recipe",
    "reference",
    "report",
    "serve",
    "sign",
    "targets",
    "train",
    "verify",
    "wyoming",
    "zoo",
)


@pytest.mark.parametrize("folder", _ALLOWED)
def test_imports_run_one_way(folder: str) -> None:
    ours = set(_ALLOWED)
    for path in sources(folder):
        inside = path.relative_to(ROOT / folder).parts[0]
        on_top = folder == "pqrnn" and inside in _ON_TOP
        allowed = ours - {"benchmarks"} if on_top else _ALLOWED[folder]
        assert imported_packages(path) & ours <= allowed, path


def test_what_stands_on_top_loads_what_is_below_only_when_it_is_used() -> None:
    for module in import_graph():
        if module.partition(".")[0] == "pqrnn":
            assert not reached_packages(module) & {"benchmarks", "compile", "targets"}, module


def test_no_module_is_reached_from_itself() -> None:
    graph = import_graph()
    assert len(graph) > 200
    assert sum(map(len, graph.values())) > 500
    assert not find_circles(graph)


def test_circles_would_be_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set[str](), "e": {"f"}, "f": {"e", "a"}}
    assert sorted(find_circles(graph)) == [["b", "c"], ["e", "f"]]


@pytest.mark.parametrize("name", _WITHOUT_HEAVY)
def test_no_trainer_below_the_trainer(name: str) -> None:
    paths = [ROOT / name] if name.endswith(".py") else sources(name)
    assert paths
    for path in paths:
        assert not imported_packages(path) & _HEAVY, path


@pytest.mark.parametrize("name", _LOADING_NOTHING_HEAVY)
def test_nothing_heavy_is_loaded_through_others(name: str) -> None:
    modules = [module for module in import_graph() if f"{module}.".startswith(f"{name}.")]
    assert modules
    for module in modules:
        assert not reached_packages(module) & _HEAVY, module


def test_no_module_is_longer_than_400_lines() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in sources(*PACKAGES)}
    assert not {str(path.relative_to(ROOT)): length for path, length in lengths.items() if length > 400}


def test_the_readme_can_be_read() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 250


def test_help_needs_no_heavy_package() -> None:
    code = (
        "import sys; sys.argv = ['pqrnn', '--help']\n"
        "from pqrnn.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'iree', 'matplotlib', 'rich.progress'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    for verb in _VERBS:
        assert verb in done.stdout


def test_these_are_the_verbs_that_are_shown() -> None:
    import pqrnn.cli.verbs  # noqa: F401 - they register themselves
    from pqrnn.cli.app import app

    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert tuple(sorted(name for name, command in commands.items() if not command.hidden)) == _VERBS
    assert commands["quantise"].hidden  # the former spelling


def _run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    """Run the command line in this process, and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["pqrnn", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code


@pytest.mark.parametrize("verb", [*_VERBS, "quantise"])
def test_every_verb_has_help(verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(monkeypatch, verb, "--help") in (0, None)
    assert "Usage" in capsys.readouterr().out


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
def test_errors_are_one_line_that_helps(
    arguments: tuple[str, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _run(monkeypatch, *arguments) == 2
    printed = capsys.readouterr().err
    assert "Traceback" not in printed
    assert said in printed
    assert not list(tmp_path.iterdir())


def test_errors_of_the_device_need_no_pytorch() -> None:
    code = (
        "import sys; sys.argv = ['pqrnn', 'parse', 'nowhere.pqrnn', 'x']\n"
        "from pqrnn.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code == 2, end.code\n"
        "heavy = {'torch', 'matplotlib', 'iree.compiler'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "nowhere.pqrnn" in done.stderr
