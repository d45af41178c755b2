"""A start in a fresh process, of a package and of each peer: import, load, first call, memory and processor time.

    python -m benchmarks.starts "ONNX Runtime" GRAPH FEATURES.npy

prints one line of JSON; `benchmarks/bare_start.py` does the same for a package. `measure_start` runs one of them
several times and takes medians; the wall time from the start of the process to the first answer is taken from outside,
so that Python's own start is in it.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[1]
PACKAGE, NATIVE = "package", "native"
_STARTS = 7


class Start(msgspec.Struct, frozen=True):
    """Medians over fresh processes: seconds and bytes.

    Attributes:
        first_answer: Time from the start of the process to the first answer, Python's own start included.
        imports: Time to import the runtime and what it needs.
        load: Time to load the package or graph.
        first_call: Time of the first call, with nothing warm.
        cpu: Processor time of the process, over all threads, up to the first answer.
        resident: Resident memory after the first answer.
        peak: Largest resident memory up to then.
        before: Resident memory before the load.
    """

    first_answer: float
    imports: float
    load: float
    first_call: float
    cpu: float
    resident: float
    peak: float
    before: float


def measure_start(kind: str, path: Path, given: str, starts: int = _STARTS) -> Start:
    """Start fresh processes one after the other.

    Args:
        kind: `PACKAGE`, `NATIVE` for a folder of native libraries, or the name of a peer.
        path: The package or the peer's file.
        given: A text for a parser, the path of features for a peer.
        starts: Number of processes.
    """
    if kind in (PACKAGE, NATIVE):
        program = str(Path(__file__).with_name("bare_start.py"))
        command = [sys.executable, program, str(ROOT), str(path), given, "native" if kind == NATIVE else "iree"]
    else:
        command = [sys.executable, "-m", "benchmarks.starts", kind, str(path), given]
    measured = []
    for _ in range(starts + 1):
        begin = time.time()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{kind}: a fresh process failed: {done.stderr.strip().splitlines()[-1:]}")
        line = json.loads(done.stdout.strip().splitlines()[-1])
        answered = line.pop("answered")
        measured.append({**line, "first_answer": answered - begin})
    warm = measured[1:]  # the first one reads files that no later one has to
    return Start(**{name: statistics.median(figures[name] for figures in warm) for name in warm[0]})


def _start_peer(name: str, path: Path, features_path: str) -> None:
    begin = time.perf_counter()
    import numpy as np

    from benchmarks.peers import find_peer
    from runtime_py.tools.memory import peak_bytes, resident_bytes

    peer = find_peer(name)
    why = peer.why_absent()
    if why:
        raise SystemExit(why)
    features = np.load(features_path)
    before = resident_bytes()
    imported = time.perf_counter()
    call = peer.open(path)
    loaded = time.perf_counter()
    call(features)
    first = time.perf_counter()
    figures = {
        "answered": time.time(),
        "imports": imported - begin,
        "load": loaded - imported,
        "first_call": first - loaded,
        "cpu": time.process_time(),
        "resident": resident_bytes(),
        "peak": peak_bytes(),
        "before": before,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    _start_peer(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
