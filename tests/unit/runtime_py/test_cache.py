"""Where things are kept, and what is said where they cannot be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtime_py.cache import cache_folder, check_private, check_writable, is_own, make_private, module_folder
from runtime_py.errors import CacheError

_ROOT = Path(__file__).parents[3]
# A user whom the system does not know, as in containers that are started with a number.
_NOBODY = """
import pwd, sys
def unknown(uid):
    raise KeyError(f"uid not found: {uid}")
pwd.getpwuid = unknown
from pqrnn.cli import main
sys.argv = ["pqrnn", *sys.argv[1:]]
main()
"""


def _as_nobody(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    left_out = ("HOME", "PQRNN_CACHE", "PQRNN_TARGETS", "XDG_CACHE_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    command = [sys.executable, "-c", _NOBODY, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment, cwd=_ROOT)


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("PQRNN_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    return monkeypatch


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
@pytest.mark.parametrize("folder", [cache_folder, module_folder])
def test_without_a_home_the_variable_is_named(homeless: pytest.MonkeyPatch, platform: str, folder: object) -> None:
    homeless.setattr("sys.platform", platform)
    with pytest.raises(CacheError, match=r"no home folder.*\$PQRNN_CACHE"):
        folder()  # type: ignore[operator]
    homeless.setattr(Path, "home", lambda: Path("~"))  # some systems return this
    with pytest.raises(CacheError, match=r"no home folder.*\$PQRNN_CACHE"):
        folder()  # type: ignore[operator]
    homeless.setenv("PQRNN_CACHE", "/x")
    assert folder() == Path("/x")  # type: ignore[operator]


def test_a_folder_of_the_system_has_to_be_absolute(homeless: pytest.MonkeyPatch) -> None:
    homeless.setattr("sys.platform", "linux")
    homeless.setenv("XDG_CACHE_HOME", "/own")
    assert cache_folder() == Path("/own/pqrnn")
    homeless.setenv("XDG_CACHE_HOME", "own")
    homeless.setattr(Path, "home", lambda: Path("/home/me"))
    assert cache_folder() == Path("/home/me/.cache/pqrnn")


def test_a_folder_is_tried_before_work_is_done_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_writable(tmp_path / "deep" / "folder")
    assert list((tmp_path / "deep" / "folder").iterdir()) == []
    (tmp_path / "file").touch()
    for wrong in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/none")):
        with pytest.raises(CacheError, match=rf"^{wrong}: nothing can be kept there \(.*\$PQRNN_CACHE"):
            check_writable(wrong)

    def refuse(**_: object) -> None:  # root may write everywhere
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(CacheError, match="Permission denied"):
        check_writable(tmp_path)


def test_folders_are_made_for_this_user_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PQRNN_CACHE", str(tmp_path / "a" / "b"))
    before = os.umask(0)
    try:
        make_private(cache_folder() / "c" / "d")
    finally:
        os.umask(before)
    for made in ("a", "a/b", "a/b/c", "a/b/c/d"):
        assert (tmp_path / made).stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("level", ["", "c", "c/d"])
@pytest.mark.parametrize("wrong", ["group", "others", "owner", "link", "file"])
def test_a_folder_that_somebody_else_may_fill_is_refused(
    level: str, wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PQRNN_CACHE", str(tmp_path / "b"))
    make_private(cache_folder() / "c" / "d")
    path = cache_folder() / level
    said = "others may write there"
    if wrong in ("group", "others"):
        path.chmod(0o770 if wrong == "group" else 0o702)
    elif wrong == "owner":
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
        path, said = cache_folder(), "belongs to another user"
    else:
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere") if wrong == "link" else path.touch()
        said = "is a link" if wrong == "link" else "nothing can be kept there"
    if (wrong, level) == ("link", ""):  # the user's own folder may lie elsewhere
        check_private(cache_folder() / "c" / "d")
        return
    for look in (check_private, make_private, check_writable):
        with pytest.raises(CacheError, match=rf"^{path}: {said}.*\$PQRNN_CACHE"):
            look(cache_folder() / "c" / "d")


def test_what_another_user_made_is_not_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    assert [name for name in ("file", "link", "pipe", "none", "") if is_own(tmp_path / name)] == ["file", ""]
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert not is_own(tmp_path / "file")


@pytest.mark.parametrize("arguments", [("doctor",), ("targets",), ("targets", "show", "host"), ("zoo", "list")])
def test_verbs_work_for_a_user_whom_nobody_knows(arguments: tuple[str, ...]) -> None:
    done = _as_nobody(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    if arguments == ("doctor",):
        assert "$PQRNN_CACHE" in done.stdout


def test_a_bundle_is_made_for_a_user_whom_nobody_knows(tmp_path: Path) -> None:
    from makers.runtime_fakes import fake_manifest, fake_variant, write_fake

    write_fake(tmp_path / "own.pqrnn", fake_manifest(fake_variant("linux-x86_64-v3")))
    done = _as_nobody("deploy", tmp_path / "own.pqrnn", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "README.txt").is_file()


def test_a_target_of_a_user_whom_nobody_knows_needs_a_name_for_its_file(tmp_path: Path) -> None:
    done = _as_nobody("targets", "add", "my-board")
    assert (done.returncode, done.stdout) == (2, "")
    assert "$PQRNN_TARGETS" in done.stderr
    assert "Traceback" not in done.stderr
    assert _as_nobody("targets", "add", "my-board", "--out", "-").returncode == 0
    (tmp_path / "file").touch()
    done = _as_nobody("targets", "add", "my-board", "--out", tmp_path / "file" / "my-board.toml")
    assert done.returncode == 2
    assert "cannot be written" in done.stderr
    assert "--out" in done.stderr
    assert "Traceback" not in done.stderr
