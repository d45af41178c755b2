"""Calls of several modules with one text, in turn in one process, so that what else runs on the machine meets all."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from benchmarks.calls import Call
from benchmarks.cold_caches import make_emptier
from compile.lowering.buckets import make_buckets
from compile.target_bench.measure import fixed_text
from runtime_py.decode.labels import Labels
from runtime_py.execute.entry import EntryFunction
from runtime_py.package_format.manifest import Bucket

WORDS, BUCKETS = 8, make_buckets([(64, 512)])

IN_A_ROW, COLD = "in a row", "cold"
_CALLS = 20  # in a row

Seconds = dict[str, list[float]]  # by name of the call, one of each round


def eight_words() -> bytes:
    """Return the text that the modules are called with."""
    return fixed_text(Bucket(words=WORDS, bytes=BUCKETS[0].bytes, entry=BUCKETS[0].entry)).encode()


def open_entry(module: Path, text: bytes, labels: Labels) -> EntryFunction:
    """Return the function of a module that was compiled for `BUCKETS`, ready for a text."""
    return Call(WORDS, str(module), BUCKETS[0], 1, [text], len(labels.intents), len(labels.tags)).open()


def time_entries(calls: Mapping[str, EntryFunction], text: bytes, rounds: int) -> dict[str, Seconds]:
    """Return the seconds of calls by regime: the fastest of some in a row, and one after the caches were emptied."""
    times: dict[str, Seconds] = {regime: {name: [] for name in calls} for regime in (IN_A_ROW, COLD)}
    empty = make_emptier()
    for _ in range(rounds):
        for name, entry in calls.items():
            times[IN_A_ROW][name].append(min(_time(entry, text) for _ in range(_CALLS)))
        for name, entry in calls.items():
            empty()
            times[COLD][name].append(_time(entry, text))
    return times


def compare(times: Seconds, name: str, base: str) -> tuple[float, str]:
    """Return the median over rounds of one call's time over another's, and the medians of both in words."""
    ratio = median(one / other for one, other in zip(times[name], times[base], strict=True))
    return round(ratio, 3), ", ".join(f"{which}: {1e6 * median(times[which]):.0f} us" for which in (base, name))


def _time(entry: EntryFunction, text: bytes) -> float:
    start = time.perf_counter()
    entry.run(text)
    return time.perf_counter() - start
