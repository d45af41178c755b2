"""Sessions that calls take turns on, up to the end of the process and through forks.

Both may come while other threads are within a call, which the runtime does not survive: a thread that returns from
compiled code after Python has ended aborts the process, and in a forked child nobody finishes the call or gives the
lock back. So both wait until no call is under way. A fork leaves behind the threads that every device of the runtime
has, and a child that lets such a device go waits for them for ever; so sessions and devices are let go before a fork,
and the next call in either process opens the session again.
"""

import atexit
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from runtime_py.errors import ForkError, ParserClosedError
from runtime_py.execute.entry import EntryFunction
from runtime_py.execute.session import Session, forget_device

# Seconds that an exit or a fork waits for a call. Calls take milliseconds: one that takes longer hangs.
PATIENCE = 10.0
_STEP = 0.01

_GPU_LOST = (
    "the parser was on a GPU when this process was forked, and a driver does not survive that. Load the package in the "
    "forked process, or start processes with multiprocessing's 'spawn'."
)


class LiveSession:
    """A session, with the lock of its calls.

    Attributes:
        lock: Lock to be held while the session's functions, or what they returned, are used. A fork replaces it in the
            child.
        entries: Functions for one text; empty where `take` has to be asked.
        batches: Functions for several texts, if the package has them.
        closed: Whether the session was closed.
        caller: Thread that has the lock, or had it last. A signal may interrupt a call, and its handler fork or close.
    """

    __slots__ = (
        "__weakref__",
        "_lost",
        "_on_gpu",
        "_open",
        "_session",
        "batches",
        "caller",
        "closed",
        "entries",
        "lock",
    )

    def __init__(self, open_session: Callable[[], Session], on_gpu: bool = False) -> None:
        """Open the session.

        Args:
            open_session: Opens the session.
            on_gpu: Whether it runs on a GPU, which a forked child cannot use.
        """
        self._session: Session | None = None
        self.lock = threading.Lock()
        self.closed = False
        self.caller = 0
        self._open, self._on_gpu, self._lost = open_session, on_gpu, False
        self.entries: tuple[EntryFunction, ...] = ()
        self.batches: tuple[EntryFunction, ...] = ()
        self.take()
        _LIVE[id(self)] = self

    def take(self) -> tuple[EntryFunction, ...]:
        """Return the functions for one text, and open the session again if a fork closed it.

        The lock has to be held.

        Raises:
            ParserClosedError: The session was closed.
            ForkError: The session cannot be used in this process, which was forked from the one that opened it.
            DeviceError: The session cannot be opened again.
        """
        self.caller = threading.get_ident()
        if self.closed:
            _end_daemon()
            raise ParserClosedError("the parser is closed. Load the package again.")
        if self._lost:
            raise ForkError(_GPU_LOST)
        if not self.entries:
            with _opening():
                self._session = self._open()
            self.entries, self.batches = self._session.entries, self._session.batches
        return self.entries

    def close(self) -> None:
        """Let the session go after the call that is under way; closing twice is fine."""
        held = self._acquire()
        self.closed = True
        if held:
            self._let_go()
            self.lock.release()
        else:  # this very thread was interrupted within a call, which goes on with what it has
            self.entries = self.batches = ()

    def _acquire(self, patience: float = float("inf")) -> bool:
        """Wait for the lock; return False where this thread has it already, or the time is up."""
        end = time.monotonic() + patience
        while not self.lock.acquire(timeout=_STEP):
            if self.caller == threading.get_ident() or time.monotonic() > end:
                return False
        return True

    def __del__(self) -> None:
        """Let go in order what nobody closed."""
        self._let_go()

    def _let_go(self) -> None:
        self.entries = self.batches = ()
        session, self._session = self._session, None
        if session is not None:
            session.release()

    def _end(self) -> None:
        """Close at the end of the process, also where a call hangs."""
        held = self._acquire(PATIENCE)
        self.closed = True
        self._let_go()
        if held:
            self.lock.release()

    def _hold(self) -> bool:
        """Wait for the call that is under way, and prepare for a fork; return whether the lock is held now."""
        if not self._acquire(PATIENCE):
            return False
        self._let_go()
        return True

    def _arrive(self, held: bool) -> None:
        """Become usable in a forked child."""
        self.lock = threading.Lock()
        self._lost = self._on_gpu
        if not held:  # a call was under way, which nobody will end, or which this thread goes on with
            _keep_for_ever(self._session)
            self._session, self.entries, self.batches = None, (), ()


_LIVE: "weakref.WeakValueDictionary[int, LiveSession]" = weakref.WeakValueDictionary()
_opening_lock = threading.Lock()  # whoever opens a session holds locks of the runtime, too
_fork_lock = threading.Lock()
_held: list[LiveSession] = []  # this and the next: by the thread that has the lock of forks
_held_locks: list[threading.Lock] = []
_ended = False


@contextmanager
def _opening() -> Iterator[None]:
    with _opening_lock:
        _end_daemon()
        yield


def _end_daemon() -> None:
    """End a thread that still works while Python ends; the main thread may be in an exit handler that wants an error.

    Python shows no traceback for it.
    """
    if _ended and threading.current_thread() is not threading.main_thread():
        raise SystemExit


def _keep_for_ever(session: Session | None) -> None:
    """Never let a session go: its device would wait for threads that this process does not have."""
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))


def _live_sessions() -> list[LiveSession]:
    # The references are copied in one step: other threads open sessions meanwhile.
    return [live for reference in _LIVE.valuerefs() if (live := reference()) is not None]


@atexit.register
def _close_all() -> None:
    global _ended
    _ended = True
    # Those that other threads are opening now are closed, too.
    opened = _opening_lock.acquire(timeout=PATIENCE)
    if opened:
        _opening_lock.release()
    for live in _live_sessions():
        live._end()
    gpu_entry = sys.modules.get("runtime_py.execute.gpu_entry")
    if gpu_entry is not None:  # loaded for a GPU
        gpu_entry.release_all()
    forget_device()


def _before_fork() -> None:
    _fork_lock.acquire()
    tried: set[int] = set()
    _hold_all(tried)
    if _opening_lock.acquire(timeout=PATIENCE):
        _held_locks.append(_opening_lock)
    _hold_all(tried)  # those that were opened meanwhile
    forget_device()


def _hold_all(tried: set[int]) -> None:
    for live in _live_sessions():
        if id(live) not in tried:
            tried.add(id(live))
            if live._hold():
                _held.append(live)


def _after_fork() -> None:
    for lock in (*_held_locks, *(live.lock for live in _held)):
        lock.release()
    _held.clear()
    _held_locks.clear()
    _fork_lock.release()


def _after_fork_in_child() -> None:
    global _opening_lock, _fork_lock
    held = set(map(id, _held))
    for live in _live_sessions():
        live._arrive(id(live) in held)
    _held.clear()
    _held_locks.clear()
    _opening_lock, _fork_lock = threading.Lock(), threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)
