"""Where a compiled parser of the zoo lies, and what becomes of one that cannot be kept."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from makers.runtime_fakes import write_fake

from pqrnn.cli import locate
from pqrnn.cli.locate import find_package
from pqrnn.errors import ZooError
from pqrnn.zoo.compiled import package_name
from pqrnn.zoo.shelf import Shelved, find_parser

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
