"""Batches of texts through both command lines: odd lines, odd streams, and the exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

_BOTH = pytest.mark.parametrize("module", ["runtime_py", "pqrnn"])


def _run(
    module: str, package: Path, *arguments: str, stdin: bytes | None = None, **options: object
) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", module, "parse", str(package), *arguments]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.run(command, check=False, timeout=120, input=stdin, **streams)  # type: ignore[call-overload, no-any-return]


@_BOTH
def test_a_text_that_is_too_long_is_named_and_ends_nothing(module: str, tiny_path: Path) -> None:
    lines = b"wake me\n" + b"x" * 65 + b"\nlast\n"
    done = _run(module, tiny_path, "--json", stdin=lines)
    assert done.returncode == 2
    first, second, third = map(json.loads, done.stdout.splitlines())
    assert (first["text"], third["text"]) == ("wake me", "last")
    assert list(second) == ["error"]
    assert second["error"].startswith("line 2: the text has 65 bytes")
    assert done.stderr.startswith(b"error: line 2: the text has 65 bytes")
    assert done.stderr.count(b"\n") == 1
    done = _run(module, tiny_path, "a " * 17, "fine")
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: text 1: the text has 17 words")
    assert b"fine" in done.stdout
    assert _run(module, tiny_path, "--truncate", stdin=lines).returncode == 0


@_BOTH
def test_a_dash_reads_standard_input(module: str, tiny_path: Path) -> None:
    done = _run(module, tiny_path, "--json", "one", "-", stdin=b"\xef\xbb\xbftwo\nthree")
    assert [json.loads(line)["text"] for line in done.stdout.splitlines()] == ["one", "two", "three"]
    assert done.stderr == b""


@_BOTH
@pytest.mark.parametrize(
    ("stdin", "said"), [("wake me\n".encode("utf-16"), b"UTF-16"), ("wake me up\n".encode("utf-16-be"), b"UTF-16")]
)
def test_other_encodings_are_one_line(module: str, tiny_path: Path, stdin: bytes, said: bytes) -> None:
    done = _run(module, tiny_path, stdin=stdin)
    assert (done.returncode, done.stdout) == (2, b"")
    assert said in done.stderr
    assert done.stderr.count(b"\n") == 1


@_BOTH
def test_escape_codes_of_texts_are_shown_and_not_obeyed(module: str, tiny_path: Path) -> None:
    text = "b\x1b[31m \u202e[bold]"
    shown = _run(module, tiny_path, text).stdout.decode()
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert r"b\x1b[31m \u202e[bold]" in shown
    line = _run(module, tiny_path, "--json", text).stdout.decode()
    assert "\u202e" not in line
    assert json.loads(line)["text"] == text


@_BOTH
def test_a_reader_that_goes_ends_the_batch(module: str, tiny_path: Path) -> None:
    command = [sys.executable, "-m", module, "parse", str(tiny_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b"one\n")
        process.stdin.flush()
        assert process.stdout.readline()
        process.stdout.close()
        process.stdin.write(b"two\n")
        process.stdin.close()
        assert (process.wait(60), process.stderr.read()) == (141, b"")


@_BOTH
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_ends_the_batch_with_one_line(module: str, tiny_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = _run(module, tiny_path, stdin=b"one\ntwo\n", stdout=full)
    assert done.returncode == 2
    assert done.stderr == b"error: standard output cannot be written (No space left on device).\n"


@_BOTH
@pytest.mark.parametrize(("redirection", "said"), [("<&-", b"standard input is closed"), ("hello >&-", b"closed")])
def test_closed_streams_are_one_line(module: str, tiny_path: Path, redirection: str, said: bytes) -> None:
    script = f'"{sys.executable}" -m {module} parse "{tiny_path}" {redirection}'
    done = subprocess.run(["sh", "-c", script], capture_output=True, check=False, timeout=120, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (2, b"")
    assert said in done.stderr
    assert done.stderr.count(b"\n") == 1


@_BOTH
def test_answers_are_utf8_in_a_latin_1_terminal(module: str, tiny_path: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = _run(module, tiny_path, "réveille-moi 😀 ไทย", env=environment)
    assert done.returncode == 0, done.stderr
    assert "réveille-moi 😀 ไทย" in done.stdout.decode()
