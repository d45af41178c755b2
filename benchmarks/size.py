"""Bytes of a package, its load time, first call, steady state and memory, and the start of the command line.

All but the bytes are measured in this process and in a fresh one.

    python -m benchmarks.size PACKAGE --work "f32, mtop-en"

Rows are kept in `results/size.json`.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.results import keep_results, tell_command
from pqrnn.evaluation.results import ResultRow
from runtime_py.tools.bench import benchmark_package

_STARTS = 9


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path, help="a compiled package that runs here")
    parser.add_argument("--work", required=True, help='name of the rows, as "f32, mtop-en"')
    parser.add_argument("--no-keep", dest="keep", action="store_false", help="print only")
    arguments = parser.parse_args()
    result = benchmark_package(arguments.package)
    work = arguments.work
    rows = [ResultRow(work=work, metric="package", value=result.total_bytes, unit="bytes")]
    rows += [
        ResultRow(work=work, metric=f"package: {part.part}", value=part.bytes, unit="bytes") for part in result.parts
    ]
    times = {"load": result.load_seconds * 1e3, "first call": result.first_call_seconds * 1e3}
    if result.cold_start is not None:
        cold = result.cold_start
        times["fresh process: import"] = cold.import_seconds * 1e3
        times["fresh process: load"] = cold.load_seconds * 1e3
        times["fresh process: first call"] = cold.first_call_seconds * 1e3
        rows.append(
            ResultRow(work=work, metric="fresh process: resident memory", value=cold.resident_warm, unit="bytes")
        )
    rows += [ResultRow(work=work, metric=name, value=round(value, 3), unit="ms") for name, value in times.items()]
    rows.append(
        ResultRow(
            work=work,
            metric="steady state, golden texts",
            value=round(result.call.median, 1),
            unit="us",
            n=result.call.n,
        )
    )
    starts = {
        "pqrnn --help, whole process": ["-m", "pqrnn", "--help"],
        "import runtime_py.parser, whole process": ["-c", "import runtime_py.parser"],
    }
    for name, command in starts.items():
        seconds = [time_process(command) for _ in range(_STARTS)]
        rows.append(
            ResultRow(
                work=work,
                metric=name,
                value=round(statistics.median(seconds) * 1e3, 1),
                low=round(min(seconds) * 1e3, 1),
                n=_STARTS,
                unit="ms",
            )
        )
    for row in rows:
        print(f"  {row.metric:40} {row.value:14,.2f} {row.unit}")
    if arguments.keep:
        keep_results("size", rows, tell_command("benchmarks.size"), replace_works=[work])


def time_process(arguments: list[str]) -> float:
    """Return the wall seconds of one run of this Python."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
