"""Running tools without a shell, for a limited time, and leaving none running."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Finished:
    """How a tool ended.

    Attributes:
        code: Exit status; negative for the signal that killed the tool.
        output: Standard output.
        diagnostics: Standard error.
        seconds: Wall time.
        timed_out: Whether the tool was killed because its time was up.
    """

    code: int
    output: str
    diagnostics: str
    seconds: float
    timed_out: bool

    @property
    def ending(self) -> str:
        """How the tool ended, in words."""
        if self.timed_out:
            return f"was stopped after {self.seconds:.0f} s"
        if self.code < 0:
            name = signal.Signals(-self.code).name if -self.code in signal.valid_signals() else str(-self.code)
            return f"crashed ({name})"
        return f"ended with status {self.code}"


class StoppedError(Exception):
    """The tools of this group were stopped, so no other tool is started."""


class ToolGroup:
    """The tools that several threads run for one purpose, so that whoever waits for the threads can stop them all."""

    def __init__(self) -> None:
        """Start with no tool."""
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped = False

    def start(self, command: Sequence[str], **options: Any) -> subprocess.Popen[str]:
        """Start a tool.

        Raises:
            StoppedError: The group was stopped.
        """
        with self._lock:
            if self._stopped:
                raise StoppedError
            process = subprocess.Popen(command, **options)
            self._running.add(process)
            return process

    def forget(self, process: subprocess.Popen[str]) -> None:
        """Remove a tool that has ended."""
        with self._lock:
            self._running.discard(process)

    def stop(self) -> None:
        """Kill every tool that is running, and start no other."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                _kill(process)


_GROUP: ContextVar[ToolGroup | None] = ContextVar("tool_group", default=None)


@contextmanager
def tool_group() -> Iterator[ToolGroup]:
    """Give a group for the tools that `run_tool` starts in this context, also in threads that run in a copy of it.

    When the block ends, no tool of the group is running.
    """
    group = ToolGroup()
    token = _GROUP.set(group)
    try:
        yield group
    finally:
        _GROUP.reset(token)
        group.stop()


def run_tool(
    command: Sequence[str | Path],
    timeout: float,
    stdin: str = "",
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Finished:
    """Run a tool to its end, or kill it.

    The tool gets a process group of its own: when its time is up, or when this process is interrupted, the tool and
    everything that it started are killed before this function returns or raises.

    Args:
        command: Program and arguments.
        timeout: Seconds that the tool may take.
        stdin: Text for the tool's standard input.
        folder: Working directory; by default that of this process.
        environment: Variables to set, besides those of this process.

    Raises:
        OSError: The program cannot be started.
        StoppedError: The group of the tool (`tool_group`) was stopped.
    """
    begin = time.perf_counter()
    group = _GROUP.get() or ToolGroup()
    process = group.start(
        [os.fspath(part) for part in command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env=None if environment is None else os.environ | dict(environment),
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    timed_out = False
    try:
        output, diagnostics = process.communicate(stdin, timeout)
    except subprocess.TimeoutExpired:
        timed_out = True
        _kill(process)
        output, diagnostics = process.communicate()
    except BaseException:
        _kill(process)
        process.communicate()
        raise
    finally:
        group.forget(process)
    return Finished(process.returncode, output, diagnostics, time.perf_counter() - begin, timed_out)


def _kill(process: subprocess.Popen[str]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.kill()
