"""Reading hostile files in processes of their own, and judging what became of it.

A reader is a verb of a command line, or a function of the Python API. Each runs in a process that is forked from this
one, which has imported everything, and in which the peak of memory and the time of the processor are measured from the
fork on. It has refused what it read where it ended with exit code 2 and an error of one line, the last on standard
error, showed nothing that a terminal would obey, and took `SECONDS` of the processor's time and at most twice the size
of what it was given and `GRACE` bytes more (of code that is loaded, and of the runtime's own).
"""

from __future__ import annotations

import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from benchmarks.hostile.kinds import PACKAGE, READERS, REFERENCE, RUN, Kind
from benchmarks.hostile.subjects import DATA
from runtime_py.terminal import printable

SECONDS = 1.0
GRACE = 24 << 20
_HANG = 25.0  # seconds after which a reader counts as hung
_LIMIT = 3 << 30  # bytes of address space beyond those of this process
_LARGEST_FILE = 64 << 20

REFUSED, READ, REPORTED, THROUGH = "refused", "read", "reported", "got through"


class Outcome(NamedTuple):
    """What a reader did.

    Attributes:
        code: Its exit code, or minus the signal that ended it.
        said: What it wrote on standard error.
        shown: What it wrote on standard output.
        seconds: Time of the processor.
        memory: Growth of its memory in bytes, at its peak.
        hung: Whether it had to be killed.
    """

    code: int
    said: str
    shown: str
    seconds: float
    memory: int
    hung: bool = False


class Verdict(NamedTuple):
    """What became of a kind in a reader.

    Attributes:
        kind: The kind.
        reader: The reader.
        verdict: `REFUSED`, `READ`, `REPORTED` or `THROUGH`.
        why: What is wrong where it got through; else what was said.
    """

    kind: Kind
    reader: str
    verdict: str
    why: str


def _cli(*arguments: str) -> Callable[[Path], object]:
    def run(folder: Path) -> None:
        from pqrnn.cli.main import main

        sys.argv = ["pqrnn", *arguments]
        os.chdir(folder)
        main()

    return run


def _board(*arguments: str) -> Callable[[Path], object]:
    def run(folder: Path) -> None:
        from runtime_py.cli import main

        os.chdir(folder)
        sys.exit(main(arguments))

    return run


def _call(error: str, function: Callable[[Path], object]) -> Callable[[Path], object]:
    """Call a function of the Python API, which has to raise an error of that name or of a class below it."""

    def run(folder: Path) -> None:
        try:
            function(folder)
        except Exception as raised:
            if not any(kind.__name__ == error for kind in type(raised).__mro__):
                raise
            sys.stderr.write(f"error: {raised}\n")
            sys.exit(2)

    return run


def _load(folder: Path) -> None:
    from runtime_py.parser import Parser

    with Parser.load(folder / PACKAGE) as parser:
        parser("wake me at seven")


def _golden(folder: Path) -> None:
    from runtime_py.package_format.package import open_package

    open_package(folder / PACKAGE).golden()


def _decisions(folder: Path) -> None:
    from runtime_py.package_format.package import open_package

    open_package(folder / PACKAGE).decisions()


def _reference(folder: Path) -> None:
    from runtime_py.parity.reference_file import load_reference

    load_reference(folder / REFERENCE)


def _checkpoint(folder: Path) -> None:
    from pqrnn.checkpoint import load_checkpoint

    load_checkpoint(folder / RUN)


VERBS: dict[str, Callable[[Path], object]] = {
    "inspect": _cli("inspect", PACKAGE),
    "inspect --json": _cli("inspect", PACKAGE, "--json"),
    "parse": _cli("parse", PACKAGE, "wake me at seven"),
    "parse --json": _cli("parse", PACKAGE, "wake me at seven", "--json"),
    "bench": _cli("bench", PACKAGE, "--seconds", "0.1"),
    "check": _cli("check", PACKAGE),
    "report": _cli("report", PACKAGE, "--out", "report.html", "--seconds", "0"),
    "deploy": _cli("deploy", PACKAGE, "-t", "generic", "--out", "deployed"),
    "board inspect": _board("inspect", PACKAGE),
    "board parse": _board("parse", PACKAGE, "wake me at seven"),
    "board check": _board("check", PACKAGE),
    "Parser.load": _call("ParserError", _load),
    "golden vectors": _call("PackageError", _golden),
    "golden decisions": _call("PackageError", _decisions),
    "check --reference": _cli("check", PACKAGE, "--reference", REFERENCE),
    "board check --reference": _board("check", PACKAGE, "--reference", REFERENCE),
    "load_reference": _call("ReferenceFileError", _reference),
    "load_checkpoint": _call("CheckpointError", _checkpoint),
    "evaluate": _cli("evaluate", RUN, "--data", DATA, "--split", "all"),
    "average": _cli("average", RUN, RUN, "--data", DATA, "--dev", DATA, "--out", "averaged"),
    "compile": _cli("compile", RUN, "--out", "compiled.pqrnn", "-t", "host"),
}
"""The readers, by name; each is given the folder of a subject."""

SLOW_VERBS = frozenset(
    name for name in VERBS if name.split()[0] in ("inspect", "parse", "bench", "check", "report", "deploy")
) | {"evaluate", "average", "compile"}
"""Verbs of the large command line, whose start takes a quarter of a second."""


def import_everything() -> None:
    """Import what the readers need, so that it counts neither as their time nor as their memory."""
    import gc
    import importlib
    import pkgutil

    import compile as compiling
    import pqrnn
    import runtime_py

    for package in (runtime_py, pqrnn, compiling):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    import matplotlib.pyplot  # noqa: F401  (of reports)
    import torch

    torch.set_num_threads(1)
    gc.collect()
    gc.freeze()  # no collection in a child copies what it shares with this process


def run_reader(reader: Callable[[Path], object], folder: Path, scratch: Path) -> Outcome:
    """Run a reader in a process of its own; `scratch` is a folder for what it says."""
    files = [scratch / name for name in ("in", "out", "err")]
    for file in files:
        file.write_bytes(b"")
    sys.stdout.flush()
    sys.stderr.flush()
    ended, tells = os.pipe()
    child = os.fork()
    if child == 0:
        _be_reader(reader, folder, files, tells)
    os.close(tells)
    late = not select.select([ended], [], [], _HANG)[0]
    if late:
        os.kill(child, signal.SIGKILL)
    told = os.read(ended, 100).split()
    os.close(ended)
    _, status = os.waitpid(child, 0)
    shown, said = (file.read_bytes().decode("utf-8", "surrogateescape") for file in files[1:])
    seconds, memory = (float(told[0]), int(told[1])) if len(told) == 2 else (0.0, 0)
    return Outcome(os.waitstatus_to_exitcode(status), said, shown, seconds, memory, late)


def _be_reader(reader: Callable[[Path], object], folder: Path, files: list[Path], tells: int) -> None:
    code = 70
    try:
        os.setsid()  # without a terminal
        for number, flags in enumerate((os.O_RDONLY, os.O_WRONLY, os.O_WRONLY)):
            os.dup2(os.open(files[number], flags), number)
        sys.stdin, sys.stdout, sys.stderr = (
            open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115 - as long as the process lives
            for number, mode in enumerate("rww")
        )
        used = int(Path("/proc/self/statm").read_bytes().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + _LIMIT, used + _LIMIT))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins here
        before, start = _peak(), time.process_time()
        try:
            reader(folder)
            code = 0
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else 1 if leaving.code else 0
        except BaseException:
            traceback.print_exc()
        spent = time.process_time() - start
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(tells, f"{spent:.3f} {_peak() - before}".encode())
    finally:
        os._exit(code)


def _peak() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) << 10


def judge(kind: Kind, reader: str, outcome: Outcome, size: int) -> Verdict:
    """Judge what a reader did with a kind; `size` is the number of bytes that it was given."""
    lines = outcome.said.strip("\n").split("\n")
    must_refuse = reader in READERS[kind.part] and not kind.harmless and reader not in kind.reported
    wrong = _find_fault(outcome, size)
    if not wrong and must_refuse and outcome.code != 2:
        wrong = f"read, exit code {outcome.code}"
    errors = [line for line in lines if line.startswith("error: ")]
    if not wrong and outcome.code == 2 and errors != lines[-1:]:  # lines before it may tell what is being done
        wrong = f"{len(lines)} lines: {lines[0][:120]}"
    if not wrong and outcome.code == 2 and outcome.seconds > SECONDS:
        wrong = f"refused after {outcome.seconds:.1f} s"
    if wrong:
        return Verdict(kind, reader, THROUGH, wrong)
    if outcome.code == 2:
        return Verdict(kind, reader, REFUSED, lines[-1])
    return Verdict(kind, reader, READ if outcome.code == 0 else REPORTED, lines[0])


def _find_fault(outcome: Outcome, size: int) -> str:
    """Return what no reader may do; empty where it did none of it."""
    if outcome.hung:
        return "hangs"
    if "Traceback (most recent" in outcome.said or outcome.code not in range(6):
        return (
            f"ends with {outcome.code}: {outcome.said.strip().splitlines()[-1][:160] if outcome.said.strip() else ''}"
        )
    if outcome.memory > 2 * size + GRACE:
        return f"takes {outcome.memory >> 20} MiB of {size / (1 << 20):.2f}"
    for text in (outcome.said, outcome.shown):
        obeyed = [line for line in text.split("\n") if printable(line) != line]
        if obeyed:
            return f"shows a terminal {obeyed[0][:60]!r}"
    return ""


def measure_size(folder: Path, names: Iterable[str]) -> int:
    """Return the bytes of what a reader is given; a file that is larger than any that a reader takes counts as none."""
    total = 0
    for name in names:
        paths = [folder / name, *(folder / name).rglob("*")] if (folder / name).is_dir() else [folder / name]
        sizes = (path.stat().st_size for path in paths if path.is_file())
        total += sum(size for size in sizes if size <= _LARGEST_FILE)
    return total
