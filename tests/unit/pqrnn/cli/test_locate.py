"""Where a compiled parser of the zoo lies, and what becomes of one that cannot be kept."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from makers.runtime_fakes import fake_manifest, write_fake

from pqrnn.cli import locate, verbs
from pqrnn.cli.locate import find_package
from pqrnn.cli.running import app
from pqrnn.errors import PqrnnError, ZooError
from pqrnn.zoo.compiled import package_name
from pqrnn.zoo.shelf import Shelved, find_parser
from runtime_py.package_format.package import open_package, seal
from runtime_py.tools.conformance import decode_conformance

_NAME = "mtop-en"


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, bool]]:
    calls: list[tuple[Path, bool]] = []

    def compile_(parser: Shelved, package: Path, kept: bool) -> None:
        calls.append((package, kept))
        manifest = fake_manifest()
        model = msgspec.structs.replace(manifest.model, checkpoint=parser.entry.files["model.safetensors"].sha256)
        write_fake(package, msgspec.structs.replace(manifest, model=model))

    monkeypatch.setattr(locate, "_compile", compile_)
    return calls


def test_a_parser_is_kept_and_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled: list[tuple[Path, bool]]
) -> None:
    monkeypatch.setenv("PQRNN_CACHE", str(tmp_path / "cache"))
    expected = tmp_path / "cache" / "zoo" / package_name(find_parser(_NAME))
    assert find_package(Path(_NAME)) == find_package(Path(_NAME)) == expected
    assert compiled == [(expected, True)]


def _kept(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Path:
    monkeypatch.setenv("PQRNN_CACHE", str(cache))
    return cache / "zoo" / package_name(find_parser(_NAME))


def test_only_this_user_may_write_where_parsers_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled: list[tuple[Path, bool]]
) -> None:
    _kept(monkeypatch, tmp_path / "cache")
    before = os.umask(0)
    try:
        find_package(Path(_NAME))
    finally:
        os.umask(before)
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "cache" / "zoo").stat().st_mode & 0o777 == 0o700


def test_a_planted_package_is_not_used(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    compiled: list[tuple[Path, bool]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    expected = _kept(monkeypatch, tmp_path / "cache")
    expected.parent.mkdir(parents=True, mode=0o700)
    (tmp_path / "cache").chmod(0o700)
    write_fake(expected)  # whole, and not from here
    assert find_package(Path(_NAME)) == expected
    assert compiled == [(expected, True)]
    assert "is not used" in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["manifest", "code", "exchanged", "record", "no record", "a file", "a link"])
def test_what_was_kept_and_is_damaged_is_made_again(
    damage: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    compiled: list[tuple[Path, bool]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    expected = _kept(monkeypatch, tmp_path / "cache")
    find_package(Path(_NAME))
    if damage == "manifest":
        (expected / "manifest.json").write_bytes(b"{")
    elif damage == "code":
        (expected / "variants" / "host" / "module.vmfb").write_bytes(b"other")
    elif damage == "exchanged":
        seal(expected, msgspec.structs.replace(open_package(expected).manifest, name="other"))
    elif damage == "record":
        expected.with_suffix(".json").write_bytes(b"[" * 5000)
    elif damage == "no record":
        expected.with_suffix(".json").unlink()
    else:
        expected.rename(tmp_path / "elsewhere")
        expected.symlink_to(tmp_path / "elsewhere") if damage == "a link" else expected.touch()
    assert find_package(Path(_NAME)) == find_package(Path(_NAME)) == expected
    assert compiled == [(expected, True)] * 2
    assert capsys.readouterr().err.count("is not used") == 1
    open_package(expected, verify=True)


def test_a_folder_that_others_may_write_is_not_used(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    compiled: list[tuple[Path, bool]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    expected = _kept(monkeypatch, tmp_path / "cache")
    find_package(Path(_NAME))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    expected.parent.chmod(0o777)
    assert find_package(Path(_NAME)) != expected
    assert compiled[-1][1] is False
    assert "others may write there (mode 0777)" in capsys.readouterr().err


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
        asked.extend(arguments[:4])
        raise PqrnnError("seen")

    result = SimpleNamespace(golden=None, parity=None, certificate=None, exit_code=0, failures=[])
    monkeypatch.setattr("runtime_py.tools.full_check.check_fully", lambda *_, **__: result)
    monkeypatch.setattr("runtime_py.tools.presentation.check_table", lambda *_: SimpleNamespace(rows=[]))
    monkeypatch.setattr(check, "_score", lambda *_: {"exact_match": {"value": 1.0, "low": 1.0, "high": 1.0, "n": 1.0}})
    monkeypatch.setattr(check, "_compare", compare)
    with pytest.raises(PqrnnError, match="seen"):
        _run("check", _NAME, "--run", _NAME, "--data", "home:en")
    assert asked[3] == find_parser(_NAME).folder  # package, engine, variant, run


def test_deploy_says_what_to_compile_first(tmp_path: Path) -> None:
    with pytest.raises(PqrnnError, match=rf"pqrnn compile {_NAME} --target raspberry-pi-4"):
        _run("deploy", _NAME, "--out", tmp_path / "out")
    with pytest.raises(ZooError, match="nor a parser of the zoo"):
        _run("deploy", "nosuch-parser", "--out", tmp_path / "out")
