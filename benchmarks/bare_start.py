"""The smallest program that parses, which is what an application on a device pays for.

    python benchmarks/bare_start.py . home.pqrnn "wake me at seven" native

`benchmarks.starts` runs it by itself, so that nothing else is imported; the imports are in the middle, since they are
part of what is measured. The engine is that of `Parser.load`; what only it needs is imported by the load.
"""

# ruff: noqa: E402

import sys
import time

begin = time.perf_counter()
sys.path.insert(0, sys.argv[1])
from runtime_py import Parser

imported = time.perf_counter()
from runtime_py.tools.memory import peak_bytes, resident_bytes

before = resident_bytes()
start = time.perf_counter()
parser = Parser.load(sys.argv[2], engine=(sys.argv[4:] or ["auto"])[0])  # type: ignore[call-overload]
loaded = time.perf_counter()
parser(sys.argv[3])
first = time.perf_counter()
answered, cpu = time.time(), time.process_time()

import json

print(
    json.dumps(
        {
            "answered": answered,
            "imports": imported - begin,
            "load": loaded - start,
            "first_call": first - loaded,
            "cpu": cpu,
            "resident": resident_bytes(),
            "peak": peak_bytes(),
            "before": before,
        }
    )
)
