"""Running tools: their output, their time, and that nothing survives them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path

import pytest

from compile.support.process import Finished, StoppedError, run_tool, tool_group

# A tool that starts another one, tells both numbers, and never ends.
STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with open(sys.argv[1] + ".partial", "w") as file:
    file.write(f"{os.getpid()} {child.pid}")
os.rename(sys.argv[1] + ".partial", sys.argv[1])
time.sleep(600)
"""


def alive(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    # A dead process that nobody has waited for still has its number.
    return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def wait_until_gone(numbers: list[int]) -> list[int]:
    for _ in range(1200):
        if not any(alive(number) for number in numbers):
            return []
        time.sleep(0.05)
    return [number for number in numbers if alive(number)]


def test_output_and_status() -> None:
    code = "import sys; print(sys.stdin.read().upper()); print('no', file=sys.stderr); sys.exit(3)"
    finished = run_tool([sys.executable, "-c", code], 30, stdin="hello")
    assert (finished.code, finished.output, finished.diagnostics, finished.timed_out) == (3, "HELLO\n", "no\n", False)
    assert finished.ending == "ended with status 3"
    assert finished.seconds > 0


def test_arguments_do_not_pass_a_shell(tmp_path: Path) -> None:
    finished = run_tool(
        [sys.executable, "-c", "import sys; print(sys.argv[1])", "$(touch x); `touch y` *"], 30, folder=tmp_path
    )
    assert finished.output == "$(touch x); `touch y` *\n"
    assert not list(tmp_path.iterdir())


def test_a_crash_is_named() -> None:
    finished = run_tool([sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"], 30)
    assert finished.ending == "crashed (SIGSEGV)"
    assert Finished(-99, "", "", 0.0, False).ending == "crashed (99)"


def test_output_that_is_no_text_is_kept() -> None:
    finished = run_tool([sys.executable, "-c", "import sys; sys.stderr.buffer.write(b'a\\xffb')"], 30)
    assert finished.diagnostics == "a\ufffdb"


def test_time_up_kills_the_tool_and_its_children(tmp_path: Path) -> None:
    note = tmp_path / "pids"
    for seconds in (3, 30, 300):  # as long as the tool needs on a busy machine to start its own
        finished = run_tool([sys.executable, "-c", STUBBORN, note], seconds)
        assert finished.timed_out
        if note.exists():
            break
    assert finished.ending.startswith("was stopped after ")
    numbers = [int(word) for word in note.read_text().split()]
    assert wait_until_gone(numbers) == []


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="process groups are of POSIX")
def test_interrupt_kills_the_tool_and_its_children(tmp_path: Path) -> None:
    note = tmp_path / "pids"
    caller = (
        "import sys; from compile.support.process import run_tool\n"
        f"run_tool([sys.executable, '-c', {STUBBORN!r}, {str(note)!r}], 600)"
    )
    process = subprocess.Popen([sys.executable, "-c", caller], stderr=subprocess.PIPE, text=True)
    while not note.exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate(timeout=300)[1]
    assert wait_until_gone([int(word) for word in note.read_text().split()]) == []


def test_a_group_stops_the_tools_of_all_its_threads_and_starts_no_other(tmp_path: Path) -> None:
    notes = [tmp_path / "first", tmp_path / "second"]
    with tool_group() as group, ThreadPoolExecutor(2) as pool:
        running = [
            pool.submit(copy_context().run, run_tool, [sys.executable, "-c", STUBBORN, note], 600.0) for note in notes
        ]
        while not all(note.exists() for note in notes):
            assert not any(one.done() for one in running)
            time.sleep(0.05)
        group.stop()
        assert [one.result().ending for one in running] == ["crashed (SIGKILL)"] * 2
        with pytest.raises(StoppedError):
            run_tool([sys.executable, "-c", ""], 30)
    assert wait_until_gone([int(word) for note in notes for word in note.read_text().split()]) == []
    assert run_tool([sys.executable, "-c", ""], 30).code == 0  # out of the group, tools run again


def test_variables_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PQRNN_KEPT", "kept")
    code = "import os; print(os.environ['PQRNN_KEPT'], os.environ['PQRNN_NEW'])"
    assert run_tool([sys.executable, "-c", code], 30, environment={"PQRNN_NEW": "new"}).output == "kept new\n"
