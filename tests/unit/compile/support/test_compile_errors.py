"""Messages of failed stages, and the folder that repeats them."""

from __future__ import annotations

from pathlib import Path

from compile.support.errors import (
    CompileError,
    CompilerError,
    ExportError,
    ImportStageError,
    PackagingError,
    PlanError,
    TargetsError,
    VerificationError,
)
from compile.support.reproduction import clear_evidence, failure_folder, keep_evidence


def test_every_stage_has_an_error_of_its_own() -> None:
    stages = [
        kind.stage
        for kind in (PlanError, ExportError, ImportStageError, CompilerError, VerificationError, PackagingError)
    ]
    assert len(set(stages)) == len(stages)
    assert all(
        issubclass(kind, CompileError)
        for kind in (PlanError, ExportError, ImportStageError, CompilerError, VerificationError, PackagingError)
    )


def test_message_shows_the_head_of_the_diagnostics() -> None:
    error = CompilerError("it ended with status 1", "\n".join(f"line {i}" for i in range(40)) + "\n" + "x" * 1000)
    text = str(error)
    assert text.startswith("compile: it ended with status 1\n  line 0\n  line 1\n")
    assert "... 29 more lines" in text
    assert "line 13" not in text
    assert "To reproduce" not in text
    assert error.diagnostics.endswith("x" * 1000)


def test_evidence_is_kept_and_replaces_what_was_there(tmp_path: Path) -> None:
    source = tmp_path / "module.mlir"
    source.write_text("module {}")
    folder = tmp_path / "home.failed"
    folder.mkdir()
    (folder / "old.txt").write_text("of the last time")
    error = CompilerError("no", "line", {"module.mlir": source, "stderr.txt": b"line\n"})
    keep_evidence(error, folder)
    assert error.folder == folder
    assert {file.name: file.read_text() for file in folder.iterdir()} == {
        "message.txt": "compile: no\n\nline\n",
        "module.mlir": "module {}",
        "stderr.txt": "line\n",
    }
    assert str(error).endswith(f"To reproduce: {folder}")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["home.failed", "module.mlir"]


def test_evidence_may_lie_in_folders(tmp_path: Path) -> None:
    error = VerificationError("no", "", {"home.pqrnn/golden/golden.npz": b"npz", "replay.sh": b"#!/bin/sh\n"})
    keep_evidence(error, tmp_path / "home.pqrnn.failed" / "vulkan")
    assert (tmp_path / "home.pqrnn.failed" / "vulkan" / "home.pqrnn" / "golden" / "golden.npz").read_bytes() == b"npz"


def test_only_what_was_kept_here_is_cleared(tmp_path: Path) -> None:
    kept = failure_folder(tmp_path / "home.pqrnn")
    clear_evidence(kept)
    for name in ("host", "vmvx"):
        keep_evidence(CompilerError("no", "", {"x": b"y"}), kept / name)
    (kept / "mine").mkdir()
    (kept / "mine" / "notes.txt").write_text("keep me")
    clear_evidence(kept)
    assert [path.relative_to(kept).as_posix() for path in kept.rglob("*")] == ["mine", "mine/notes.txt"]
    (kept / "mine" / "notes.txt").unlink()
    (kept / "mine").rmdir()
    keep_evidence(CompilerError("no", "", {"x": b"y"}), kept / "host")
    clear_evidence(kept)
    assert not list(tmp_path.iterdir())


def test_several_failures_are_told_together() -> None:
    error = TargetsError({"a": CompilerError("it crashed", "line"), "b": VerificationError("wrong words")})
    text = str(error)
    assert "none of 2 targets passed" in text
    assert "a: compile: it crashed" in text
    assert "b: verify: wrong words" in text


def test_nothing_is_left_without_evidence_or_when_it_cannot_be_written(tmp_path: Path) -> None:
    plain = PlanError("no target")
    keep_evidence(plain, tmp_path / "a.failed")
    lost = CompilerError("no", "", {"module.mlir": tmp_path / "is-not-there"})
    keep_evidence(lost, tmp_path / "b.failed")
    nowhere = CompilerError("no", "", {"x": b"y"})
    (tmp_path / "file").write_text("no folder")
    keep_evidence(nowhere, tmp_path / "file" / "c.failed")
    assert plain.folder is lost.folder is nowhere.folder is None
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
