"""Threads that work although nothing is asked of them give way; those that wait, and those of before, do not."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from runtime_py.device.polling import let_pollers_give_way, list_threads

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="threads have priorities on Linux alone")


@contextmanager
def _threads(stop: threading.Event) -> Iterator[tuple[int, int]]:
    """Start a thread that polls and one that waits; return their numbers."""
    numbers: dict[str, int] = {}
    begun = threading.Barrier(3)

    def poll() -> None:
        numbers["polls"] = threading.get_native_id()
        begun.wait()
        while not stop.is_set():
            pass

    def wait() -> None:
        numbers["waits"] = threading.get_native_id()
        begun.wait()
        stop.wait()

    threads = [threading.Thread(target=target) for target in (poll, wait)]
    for thread in threads:
        thread.start()
    begun.wait()
    try:
        yield numbers["polls"], numbers["waits"]
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _niceness(thread: int) -> int:
    return os.getpriority(os.PRIO_PROCESS, thread)


def test_only_what_polls_gives_way() -> None:
    before, own = list_threads(), _niceness(threading.get_native_id())
    with _threads(threading.Event()) as (polls, waits):
        found: frozenset[int] = frozenset()
        while polls not in found:  # on a busy machine a thread may get no time at all for a while
            found |= let_pollers_give_way(before)
        assert found == {polls}
        assert _niceness(polls) > own
        assert _niceness(waits) == own
    assert _niceness(threading.get_native_id()) == own


def test_threads_of_before_are_left_as_they_are() -> None:
    with _threads(threading.Event()) as (polls, _):
        own = _niceness(polls)
        assert polls not in let_pollers_give_way(list_threads())
        assert _niceness(polls) == own


def test_a_system_that_shows_no_threads_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    from runtime_py.device import polling

    monkeypatch.setattr(polling, "_TASKS", polling._TASKS / "nowhere")
    assert list_threads() == frozenset()
    assert let_pollers_give_way(frozenset()) == frozenset()
