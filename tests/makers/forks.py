"""New processes that need not import PyTorch and the compiler again: they are forked from one that has.

That one is Python's fork server: a single-threaded process that this process starts when it first needs it. What it
has imported is `makers.preloaded`; everything else of a child (arguments, environment, folder, standard streams) is as
if it had been started anew.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing import forkserver, get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from subprocess import CompletedProcess

_TESTS = Path(__file__).parents[1]


@dataclass(frozen=True)
class Fork:
    """A process that runs, and the files of its standard streams."""

    arguments: tuple[str, ...]
    process: ForkServerProcess
    folder: tempfile.TemporaryDirectory[str]

    def wait(self, seconds: float = 500) -> CompletedProcess[bytes]:
        """Wait for the end; a process that takes longer than these seconds is killed."""
        self.process.join(seconds)
        late = self.process.is_alive()
        if late:
            self.process.kill()
            self.process.join()
        out, err = ((Path(self.folder.name) / name).read_bytes() for name in ("out", "err"))
        self.folder.cleanup()
        assert not late, f"{self.arguments} took more than {seconds} s: {err.decode(errors='replace')}"
        assert self.process.exitcode is not None
        return CompletedProcess(self.arguments, self.process.exitcode, out, err)


def start_fork(
    function: Callable[..., object],
    *arguments: str | Path,
    stdin: bytes = b"",
    environment: Mapping[str, str] | None = None,
) -> Fork:
    """Start a process that calls a function of a module with these strings.

    Its environment is this process's, and these variables.
    """
    _start_server()
    folder = tempfile.TemporaryDirectory(prefix="pqrnn-fork-")
    for name, content in (("in", stdin), ("out", b""), ("err", b"")):
        (Path(folder.name) / name).write_bytes(content)
    strings = tuple(map(str, arguments))
    variables = {**os.environ, **(environment or {})}
    process = get_context("forkserver").Process(
        target=_call, args=(function, strings, folder.name, variables, os.getcwd())
    )
    process.start()
    return Fork(strings, process, folder)


def run_pqrnn(
    *arguments: str | Path, stdin: bytes = b"", environment: Mapping[str, str] | None = None
) -> CompletedProcess[str]:
    """Run the command line as `python -m pqrnn` does."""
    done = start_fork(command_line, *arguments, stdin=stdin, environment=environment).wait()
    return CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def command_line(*arguments: str) -> None:
    """Be the command line."""
    from pqrnn.cli.main import main

    sys.argv = ["pqrnn", *arguments]
    main()


def _start_server() -> None:
    """Let the server import what takes long before it forks; it finds modules by the environment only."""
    path = [str(_TESTS), str(_TESTS.parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    try:
        forkserver.set_forkserver_preload(["makers.preloaded"])
        forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def _call(
    function: Callable[..., object], arguments: tuple[str, ...], folder: str, variables: dict[str, str], cwd: str
) -> None:
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(cwd)
    for number, (name, flags) in enumerate((("in", os.O_RDONLY), ("out", os.O_WRONLY), ("err", os.O_WRONLY))):
        descriptor = os.open(Path(folder) / name, flags)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - as long as the process lives
    function(*arguments)
