"""Sessions over forks, as far as it needs no compiled code."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runtime_py.errors import ForkError, ParserClosedError
from runtime_py.execute import live_session
from runtime_py.execute.live_session import LiveSession

_ROOT = Path(__file__).parents[4]


@dataclass
class FakeSession:
    entries: tuple[Any, ...] = ("entry",)
    batches: tuple[Any, ...] = ()
    released: bool = False

    def release(self) -> None:
        self.released = True


def _opened(on_gpu: bool = False) -> tuple[LiveSession, list[FakeSession]]:
    opened: list[FakeSession] = []

    def open_session() -> Any:
        opened.append(FakeSession())
        return opened[-1]

    return LiveSession(open_session, on_gpu), opened


def test_a_fork_lets_the_session_go_and_the_next_call_opens_it_again() -> None:
    live, opened = _opened()
    assert live.entries == live.take() == ("entry",)
    live_session._before_fork()
    assert live.lock.locked()
    assert (live.entries, opened[0].released, len(opened)) == ((), True, 1)
    live_session._after_fork()
    assert not live.lock.locked()
    assert not live_session._fork_lock.locked()
    assert not live_session._opening_lock.locked()
    assert live.take() == live.entries == ("entry",)
    assert len(opened) == 2


def test_closing_is_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    live, opened = _opened()
    live.close()
    live.close()
    assert opened[0].released
    live_session._before_fork()
    live_session._after_fork()
    with pytest.raises(ParserClosedError, match="Load the package again"):
        live.take()


def test_what_is_dropped_is_released_in_order() -> None:
    live, opened = _opened()
    del live
    assert opened[0].released


def test_a_call_that_hangs_delays_a_fork_and_is_not_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_session, "PATIENCE", 0.01)
    live, opened = _opened()
    with live.lock:
        live_session._before_fork()
        assert not opened[0].released  # somebody uses it
        live_session._after_fork()
        assert live.lock.locked()
        live._arrive(held=False)  # in the child
    assert not live.lock.locked()
    assert live.take() == ("entry",)
    assert len(opened) == 2
    assert not opened[0].released


def test_daemon_threads_end_without_a_word_while_python_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    live, _ = _opened()
    live._end()
    monkeypatch.setattr(live_session, "_ended", True)
    ended: list[type[BaseException]] = []

    def work() -> None:
        for call in (live.take, _opened):
            try:
                call()
            except BaseException as error:
                ended.append(type(error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert ended == [SystemExit, SystemExit]
    with pytest.raises(ParserClosedError):  # the main thread may be in an exit handler
        live.take()
    assert _opened()[0].entries == ("entry",)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_is_told_that_it_has_no_gpu() -> None:
    code = f"""
import os, sys
sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(_ROOT)!r}]
from test_live_session import ForkError, _opened
live, opened = _opened(on_gpu=True)
child = os.fork()
if child == 0:
    try:
        live.take()
    except ForkError as error:
        assert "Load the package in the forked process" in str(error)
        assert len(opened) == 1
        sys.exit(7)
    sys.exit(8)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert live.take() == ("entry",)  # the parent goes on
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert issubclass(ForkError, Exception)
