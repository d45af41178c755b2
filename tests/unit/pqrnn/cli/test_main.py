"""How the command line ends: by signals at any moment, on streams that are closed or full, and on what others wrote."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pqrnn.cli import app as application
from pqrnn.cli.main import main
from pqrnn.cli.output import print_json, say, show_table
from pqrnn.cli.training_bar import TrainingBar
from pqrnn.errors import DataError

# Lets a signal arrive when a module is about to be imported, or when a function of one is called.
_SIGNALLED = """
import signal, sys
from importlib import import_module
kind, name, number, *arguments = sys.argv[1:]
class Finder:
    def find_spec(self, module, path=None, target=None):
        if kind == "import" and module == name:
            signal.raise_signal(int(number))
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which is ignored, and so inherited, where tests run under nohup
sys.meta_path.insert(0, Finder())
if kind == "call":
    module, _, function = name.rpartition(".")
    setattr(import_module(module), function, lambda *_, **__: signal.raise_signal(int(number)))
sys.argv = ["pqrnn", *arguments]
from pqrnn.cli import main
main()
"""


def _signalled(kind: str, name: str, number: int, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _SIGNALLED, kind, name, str(number), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "number", "code"),
    [
        ("typer", 2, 130),
        ("pqrnn.cli.verbs", 15, 143),
        ("dataclasses", 15, 143),
        ("rich.table", 2, 130),
        ("numpy", 1, 129),
    ],
)
def test_a_stop_while_something_is_imported_says_one_line(module: str, number: int, code: int, tmp_path: Path) -> None:
    verb = ["train", "--data", "home:en", "--out", tmp_path / "run"] if module == "numpy" else ["targets"]
    done = _signalled("import", module, number, *verb)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "interrupted\n")


@pytest.mark.slow
def test_a_stop_of_a_run_says_whether_there_is_something_to_go_on_from(tmp_path: Path) -> None:
    arguments = ["train", "--data", "home:en", "--out", tmp_path / "run"]
    done = _signalled("call", "pqrnn.api.learning.load_data", 15, *arguments)
    assert done.returncode == 143
    assert done.stderr == "stopped before anything was learned: the same command begins again\n"
    (tmp_path / "run" / "state").mkdir(parents=True)
    (tmp_path / "run" / "state" / "training.safetensors").touch()
    done = _signalled("call", "pqrnn.api.learning.load_data", 2, *arguments)
    assert done.returncode == 130
    assert done.stderr == (
        f"stopped; what was learned is in {tmp_path / 'run'}: the same command goes on from there, with --finish it "
        "ends there\n"
    )


@pytest.mark.slow
def test_an_ignored_ctrl_c_stays_ignored() -> None:
    """As in a shell's background job."""
    code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + _SIGNALLED.replace(
        "signal.signal(signal.SIGINT, signal.default_int_handler)", ""
    )
    command = [sys.executable, "-c", code, "import", "rich.table", "2", "recipe", "list"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")


def _run(arguments: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pqrnn", *arguments]
    return subprocess.run(command, text=True, check=False, timeout=300, **options)


@pytest.mark.slow
@pytest.mark.parametrize("verb", [["targets"], ["recipe", "show", "build"], ["targets", "--json"]])
def test_a_pipe_that_nobody_reads_ends_it_without_a_word(verb: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = _run(verb, stdout=writing, stderr=subprocess.PIPE)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("verb", [["targets"], ["recipe", "show", "build"]])
def test_a_full_disk_is_one_line(verb: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = _run(verb, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "No space left on device" in done.stderr


@pytest.mark.slow
def test_labels_of_any_script_are_printed_whatever_the_locale_says(tmp_path: Path) -> None:
    grammar = tmp_path / "thai.toml"
    grammar.write_text('locale = "th"\n[intents]\non = ["เปิดไฟ"]\n', encoding="utf-8")
    done = _run(["data", "sample", str(grammar)], capture_output=True, env=os.environ | {"PYTHONIOENCODING": "latin-1"})
    assert done.returncode == 0 and "เปิดไฟ" in done.stdout


def _raising(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run the command line with a verb that fails in some way, and return the exit code."""

    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(sys, "argv", ["pqrnn", "recipe", "list"])
    monkeypatch.setattr(application.Verbs, "invoke", lambda self, context: _within_a_verb(fail))
    with pytest.raises(SystemExit) as end:
        main()
    return int(str(end.value.code))


def _within_a_verb(function: Any) -> None:
    with application._escaping():
        function()


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "/x/state"),
            2,
            "error: /x/state: No space left on device; free",
        ),
        (OSError(errno.EROFS, "Read-only file system", "/x"), 2, "error: /x: Read-only file system\n"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), 2, "error: /x: Permission denied\n"),
        (FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"), 2, "No usable temporary"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 141, ""),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (KeyboardInterrupt("stopped; it is in \x1b[2Jhere"), 130, "stopped; it is in \\x1b[2Jhere\n"),
        (KeyboardInterrupt(""), 130, ""),
        (DataError("row 3: label \x1b]0;title\x07 \x9b31m\u202e"), 2, "label \\x1b]0;title\\x07 \\x9b31m\\u202e\n"),
    ],
)
def test_every_end_has_its_code_and_its_line(
    error: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _raising(error, monkeypatch) == code
    printed = capsys.readouterr().err
    assert said in printed if said else printed == ""
    assert printed.count("\n") <= 1


def test_a_fault_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    for error in (KeyError("x"), FileNotFoundError(errno.ENOENT, "No such file or directory", "x")):
        with pytest.raises(type(error)):
            _raising(error, monkeypatch)


def test_what_others_wrote_is_shown_and_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    """In tables, lines, notes and documents; square brackets are no markup either."""
    evil = "[bold]a[/] \x1b[31mred\x9b2J \u202e[/nothing]"
    shown = "[bold]a[/] \\x1b[31mred\\x9b2J \\u202e[/nothing]"
    show_table(evil, ("label",), [(evil,)])
    say(evil)
    printed = capsys.readouterr().out
    assert printed.count(shown) == 3 and "\x1b" not in printed
    print_json({"label": evil})
    document = capsys.readouterr().out
    assert json.loads(document) == {"label": evil} and "\x9b" not in document and "\x1b" not in document
    bar = TrainingBar(quiet=False)
    bar.note(evil)
    assert capsys.readouterr().err == f"{shown}\n"
