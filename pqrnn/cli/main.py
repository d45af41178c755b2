"""Running the command line: what becomes of signals, errors and streams that end.

It imports nothing heavy before its handlers stand, so that Ctrl-C is answered in the same way from the start.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING, TypeGuard

if TYPE_CHECKING:
    from runtime_py.errors import OutputError

GOOD, FAILED, WRONG = 0, 1, 2
NOBODY_READS = 141  # as a shell says of a program that SIGPIPE ended

_STOPS = ("SIGINT", "SIGTERM", "SIGHUP")

# What the machine refuses is no fault of ours; other errors of the system are, and keep their traceback.
_MACHINE = {
    errno.EACCES,
    errno.EEXIST,
    errno.EFBIG,
    errno.EIO,
    errno.EISDIR,
    errno.ELOOP,
    errno.EMFILE,
    errno.ENAMETOOLONG,
    errno.ENFILE,
    errno.ENOMEM,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.ENOTEMPTY,
    errno.EPERM,
    errno.EROFS,
    getattr(errno, "EDQUOT", errno.ENOSPC),
}
_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


class _StopError(KeyboardInterrupt):
    """A signal that stops the command line.

    Python kills itself by SIGINT at its end, whatever the exit code, where a plain `KeyboardInterrupt` has once passed
    code that was made from a string, as every data class is.
    """


def main() -> None:
    """Run the command line and leave.

    Exit codes: 0 good, 1 a check failed, 2 wrong use or an error that says what to do, 130 interrupted (Ctrl-C), 143
    told to end (SIGTERM), 129 the terminal is gone (SIGHUP), 141 nobody reads the output any more.
    """
    stops: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        stops.append(number)
        raise _StopError

    before = {}
    for name in _STOPS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            before[number] = signal.signal(number, stop)
    try:
        code = _run(stops)
    finally:
        # Who was told to stop and is told again while it leaves, goes at once and without a word.
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if stops else handler)
    sys.exit(code)


def _run(stops: list[int]) -> int:
    """Run the command line and return its exit code; `stops` are the signals that have come."""
    try:
        code = _start()
        if sys.stdout is not None:
            sys.stdout.flush()  # what cannot be written is noticed here, and not when nobody can say it any more
    except BaseException as error:
        if stops or isinstance(error, KeyboardInterrupt):  # an import that is broken off may fail in any way
            said = error.args if isinstance(error, KeyboardInterrupt) else ()
            _say(str(said[0]) if said else "interrupted")
            return 128 + (stops[0] if stops else signal.SIGINT)
        if isinstance(error, BrokenPipeError):
            _give_up_output()
            return NOBODY_READS
        if _is_of_output(error):
            from runtime_py.streams import output_exit_code

            return output_exit_code(error)
        if not isinstance(error, OSError) or not _is_of_the_machine(error):
            raise
        _say(f"error: {_describe(error)}")
        _give_up_output()
        return WRONG
    return code


def _is_of_output(error: BaseException) -> TypeGuard[OutputError]:
    """Say whether standard output cannot be written; what raises that has been imported, and nothing else need be."""
    module = sys.modules.get("runtime_py.errors")
    return module is not None and isinstance(error, module.OutputError)


def _start() -> int:
    from pqrnn.cli.shadowing import find_shadow

    shadow = find_shadow()
    if shadow:
        if sys.stderr is not None:  # nothing is imported to say so: it might be what stands in front
            sys.stderr.write(f"error: {shadow}\n")
        return WRONG
    from runtime_py.streams import open_streams

    open_streams()
    try:
        from pqrnn.cli.running import run

        return run()
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else FAILED if leaving.code else GOOD


def _is_of_the_machine(error: OSError) -> bool:
    return error.errno in _MACHINE or "usable temporary directory" in str(error)


def _describe(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    more = "; free space there (temporary files lie in $TMPDIR), and run it again" if error.errno in _FULL else ""
    return f"{where}{error.strerror or error}{more}"


def _say(text: str) -> None:
    """Print lines on standard error, if there are any and anybody reads them."""
    if not text:
        return
    from runtime_py.terminal import printable

    try:
        if sys.stderr is not None:
            sys.stderr.write(f"{printable(text, lines=True)}\n")
            sys.stderr.flush()
    except OSError:
        pass


def _give_up_output() -> None:
    """Let what is still to be printed vanish, so that the end of the process does not trip over it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            try:
                os.dup2(nowhere, stream.fileno())
            except (OSError, ValueError, AttributeError):
                continue
    os.close(nowhere)
