"""Where a compiled parser of the zoo lies, and what becomes of one that cannot be kept."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from makers.runtime_fakes import write_fake

from pqrnn.cli import locate, verbs
from pqrnn.cli.locate import find_package
from pqrnn.cli.running import app
from pqrnn.errors import PqrnnError, ZooError
from pqrnn.zoo.compiled import package_name
from pqrnn.zoo.shelf import Shelved, find_parser
from runtime_py.tools.conformance import decode_conformance

_NAME = "mtop-en"


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, bool]]:
    calls: list[tuple[Path, bool]] = []

    def compile_(parser: Shelved, package: Path, kept: bool) -> None:
        calls.append((package, kept))
        write_fake(package)

    monkeypatch.setattr(locate, "_compile", compile_)
    return calls


def test_a_parser_is_kept_and_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled: list[tuple[Path, bool]]
) -> None:
    monkeypatch.setenv("PQRNN_CACHE", str(tmp_path / "cache"))
    expected = tmp_path / "cache" / "zoo" / package_name(find_parser(_NAME))
    assert find_package(Path(_NAME)) == find_package(Path(_NAME)) == expected
    assert compiled == [(expected, True)]


def test_what_cannot_be_kept_is_found_out_before_compiling(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    compiled: list[tuple[Path, bool]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PQRNN_CACHE", str(tmp_path / "file" / "below"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    package = find_package(Path(_NAME))
    ((written, kept),) = compiled
    assert (written, kept) == (package, False)
    assert package.is_relative_to(tmp_path)
    said = capsys.readouterr().err
    assert "compiled for this call alone" in said
    assert "$PQRNN_CACHE" in said
    assert said.count("\n") == 1


def test_without_a_home_it_is_compiled_for_the_call(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    compiled: list[tuple[Path, bool]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("PQRNN_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert find_package(Path(_NAME)).is_relative_to(tmp_path)
    assert "no home folder" in capsys.readouterr().err


def test_where_nothing_can_be_written_at_all_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled: list[tuple[Path, bool]]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PQRNN_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(ZooError, match=r"\$PQRNN_CACHE.*temporary folder cannot be made"):
        find_package(Path(_NAME))
    assert compiled == []


def _run(*arguments: str | Path) -> None:
    assert verbs.__all__
    app([*map(str, arguments)], standalone_mode=False)


def test_conformance_takes_names_of_the_zoo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled: list[tuple[Path, bool]]
) -> None:
    monkeypatch.setenv("PQRNN_CACHE", str(tmp_path / "cache"))
    _run("conformance", _NAME, "--out", tmp_path / "out.json")
    assert decode_conformance((tmp_path / "out.json").read_bytes(), "out.json").package == "fake"
    with pytest.raises(ZooError, match="nor a parser of the zoo"):
        _run("conformance", "nosuch-parser", "--out", tmp_path / "out.json")


def test_export_c_takes_names_of_the_zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import compile.standalone.pipeline as pipeline

    asked: list[Path] = []

    def export(run: Path, *_: object, **__: object) -> Any:
        asked.append(run)
        figures = dict.fromkeys(("weight_bytes", "code_bytes", "memory_bytes", "dispatches", "seconds"), 1)
        return SimpleNamespace(figures=SimpleNamespace(**figures), proof=SimpleNamespace(machine="", reason="a test"))

    monkeypatch.setattr(pipeline, "export_parser", export)
    for run in (_NAME, tmp_path):
        _run("export-c", run, "--target", "cortex-m7", "--out", tmp_path / "out")
    assert asked == [find_parser(_NAME).folder, tmp_path]


def test_check_compares_with_names_of_the_zoo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled: list[tuple[Path, bool]]
) -> None:
    import pqrnn.cli.check as check

    monkeypatch.setenv("PQRNN_CACHE", str(tmp_path / "cache"))
    asked: list[object] = []

    def compare(*arguments: object) -> None:
        asked.extend(arguments[:3])
        raise PqrnnError("seen")

    result = SimpleNamespace(golden=None, parity=None, certificate=None, exit_code=0, failures=[])
    monkeypatch.setattr("runtime_py.tools.full_check.check_fully", lambda *_: result)
    monkeypatch.setattr("runtime_py.tools.presentation.check_table", lambda *_: SimpleNamespace(rows=[]))
    monkeypatch.setattr(check, "_score", lambda *_: {"exact_match": {"value": 1.0, "low": 1.0, "high": 1.0, "n": 1.0}})
    monkeypatch.setattr(check, "_compare", compare)
    with pytest.raises(PqrnnError, match="seen"):
        _run("check", _NAME, "--run", _NAME, "--data", "home:en")
    assert asked[2] == find_parser(_NAME).folder


def test_deploy_says_what_to_compile_first(tmp_path: Path) -> None:
    with pytest.raises(PqrnnError, match=rf"pqrnn compile {_NAME} --target raspberry-pi-4"):
        _run("deploy", _NAME, "--out", tmp_path / "out")
    with pytest.raises(ZooError, match="nor a parser of the zoo"):
        _run("deploy", "nosuch-parser", "--out", tmp_path / "out")
