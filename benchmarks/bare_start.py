"""The smallest program that parses, which is what an application on a device pays for.

`benchmarks.starts` runs it by itself, so that nothing else is imported; the imports are in the middle, since they are
part of what is measured.
"""

# ruff: noqa: E402

from __future__ import annotations

import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

begin = time.perf_counter()
sys.path.insert(0, sys.argv[1])
if len(sys.argv) > 4:  # a folder of native libraries
    from runtime_py.native.parser import NativeParser

    load: Any = NativeParser.load
else:
    from runtime_py.parser import Parser

    load = Parser.load

imported = time.perf_counter()
from runtime_py.tools.memory import peak_bytes, resident_bytes

before = resident_bytes()
start = time.perf_counter()
parser = load(sys.argv[2])
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
