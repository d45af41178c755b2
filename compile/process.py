"""Running a tool: no shell, bounded time, nothing left running."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Finished:
    """How a tool ended.

    Attributes:
        code: Exit status; negative for the signal that killed it.
        output: Its standard output.
        diagnostics: Its standard error.
        seconds: Wall time.
        timed_out: Whether it was killed because its time was up.
    """

    code: int
    output: str
    diagnostics: str
    seconds: float
    timed_out: bool

    @property
    def ending(self) -> str:
        """The way it ended, in words."""
        if self.timed_out:
            return f"was stopped after {self.seconds:.0f} s"
        if self.code < 0:
            name = signal.Signals(-self.code).name if -self.code in signal.valid_signals() else str(-self.code)
            return f"crashed ({name})"
        return f"ended with status {self.code}"


def run_tool(
    command: Sequence[str | Path], timeout: float, stdin: str = "", folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> Finished:
    """Run a tool to its end, or kill it.

    It gets a process group of its own: when its time is up, or when this process is interrupted, the tool and everything that it started is killed
    before this function returns or raises.

    Args:
        command: Program and arguments.
        timeout: Seconds.
        stdin: Text for its standard input.
        folder: Working directory; this process's own by default.
        environment: Variables to set beside those of this process.

    Raises:
        OSError: The program cannot be started.
    """
    begin = time.perf_counter()
    process = subprocess.Popen(
        [os.fspath(part) for part in command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env={**os.environ, **(environment or {})},
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
    return Finished(process.returncode, output, diagnostics, time.perf_counter() - begin, timed_out)


def _kill(process: subprocess.Popen[str]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.kill()
