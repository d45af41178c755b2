"""The text that answers, from files and from standard input."""

from __future__ import annotations

import io
import os
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from runtime_py.errors import InputError
from runtime_py.questions.context_file import read_context
from runtime_py.questions.limits import LARGEST_CONTEXT


def test_a_file_and_standard_input_without_a_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_bytes("\ufeffÄ 🙂\r\n".encode())
    assert read_context(str(tmp_path / "a.txt")) == "Ä 🙂\r\n"
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO("é".encode())))
    assert read_context("-") == "é"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_text("from a pipe"))
    writer.start()
    assert read_context(str(tmp_path / "pipe")) == "from a pipe"
    writer.join()


def test_what_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"none\.txt: cannot be read \(No such file"):
        read_context(str(tmp_path / "none.txt"))
    with pytest.raises(InputError, match="is a directory"):
        read_context(str(tmp_path))
    (tmp_path / "latin.txt").write_bytes("ab Ä".encode("latin-1"))
    with pytest.raises(InputError, match="no UTF-8 at byte 3"):
        read_context(str(tmp_path / "latin.txt"))
    large = b"a" * (4 * LARGEST_CONTEXT + 4)
    (tmp_path / "large.txt").write_bytes(large)
    with pytest.raises(InputError, match="cannot be read"):
        read_context(str(tmp_path / "large.txt"))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(large)))
    with pytest.raises(InputError, match="standard input: more than"):
        read_context("-")
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="is closed"):
        read_context("-")
