"""Standard streams of the command lines: what they read and write, and what is said when one of them fails."""

import io
import sys
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from runtime_py.errors import InputError, OutputError
from runtime_py.terminal import printable

# As a shell counts a program that SIGPIPE ended: whoever read the output has gone, which is no error.
BROKEN_PIPE = 141
_LONGEST_LINE = 16 << 20
_LOOKED_AT = 64  # bytes


def texts_to_parse(arguments: Sequence[str] | None) -> Iterator[tuple[str, bytes]]:
    """Yield the texts of a command line as bytes, each with what an error message calls it.

    Where it has none, and for ``-``, they are the lines of standard input, which need not be valid UTF-8. A byte order
    mark at their beginning is left out.

    Raises:
        InputError: Standard input is closed, cannot be read, is UTF-16 or UTF-32, or has a line of more than 16 MiB.
    """
    for number, text in enumerate(arguments or ["-"], 1):
        if text == "-":
            yield from ((f"line {line}", content) for line, content in enumerate(_read_lines(), 1))
        else:
            yield f"text {number}", text.encode("utf-8", "surrogateescape")


def _read_lines() -> Iterator[bytes]:
    stream: BinaryIO | None = getattr(sys.stdin, "buffer", None)
    if stream is None:
        raise InputError("standard input is closed. Give the texts as arguments.")
    number = 0
    while True:
        number += 1
        try:
            line = stream.readline(_LONGEST_LINE + 1)
        except OSError as error:
            raise InputError(f"standard input cannot be read ({error.strerror or error}).") from error
        if not line:
            return
        if number == 1:
            _check_encoding(line)
            line = line.removeprefix(b"\xef\xbb\xbf")
        if len(line) > _LONGEST_LINE:
            raise InputError(
                f"line {number} of standard input has more than {_LONGEST_LINE >> 20} MiB. Expected a text a line."
            )
        yield line.rstrip(b"\r\n")


def _check_encoding(line: bytes) -> None:
    """Refuse UTF-16 and UTF-32: by the byte order mark, or since every second byte of Latin letters is zero."""
    head = line[:_LOOKED_AT]
    zeros = [head[start::2].count(0) / max(1, len(head[start::2])) for start in (0, 1)]
    marks = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")
    if head.startswith(marks) or (len(head) >= 8 and max(zeros) > 0.8 and min(zeros) < 0.6):
        raise InputError("standard input is UTF-16 or UTF-32. Convert it to UTF-8, as with: iconv -f UTF-16 -t UTF-8")


class _Raw(io.FileIO):
    """A standard stream that fails once, with an error of ours, and swallows what is written after that.

    Python writes what is left when it ends, and would report the same failure again.
    """

    failed = False

    def __init__(self, descriptor: int, quiet: bool) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self._quiet = quiet

    def write(self, data: Any) -> int:
        if not self.failed:
            try:
                return super().write(data) or 0
            except OSError as error:
                self.failed = True
                if not self._quiet:
                    raise OutputError(error) from error
        return len(data)


def open_streams() -> None:
    """Let standard output and standard error write UTF-8, and fail with errors of ours.

    Texts and labels are of any script, whatever the locale says. Where standard error fails there is nobody to tell,
    and nothing is said. Streams that a program has put in their place stay.
    """
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and _descriptor(stream) == descriptor:
            if isinstance(getattr(stream.buffer, "raw", None), _Raw):
                continue
            stream.flush()
            raw = _Raw(descriptor, quiet=name == "stderr")
            terminal = raw.isatty()
            own = io.TextIOWrapper(
                io.BufferedWriter(raw),
                encoding="utf-8",
                errors="backslashreplace",
                line_buffering=terminal or name == "stderr",
                write_through=name == "stderr",
            )
            setattr(sys, name, own)
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def _descriptor(stream: io.TextIOWrapper) -> int:
    try:
        return stream.fileno()
    except (OSError, ValueError):
        return -1


def write_line(text: str) -> None:
    """Write a line to standard output at once, since who feeds lines through a pipe waits for each answer.

    Raises:
        OutputError: It cannot be written.
    """
    if sys.stdout is None:
        raise OutputError(OSError("it is closed"))
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def complain(text: str) -> None:
    """Write a line to standard error, if there is one."""
    if sys.stderr is not None:
        sys.stderr.write(printable(text, lines=True) + "\n")
        sys.stderr.flush()


def flush_output() -> None:
    """Write what is left, before the exit code is chosen.

    Raises:
        OutputError: It cannot be written.
    """
    if sys.stdout is not None:
        sys.stdout.flush()


def output_exit_code(error: OutputError) -> int:
    """Return the exit code after standard output failed, and say why where it is an error."""
    if error.broken_pipe:
        return BROKEN_PIPE
    complain(f"error: {error}")
    return 2
