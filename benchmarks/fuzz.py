r"""Random texts, files and logits for everything that reads them, within minutes that are given.

    python -m benchmarks.fuzz --minutes 15 --package mtop-en.pqrnn

Three processes work beside each other: one parses texts with a package (that of the tiny module where none is given),
one reads files, changed at random, with every reader (`benchmarks.fuzzing.files`), one runs the C rules with
sanitizers. Everything is drawn from `--seed`. Counts and the first faults are kept in `results/robustness.json`, and
the exit code is 1 where there is a fault.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from benchmarks.fuzzing.decode import WEIGHTS, build_fuzzer, find_compiler, find_sanitizers, run_fuzzer
from benchmarks.fuzzing.files import draw_faults, make_readers
from benchmarks.fuzzing.texts import draw_texts, find_disagreement, find_faults
from benchmarks.hostile.kinds import PACKAGE
from benchmarks.hostile.subjects import make_subject
from benchmarks.hostile_packages import NAME, compile_tiny
from benchmarks.results import merge_results, print_rows, tell_command
from pqrnn.evaluation.results import ResultRow
from runtime_py.package_format.manifest import Manifest
from runtime_py.package_format.package import open_package
from runtime_py.parser import Parser

WORK = "fuzzing"
_SHOWN = 5
_HANG = 10  # seconds
_AGAIN = 16  # each so many-th text is parsed as a string and as bytes
_RUNS = 20_000


class Count(NamedTuple):
    """What was drawn of a kind.

    Attributes:
        name: The kind.
        drawn: How many were drawn.
        faults: What was wrong, each once, with how often it was.
    """

    name: str
    drawn: int
    faults: Counter[str]


class _HangError(BaseException):
    """Something takes too long; nothing that is fuzzed catches it."""


@contextmanager
def _guarded(faults: Counter[str]) -> Iterator[None]:
    """Turn what takes too long or fails in an unknown way into a fault."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise _HangError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, _HANG)
    try:
        yield
    except _HangError:
        faults["hangs"] += 1
    except Exception as error:
        faults[f"{type(error).__name__}: {str(error)[:120]}"] += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def fuzz_texts(package: Path, seconds: float, most: int, seed: int) -> Count:
    """Parse random texts until the time or the number is over."""
    faults: Counter[str] = Counter()
    drawn, end = 0, time.monotonic() + seconds
    texts = draw_texts(seed)
    with Parser.load(package, on_long="truncate") as parser:
        while drawn < most and time.monotonic() < end:
            with _guarded(faults):
                for text in (next(texts) for _ in range(100)):
                    drawn += 1
                    fault = find_faults(parser, text) or (drawn % _AGAIN == 0 and find_disagreement(parser, text)) or ""
                    if fault:
                        faults[f"{fault}: {text!r}"[:300]] += 1
    return Count("texts", drawn, faults)


def fuzz_files(subject: Path, seconds: float, most: int, seed: int) -> list[Count]:
    """Read changed files until the time or the number is over, each reader in turn."""
    readers = make_readers(subject)
    faults: dict[str, Counter[str]] = {reader.name: Counter() for reader in readers}
    counts: Counter[str] = Counter()
    dice = random.Random(seed)
    drawers = {reader.name: draw_faults(reader, dice) for reader in readers}
    end = time.monotonic() + seconds
    while counts.total() < most and time.monotonic() < end:
        for name, reader in zip(drawers, readers, strict=True):
            counts[name] += 1
            with _guarded(faults[name]):
                if fault := next(drawers[name]):
                    faults[name][fault[:300]] += 1
                continue
            drawers[name] = draw_faults(reader, dice)  # a generator that was stopped gives nothing more
    return [Count(name, counts[name], faults[name]) for name in drawers]


def join(counts: list[Count]) -> Count:
    """Return the sum of what was drawn of several kinds of files."""
    every: Counter[str] = sum((count.faults for count in counts), Counter())
    return Count("files of all readers", sum(count.drawn for count in counts), every)


def fuzz_decoder(subject: Path, manifest: Manifest, seconds: float, most: int, seed: int) -> Count | None:
    """Run the C rules until the time or the number is over; None where there is no compiler."""
    compiler = find_compiler()
    if compiler is None:
        return None
    faults: Counter[str] = Counter()
    drawn, end = 0, time.monotonic() + seconds
    programs = []
    for index, weights in enumerate(WEIGHTS):
        folder = subject / f"decode-{index}"
        folder.mkdir()
        programs.append(build_fuzzer(folder, manifest, weights, compiler))
    while drawn < most and (not drawn or time.monotonic() < end):
        for program in programs:
            seed += 1
            drawn += min(_RUNS, most)
            if fault := run_fuzzer(program, seed, min(_RUNS, most)):
                faults[fault[:300]] += 1
    checked = "with sanitizers" if find_sanitizers(subject, compiler) else "without sanitizers"
    return Count(f"C decisions {checked}", drawn, faults)


def describe(counts: list[Count], peer: str) -> list[ResultRow]:
    """Return a row for each kind: how many of those drawn were as they have to be."""
    rows = []
    for count in counts:
        shown = "; ".join(f"{times} times {fault}" for fault, times in count.faults.most_common(_SHOWN))
        wrong = count.faults.total()
        note = shown or "no crash, no hang, no wrong offset, nothing lost in silence"
        name = peer if count.name == "texts" else ""
        rows.append(
            ResultRow(work=WORK, metric=count.name, value=count.drawn - wrong, n=count.drawn, peer=name, note=note)
        )
    return rows


def main() -> None:
    """Draw, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--package", type=Path, help="a package that parses the texts")
    parser.add_argument("--texts", type=int, default=1_000_000, help="most texts")
    parser.add_argument("--files", type=int, default=100_000, help="most files")
    parser.add_argument("--decisions", type=int, default=5_000_000, help="most C decisions")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--module", type=Path, help="the compiled tiny module, where it is at hand")
    parser.add_argument("--print", action="store_true", dest="only_print", help="print the rows and keep nothing")
    arguments = parser.parse_args()
    seconds = arguments.minutes * 60
    rest = (arguments.decisions, arguments.seed)
    code = arguments.module.read_bytes() if arguments.module else compile_tiny()
    with tempfile.TemporaryDirectory(prefix="pqrnn-fuzz-") as folder:
        subject = Path(folder)
        make_subject(subject, code)
        package = arguments.package or shutil.copytree(subject / PACKAGE, subject / "texts" / PACKAGE)
        with ProcessPoolExecutor(3, get_context("fork")) as pool:
            texts = pool.submit(fuzz_texts, package, seconds, arguments.texts, arguments.seed)
            read = pool.submit(fuzz_files, subject, seconds, arguments.files, arguments.seed)
            decided = pool.submit(fuzz_decoder, subject, open_package(package).manifest, seconds, *rest)
            files = read.result()
            counts = [texts.result(), join(files), *files, *filter(None, [decided.result()])]
    rows = describe(counts, package.name)
    if arguments.only_print:
        print_rows(NAME, rows)
    else:
        merge_results(NAME, rows, tell_command("benchmarks.fuzz"), notes_tell_apart=False)
    sys.exit(any(row.value != row.n for row in rows))


if __name__ == "__main__":
    main()
