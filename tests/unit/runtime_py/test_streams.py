"""Standard streams: what is read, what a terminal is shown, and what is said when they fail."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from makers.runtime_fakes import fake_manifest, fake_variant, write_fake
from msgspec.structs import replace

from runtime_py.decode.answers import Parse, Slot
from runtime_py.decode.labels import Labels
from runtime_py.errors import InputError
from runtime_py.streams import texts_to_parse
from runtime_py.terminal import printable, printable_json
from runtime_py.tools.presentation import Table, parse_line, parse_text, plain_text

_ROOT = Path(__file__).parents[3]
_ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()) | st.sampled_from("\x1b\x9b\x07\r\n\t‮⁦"))
# What a terminal obeys: the controls of ISO 6429, and marks of Unicode that change the order of a line.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u061c\u2028-\u202e\u2066-\u2069]")


def _read(raw: bytes, monkeypatch: pytest.MonkeyPatch, arguments: list[str] | None = None) -> list[tuple[str, bytes]]:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
    return list(texts_to_parse(arguments))


def test_texts_keep_bytes_that_are_no_utf8() -> None:
    assert list(texts_to_parse(["a\udcff", "é"])) == [("text 1", b"a\xff"), ("text 2", "é".encode())]


@pytest.mark.parametrize("arguments", [None, [], ["-"]])
def test_lines_of_standard_input_are_numbered(arguments: list[str] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    got = _read(b"\xef\xbb\xbfone\r\n\n\xef\xbb\xbf\xff\xfe two\n\xfe\xfflast", monkeypatch, arguments)
    lines = [b"one", b"", b"\xef\xbb\xbf\xff\xfe two", b"\xfe\xfflast"]  # a mark is one at the beginning alone
    assert got == [(f"line {number}", line) for number, line in enumerate(lines, 1)]


def test_a_dash_stands_for_standard_input_among_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    got = _read(b"a\nb\n", monkeypatch, ["first", "-", "last"])
    assert got == [("text 1", b"first"), ("line 1", b"a"), ("line 2", b"b"), ("text 3", b"last")]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
def test_other_encodings_are_refused_with_what_to_do(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = "" if encoding in ("utf-16", "utf-32") else "\ufeff"
    for text in (mark + "turn off the lights\n", "turn off the lights\n"):
        with pytest.raises(InputError, match=r"UTF-16.*iconv"):
            _read(text.encode(encoding), monkeypatch)


@given(st.text(st.characters(exclude_characters="\r", codec="utf-8"), max_size=80))
def test_no_utf8_is_taken_for_another_encoding(text: str) -> None:
    raw = text.encode()
    if raw.count(0) <= 0.3 * len(raw):
        with pytest.MonkeyPatch.context() as patch:
            lines = [line for _, line in _read(raw, patch)]
        assert b"\n".join(lines) == raw.removeprefix(b"\xef\xbb\xbf").removesuffix(b"\n")


def test_a_closed_or_unreadable_input_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unreadable(io.BytesIO):
        def readline(self, size: int | None = -1) -> bytes:
            raise IsADirectoryError(21, "Is a directory")

    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="closed"):
        list(texts_to_parse(None))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Unreadable()))
    with pytest.raises(InputError, match="Is a directory"):
        list(texts_to_parse(None))


def test_a_line_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime_py.streams._LONGEST_LINE", 100)
    assert _read(b"a\n" + b"x" * 99 + b"\n", monkeypatch)[1] == ("line 2", b"x" * 99)
    with pytest.raises(InputError, match="line 2 of standard input has more than"):
        _read(b"a\n" + b"x" * 5000, monkeypatch)


@given(_ANY_TEXT)
def test_a_terminal_is_shown_nothing_that_it_obeys(text: str) -> None:
    assert not _OBEYED.search(printable(text))
    line = printable(text)
    assert not _OBEYED.search(line)
    assert not set("\n\t") & set(line)
    if not _OBEYED.search(text) and not re.search("[\ud800-\udfff\n\t]", text):
        assert line == text
    table = plain_text(Table(text, (text, "b"), [(text, text)]))
    assert not _OBEYED.search(table)
    assert table.count("\n") == 2


@given(_ANY_TEXT.map(lambda text: re.sub("[\ud800-\udfff]", "?", text)))
def test_json_means_the_same_and_shows_nothing_that_a_terminal_obeys(text: str) -> None:
    parse = Parse("x" + text, 0.5, (Slot(text, text, 0, len(text)),), text, False, 1)
    line = parse_line(parse)
    assert not _OBEYED.search(line)
    assert json.loads(line) == parse.to_dict() | {"slots": [slot.to_dict() for slot in parse.slots]}
    assert json.loads(printable_json(json.dumps(text, ensure_ascii=False))) == text
    shown = parse_text(parse)
    assert not _OBEYED.search(shown)
    assert shown.count("\n") == 1


def _run(module: str, *arguments: str | Path, **options: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.run(command, check=False, timeout=120, cwd=_ROOT, **streams)  # type: ignore[call-overload, no-any-return]


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A package whose names hold what a terminal obeys, and what rich takes for its own marks."""
    bad = "\x1b]0;title\x07[bold]x[/nothing] :tada: \x9b31m\u202etxt"
    manifest = replace(
        fake_manifest(fake_variant(unverified_reason=f"because {bad}")),
        name=f"name {bad}",
        created=bad,
        labels=Labels(intents=(bad, "other"), tags=("O", f"B-{bad}", f"I-{bad}")),
    )
    write_fake(tmp_path / "hostile.pqrnn", manifest)
    return tmp_path / "hostile.pqrnn"


@pytest.mark.parametrize("module", ["runtime_py", "pqrnn"])
def test_a_manifest_cannot_write_to_the_terminal(module: str, hostile: Path) -> None:
    for options in ((), ("--json",)):
        done = _run(module, "inspect", hostile, *options)
        assert (done.returncode, done.stderr) == (0, b"")
        shown = done.stdout.decode()
        assert not _OBEYED.search(shown)
        assert "[bold]x[/nothing] :tada:" in re.sub(r"\s+", " ", shown)
        assert options or r"\x1b]0;title\x07" in shown
    done = _run(module, "check", hostile, "--variant", "\x1b[31mno")
    assert done.returncode == 2
    assert b"\x1b" not in done.stderr
    assert done.stderr.count(b"\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("module", ["runtime_py", "pqrnn"])
def test_a_full_disk_is_one_line_and_no_failed_check(module: str, hostile: Path) -> None:
    for options in ((), ("--json",)):
        with open("/dev/full", "wb") as full:
            done = _run(module, "inspect", hostile, *options, stdout=full)
        assert done.returncode == 2
        assert done.stderr == b"error: standard output cannot be written (No space left on device).\n"


@pytest.mark.parametrize("module", ["runtime_py", "pqrnn"])
@pytest.mark.parametrize("arguments", [("inspect", "--json"), ("inspect",)])
def test_a_reader_that_has_gone_is_no_error(module: str, arguments: tuple[str, ...], hostile: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    verb, *options = arguments
    done = _run(module, verb, hostile, *options, stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("module", ["runtime_py", "pqrnn"])
def test_errors_that_nobody_reads_change_no_exit_code(module: str, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = _run(module, "inspect", tmp_path / "nowhere", stderr=writing)
    os.close(writing)
    assert (done.returncode, done.stdout) == (2, b"")


@pytest.mark.parametrize("module", ["runtime_py", "pqrnn"])
@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-16"])
def test_output_is_utf8_whatever_the_locale_says(module: str, encoding: str, tmp_path: Path) -> None:
    manifest = replace(fake_manifest(), name="réveil ไทย 😀")
    write_fake(tmp_path / "own.pqrnn", manifest)
    for options in ((), ("--json",)):
        environment = {**os.environ, "PYTHONIOENCODING": encoding, "LC_ALL": "C", "PYTHONUTF8": "0"}
        done = _run(module, "inspect", tmp_path / "own.pqrnn", *options, env=environment)
        assert done.returncode == 0, done.stderr
        assert "réveil ไทย 😀" in done.stdout.decode()


@pytest.mark.parametrize("module", ["runtime_py", "pqrnn"])
def test_help_may_be_cut_short(module: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = _run(module, "--help", stdout=writing)
    os.close(writing)
    assert done.returncode in (0, 141)
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr
