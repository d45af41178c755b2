"""Threads that poll while nothing is asked of them: they give way to all others.

The runtime's queues of a Vulkan device wait for either of two semaphores. Mesa's drivers in software have no such wait
of their own and ask for the time again and again (`vk_sync_wait_many`), with two threads, from the moment that the
device is opened. On a processor of two cores that leaves half of it for the thread that does the work.
"""

import os
import time
from contextlib import suppress
from pathlib import Path

_TASKS = Path("/proc/self/task")
_PAUSE = 0.02  # seconds in which a thread that waits takes no time at all
_TAKEN = 1_000_000  # nanoseconds of it that a polling thread takes on the busiest machine
_NICENESS = 10


def list_threads() -> frozenset[int]:
    """Return the numbers of the threads of this process; none where the system does not show them."""
    with suppress(OSError):
        return frozenset(int(path.name) for path in _TASKS.iterdir())
    return frozenset()


def let_pollers_give_way(before: frozenset[int]) -> frozenset[int]:
    """Lower the priority of the threads that have begun since, and work although nothing is asked of them.

    Args:
        before: Threads that are left as they are (`list_threads`).

    Returns:
        The threads that now give way.
    """
    begun = list_threads() - before
    start = {thread: _time_taken(thread) for thread in begun}
    time.sleep(_PAUSE)
    pollers = frozenset(thread for thread in begun if _time_taken(thread) - start[thread] > _TAKEN)
    for thread in pollers:
        with suppress(OSError):  # it has ended meanwhile
            os.setpriority(os.PRIO_PROCESS, thread, _NICENESS)
    return pollers


def _time_taken(thread: int) -> int:
    """Return the processor time of a thread in nanoseconds; 0 where it is not told."""
    with suppress(OSError, ValueError, IndexError):
        return int((_TASKS / str(thread) / "schedstat").read_text().split()[0])
    return 0
