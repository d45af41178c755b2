r"""Long life: a package is loaded and closed, parses, and parses in threads, and nothing may grow.

    python -m benchmarks.soak --parses 1000000 --loads 1000 [--package mtop-en.pqrnn]

A third of each count warms up; growth of memory, handles and threads is measured over the rest, and the median time of
a call in its last tenth is compared with that in its first. Rows are kept in `results/robustness.json`.
"""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
import threading
import time
from array import array
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from statistics import median

from benchmarks.fuzzing.texts import draw_texts
from benchmarks.hostile_packages import NAME, compile_tiny
from benchmarks.results import merge_results, print_rows, tell_command
from benchmarks.tiny_module import write_package
from pqrnn.evaluation.results import ResultRow
from runtime_py.parser import Parser

WORK = "long life"
_THREADS = 8


def measure(name: str, step: Callable[[int], object], times: int, peer: str) -> list[ResultRow]:
    """Do something many times, and return what grew meanwhile."""
    begin = times // 3
    for index in range(begin):
        step(index)
    seconds = array("d", [1.0]) * (times - begin)  # all there before memory is measured: a list of them would grow
    before = _state()
    for index in range(begin, times):
        start = time.perf_counter()
        step(index)
        seconds[index - begin] = time.perf_counter() - start
    after = _state()
    tenth = max(1, len(seconds) // 10)
    drift = median(seconds[-tenth:]) / median(seconds[:tenth])
    grown = [late - early for late, early in zip(after, before, strict=True)]
    figures = (
        ("memory grown", grown[0], "bytes"),
        ("handles grown", grown[1], ""),
        ("threads grown", grown[2], ""),
        ("time of the last tenth to the first", drift, ""),
    )
    return [
        ResultRow(work=WORK, metric=f"{name}: {what}", value=value, n=times, unit=unit, peer=peer)
        for what, value, unit in figures
    ]


def _state() -> tuple[int, int, int]:
    """Return resident memory in bytes, open handles, and threads."""
    gc.collect()
    status = Path("/proc/self/status").read_text(encoding="ascii")
    resident = int(status.partition("VmRSS:")[2].split()[0]) << 10
    return resident, len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))


def soak(package: Path, parses: int, loads: int) -> list[ResultRow]:
    """Parse, parse in threads, and load, so many times."""
    texts = list(islice(draw_texts(0), 997))
    with Parser.load(package, on_long="truncate") as parser:
        rows = measure("parses", lambda index: parser(texts[index % len(texts)]), parses, package.name)

        def parse_in_threads(index: int) -> None:
            threads = [
                threading.Thread(target=parser, args=(texts[(index + n) % len(texts)],)) for n in range(_THREADS)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        rows += measure(f"rounds of {_THREADS} threads", parse_in_threads, max(3, parses // 100), package.name)

    def load(index: int) -> None:
        with Parser.load(package, on_long="truncate", threads=1 + index % 3) as loaded:
            loaded(texts[index % len(texts)])

    return rows + measure("loads", load, loads, package.name)


def main() -> None:
    """Soak, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parses", type=int, default=1_000_000)
    parser.add_argument("--loads", type=int, default=1000)
    parser.add_argument("--package", type=Path, help="a package; that of the tiny module by default")
    parser.add_argument("--module", type=Path, help="the compiled tiny module, where it is at hand")
    parser.add_argument("--print", action="store_true", dest="only_print", help="print the rows and keep nothing")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pqrnn-soak-") as folder:
        package = arguments.package
        if package is None:
            package = Path(folder) / "tiny.pqrnn"
            write_package(package, arguments.module.read_bytes() if arguments.module else compile_tiny())
        rows = soak(package, arguments.parses, arguments.loads)
    if arguments.only_print:
        print_rows(NAME, rows)
    else:
        merge_results(NAME, rows, tell_command("benchmarks.soak"), notes_tell_apart=False)


if __name__ == "__main__":
    main()
