"""Which threads a process has, and which of them stay."""

from __future__ import annotations

import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path


def list_threads() -> dict[str, str]:
    """Return the names of this process's threads by their numbers."""
    threads = {}
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # it ended meanwhile
            threads[task.name] = (task / "comm").read_text().strip()
    return threads


def threads_that_stay(before: Collection[str], patience: float = 5.0) -> dict[str, str]:
    """Return the threads that are new since then and do not end within so many seconds.

    One that was waited for may be listed for some milliseconds more: the kernel wakes who waits for a thread before it
    takes the thread off this list.
    """
    end = time.monotonic() + patience
    while True:
        new = {number: name for number, name in list_threads().items() if number not in before}
        if not new or time.monotonic() > end:
            return new
        time.sleep(0.001)
