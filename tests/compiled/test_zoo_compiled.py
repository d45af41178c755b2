"""A parser of the zoo answers by its name: compiled once, then without PyTorch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from makers.forks import run_pqrnn
from makers.runs import write_run

from pqrnn.checkpoint import load_checkpoint
from pqrnn.evaluation.prediction import predict_texts
from pqrnn.run_folder import WEIGHTS
from pqrnn.zoo.adding import add_parser
from pqrnn.zoo.card import Story
from runtime_py.decode.decoder import Decoder

_TEXTS = ("wake me at seven", "play some jazz in the kitchen please")
_HEAVY = (
    "import sys; sys.argv = ['pqrnn', *sys.argv[1:]]\n"
    "from pqrnn.cli import main\n"
    "try: main()\n"
    "except SystemExit as end: assert not end.code, end.code\n"
    "heavy = {'torch', 'safetensors', 'iree.compiler', 'compile'} & set(sys.modules)\n"
    "assert not heavy, heavy"
)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zoo")
    write_run(folder / "run")
    add_parser(folder / "run", folder / "shelf", "small", data=["home"], story=Story(summary="for tests"))
    return folder


def _run(zoo: Path, *arguments: str, code: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command line, or a program in a new interpreter."""
    environment = {"PQRNN_ZOO": str(zoo / "shelf"), "PQRNN_CACHE": str(zoo / "cache"), "OMP_NUM_THREADS": "1"}
    if not code:
        return run_pqrnn(*arguments, environment=environment)
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=500, env={**os.environ, **environment}
    )


def test_a_name_is_compiled_once_and_answers_like_pytorch(zoo: Path) -> None:
    first = _run(zoo, "parse", "small", "--json", *_TEXTS)
    assert first.returncode == 0, first.stderr
    assert "small: compiling it for this machine" in first.stderr
    (package,) = (zoo / "cache" / "zoo").glob("small-*.pqrnn")
    assert str(package) in first.stderr.replace("\n", "")
    checkpoint = load_checkpoint(zoo / "shelf" / "small")
    expected = predict_texts(
        checkpoint.model, Decoder(checkpoint.facts.labels.intents, checkpoint.facts.labels.tags), _TEXTS
    )
    assert [json.loads(line)["intent"] for line in first.stdout.splitlines()] == [parse.intent for parse in expected]

    before = package.stat().st_mtime_ns
    second = _run(zoo, "parse", "small", "--json", *_TEXTS, code=_HEAVY)
    assert second.returncode == 0, second.stderr
    assert second.stdout == first.stdout
    assert second.stderr == ""
    assert package.stat().st_mtime_ns == before

    checked = _run(zoo, "check", "small", "--json")
    assert checked.returncode == 0, checked.stderr
    assert json.loads(checked.stdout)["passed"] is True
    assert _run(zoo, "evaluate", "small", "--data", "home:en", "--json").returncode == 0


def test_what_cannot_be_kept_is_compiled_for_the_call_and_removed(zoo: Path) -> None:
    (zoo / "file").touch()
    (zoo / "tmp").mkdir()
    environment = {
        "PQRNN_ZOO": str(zoo / "shelf"),
        "PQRNN_CACHE": str(zoo / "file" / "below"),
        "TMPDIR": str(zoo / "tmp"),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "pqrnn", "parse", "small", "--json", *_TEXTS]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=500, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(_TEXTS)
    assert "compiled for this call alone" in done.stderr
    assert "$PQRNN_CACHE" in done.stderr
    assert list((zoo / "tmp").glob("pqrnn-*")) == []


def test_weights_that_are_not_those_of_the_entry_are_refused(zoo: Path) -> None:
    write_run(zoo / "other", seed=1)
    add_parser(zoo / "other", zoo / "shelf", "spoiled", data=["home"], story=Story(summary="for tests"))
    path = zoo / "shelf" / "spoiled" / WEIGHTS
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    done = _run(zoo, "parse", "spoiled", "hello")
    assert done.returncode == 2
    assert WEIGHTS in done.stderr
    assert not list((zoo / "cache" / "zoo").glob("spoiled-*")) if (zoo / "cache" / "zoo").exists() else True


def test_without_the_compiler_it_says_what_to_install(zoo: Path) -> None:
    code = (
        "import sys; sys.modules['iree.compiler'] = None; import importlib.util as u; real = u.find_spec\n"
        "u.find_spec = lambda n, *a: None if n == 'iree.compiler' else real(n, *a)\n"
    )
    environment = {"PQRNN_CACHE": str(zoo / "empty")}
    code = f"import os; os.environ.update({environment})\n{code}{_HEAVY}"
    done = _run(zoo, "parse", "small", "hello", code=code)
    assert "pqrnn[compile]" in done.stderr
    assert not (zoo / "empty").exists()
