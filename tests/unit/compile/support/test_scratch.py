"""Temporary folders: those of the dead go, those of the living and of others stay, and a full disk is called that."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from compile.lowering import iree_compile
from compile.support import scratch
from compile.support.errors import CompileError, CompilerError, ImportStageError, PackagingError, ScratchError
from compile.support.scratch import is_full, remove_abandoned, scratch_folder

_HOLDS = """
import sys
from compile.support.scratch import scratch_folder
with scratch_folder("compile") as folder:
    (folder / "module.mlir").write_text("big")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def _holder() -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_what_a_killed_process_left_is_removed_by_the_next_and_what_a_living_one_has_is_not(place: Path) -> None:
    dead, left = _holder()
    living, kept = _holder()
    dead.send_signal(signal.SIGKILL)
    dead.communicate()
    assert (left / "module.mlir").exists()
    with scratch_folder("verify") as mine:
        assert sorted(place.iterdir()) == sorted([kept, mine])
        remove_abandoned(place)  # nobody takes its own away either
        assert (kept / "module.mlir").exists() and mine.exists()
    living.communicate("")
    assert living.returncode == 0 and not list(place.iterdir())


def test_folders_of_others_stay_whatever_they_are_called(place: Path) -> None:
    old = scratch._ABANDONED + 60
    names = {"pqrnn-compile-abcd1234": old, "pqrnn-verify-abcd1234": 60, "pqrnn-fork-x": old, "mine": old}
    for name, age in names.items():
        (place / name).mkdir()
        stamp = (place / name).stat().st_mtime - age
        os.utime(place / name, (stamp, stamp))
    (place / "precious").mkdir()
    (place / "pqrnn-elf-abcd1234").symlink_to(place / "precious")
    (place / "pqrnn-onnx-abcd1234").write_text("a file")
    with scratch_folder("compile"):
        pass
    left = {path.name for path in place.iterdir()}
    assert left == {*names, "precious", "pqrnn-elf-abcd1234", "pqrnn-onnx-abcd1234"} - {"pqrnn-compile-abcd1234"}


def test_an_error_or_a_stop_removes_the_folder(place: Path) -> None:
    for kind in (KeyboardInterrupt, CompilerError, OSError):
        with pytest.raises(kind), scratch_folder("compile") as folder:
            (folder / "a").mkdir()
            raise kind("no")
        assert not list(place.iterdir())


def test_an_error_of_a_full_disk_is_called_that(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        pytest.raises(ScratchError, match=r"no space is left for temporary files.*TMPDIR"),
        scratch_folder("x") as mine,
    ):
        raise OSError(errno.ENOSPC, "No space left on device", str(mine / "a"))
    elsewhere = place.parent / "out"
    with pytest.raises(OSError, match="out"), scratch_folder("x"):
        raise OSError(errno.ENOSPC, "No space left on device", str(elsewhere))
    for kind, said in ((ImportStageError, "no space is left"), (PackagingError, "cannot be written")):
        with pytest.raises(CompileError, match=said), scratch_folder("x"):
            try:
                raise OSError(errno.ENOSPC, "No space left on device")
            except OSError as error:
                raise kind("cannot be written") from error
    monkeypatch.setattr(scratch, "is_full", lambda folder: True)
    for error in (CompilerError("it broke"), RuntimeError("write failed"), OSError(errno.ENOSPC, "No space left")):
        with pytest.raises(ScratchError, match="no space is left"), scratch_folder("x"):
            raise error


def test_no_folder_for_temporary_files_is_explained(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "TemporaryDirectory", refuse)
    monkeypatch.setattr(scratch, "is_full", lambda folder: folder == place)
    with pytest.raises(ScratchError, match=f"{place} is full.*set TMPDIR"), scratch_folder("x"):
        pass
    monkeypatch.setenv("TMPDIR", str(place / "nowhere"))
    with pytest.raises(ScratchError, match="nowhere does not exist"), scratch_folder("x"):
        pass


def test_a_compiler_that_finds_the_disk_full_is_not_blamed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = place / "iree-compile"
    compiler.write_text("#!/bin/sh\necho 'error: could not write output: No space left on device' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setattr(iree_compile, "compiler_path", lambda: compiler)
    (place / "module.mlir").write_text("module {}")
    with pytest.raises(ScratchError, match="no space is left for temporary files"):
        iree_compile.compile_module(place / "module.mlir", place / "module.vmfb", ())


_FILLS = """
from pathlib import Path
from compile.support.scratch import is_full, scratch_folder
assert not is_full(Path("/tmp"))
try:
    with scratch_folder("compile") as folder:
        (folder / "module").write_bytes(bytes(1 << 20))
except Exception as error:
    print(type(error).__name__, error)
assert not list(Path("/tmp").iterdir())
"""


@pytest.mark.skipif(shutil.which("unshare") is None, reason="no unshare here to mount a small disk with")
def test_a_disk_that_is_really_full() -> None:
    small = ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o size=256k none /tmp && exec "$@"', "sh"]
    if subprocess.run([*small, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no disk can be mounted here without being root")
    environment = {name: value for name, value in os.environ.items() if name != "TMPDIR"}
    done = subprocess.run(
        [*small, sys.executable, "-c", _FILLS], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ScratchError temporary files: /tmp: no space is left for temporary files")


def test_a_disk_with_room_is_not_full(tmp_path: Path) -> None:
    assert not is_full(tmp_path)
    assert not list(tmp_path.iterdir())
