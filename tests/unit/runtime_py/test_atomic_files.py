"""Files are written whole or not at all, and may be read by whom the user's umask lets read."""

import os
import sys
from pathlib import Path

import pytest
from makers.runtime_fakes import write_fake

from runtime_py import atomic_files
from runtime_py.atomic_files import write_atomic


def test_a_file_is_made_with_its_folders_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file.json"
    write_atomic(path, b"first")
    assert path.read_bytes() == b"first"
    write_atomic(path, b"")
    assert path.read_bytes() == b""
    assert [file.name for file in path.parent.iterdir()] == ["file.json"]


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")

    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(*((os, "fsync") if fails == "fsync" else (Path, "replace")), fail)
    with pytest.raises(OSError, match="the disk is full"):
        write_atomic(path, b"after")
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file"):
        write_atomic(tmp_path / "file" / "inside", b"")


@pytest.mark.skipif(os.name != "posix", reason="file modes are those of POSIX")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_mode_is_that_of_any_other_file(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_atomic(tmp_path / "new", b"")
        (tmp_path / "old").touch(0o600)
        write_atomic(tmp_path / "old", b"")
        write_fake(tmp_path / "home.pqrnn")
    finally:
        os.umask(before)
    made = [tmp_path / "new", tmp_path / "old", *(file for file in (tmp_path / "home.pqrnn").rglob("*.*"))]
    assert {file.name: file.stat().st_mode & 0o777 for file in made if file.is_file()}
    assert {file.stat().st_mode & 0o777 for file in made if file.is_file()} == {mode}


@pytest.mark.parametrize("at_once", [True, False])
def test_a_directory_takes_the_name_of_another_one(
    tmp_path: Path, at_once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not at_once:
        monkeypatch.setattr(atomic_files, "exchange_names", lambda *_: False)
    name, fresh = tmp_path / "name", tmp_path / ".fresh"
    for content in ("first", "second"):
        fresh.mkdir(exist_ok=True)
        (fresh / "file").write_text(content)
        atomic_files.replace_directory(fresh, name)
        assert (name / "file").read_text() == content
    left = {path.name for path in tmp_path.iterdir()} - {"name"}
    assert left == ({".fresh"} if at_once else set())
    assert not at_once or (fresh / "file").read_text() == "first"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the old one is moved aside first")
def test_the_name_stands_for_a_directory_at_every_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No rename of the name itself, after which a kill would leave nothing there."""
    for name in ("name", ".fresh"):
        (tmp_path / name).mkdir()
    renamed: list[Path] = []
    monkeypatch.setattr(Path, "rename", lambda path, _: renamed.append(path))
    atomic_files.replace_directory(tmp_path / ".fresh", tmp_path / "name")
    assert not renamed
