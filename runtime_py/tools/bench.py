"""Measures how fast and how large a package is on this machine: start, first call, steady state, memory, bytes.

Every text is timed three times in turn - the whole call (text in, parse out), the call up to the logits, and the
compiled function alone - so that all see the same machine. Wall time is taken around each single call; nothing is
averaged before the percentiles.
"""

import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from runtime_py.device.preflight import this_machine
from runtime_py.errors import DeviceError
from runtime_py.execute.bucket_runner import OnLong
from runtime_py.fresh_process import fresh_command
from runtime_py.parser import Parser
from runtime_py.tools.inspect import PartSize, measure_parts
from runtime_py.tools.memory import peak_bytes, resident_bytes

_WARM_UP_ROUNDS = 2


class Timing(Struct, frozen=True):
    """Percentiles of single calls, in microseconds.

    Attributes:
        n: Number of calls.
        median: Time that half of the calls do not exceed.
        p90: Time that 90 % of the calls do not exceed.
        p99: Time that 99 % of the calls do not exceed.
        fastest: Time of the fastest call.
    """

    n: int
    median: float
    p90: float
    p99: float
    fastest: float


class BucketTiming(Struct, frozen=True):
    """Times of the texts that ran in one length bucket.

    Attributes:
        entry: Name of the compiled function.
        words: Words that the bucket holds.
        bytes: Bytes that the bucket holds.
        texts: Number of texts that ran in it.
        call: Times of whole calls.
        logits: Times of calls up to the logits.
        kernel: Times of the compiled function alone.
    """

    entry: str
    words: int
    bytes: int
    texts: int
    call: Timing
    logits: Timing
    kernel: Timing


class ColdStart(Struct, frozen=True):
    """A start in a fresh process.

    Attributes:
        import_seconds: Time to import the package's modules.
        load_seconds: Time to load the package.
        first_call_seconds: Time of the first call.
        second_call_seconds: Time of the second call.
        resident_before_load: Resident memory before loading, in bytes.
        resident_warm: Resident memory after every bucket has run, in bytes.
        peak: Largest resident memory, in bytes.
    """

    import_seconds: float
    load_seconds: float
    first_call_seconds: float
    second_call_seconds: float
    resident_before_load: int
    resident_warm: int
    peak: int


class BenchResult(Struct, frozen=True):
    """Everything that a benchmark of one variant found.

    Attributes:
        package: Path of the package.
        target: Name of the variant.
        threads: Number of threads that run it.
        machine: Name of the CPU.
        runtime: Version of the IREE runtime.
        texts: Number of texts.
        texts_rerun: Number of texts whose first bucket was too small.
        seconds: Wall time of the steady state.
        call: Times of whole calls.
        logits: Times of calls up to the logits.
        kernel: Times of the compiled function alone.
        overhead: Cost of Python and decoding in microseconds: the median, over all timed pairs, of a whole call less
            the compiled function for the same text.
        cpu_per_wall: Processor time over wall time of the steady state: 1 for one busy thread, more for helpers.
        buckets: The same times for each length bucket.
        load_seconds: Time to load the package in this process.
        first_call_seconds: Time of the first call in this process.
        resident: Resident memory afterwards, in bytes.
        peak: Largest resident memory, in bytes.
        cold_start: A start in a fresh process; null where it was not measured.
        parts: Bytes of each part of the package.
        total_bytes: Bytes of the package.
    """

    package: str
    target: str
    threads: int
    machine: str
    runtime: str
    texts: int
    texts_rerun: int
    seconds: float
    call: Timing
    logits: Timing
    kernel: Timing
    overhead: float
    cpu_per_wall: float
    buckets: list[BucketTiming]
    load_seconds: float
    first_call_seconds: float
    resident: int
    peak: int
    cold_start: ColdStart | None
    parts: list[PartSize]
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Samples:
    """Raw times of single calls in nanoseconds, int64 [n] each, in the order in which they were taken.

    Attributes:
        call: Whole calls, text in and parse out.
        logits: Calls up to the logits, for the same text right after.
        kernel: The compiled function alone, for the same text right after that.
        text: Index of the text.
        bucket: Index of the length bucket that the text needs.
        seconds: Wall time of the whole measurement.
        cpu_seconds: Processor time of the whole measurement, over all threads.
    """

    call: NDArray[np.int64]
    logits: NDArray[np.int64]
    kernel: NDArray[np.int64]
    text: NDArray[np.int64]
    bucket: NDArray[np.int64]
    seconds: float
    cpu_seconds: float


def measure(parser: Parser, texts: Sequence[str | bytes], seconds: float = 3.0) -> Samples:
    """Time every text in turn, round after round, until the time is over; at least one full round.

    Args:
        parser: A loaded package; nothing else may use it meanwhile.
        texts: At least one text that the package can read.
        seconds: Wall time to spend.

    Raises:
        ValueError: There are no texts.
        InputTooLongError: A text is too long and the parser's policy is to refuse it.
    """
    if not texts:
        raise ValueError("no texts to measure")
    entries = [parser.prepare(text) for text in texts]
    for _ in range(_WARM_UP_ROUNDS):
        for text in texts[:100]:
            parser(text)
    times: list[tuple[int, int, int, int]] = []
    clock = time.perf_counter_ns
    begin, cpu_begin = time.perf_counter(), time.process_time()
    end = begin + seconds
    while not times or time.perf_counter() < end:
        for index, text in enumerate(texts):
            _, entry, raw = entries[index]
            start = clock()
            parser(text)
            parsed = clock()
            parser.logits(text)
            answered = clock()
            entry.set_text(raw)
            ready = clock()
            entry.invoke()
            times.append((parsed - start, answered - parsed, clock() - ready, index))
            if len(times) >= len(texts) and time.perf_counter() > end:
                break
    wall, cpu = time.perf_counter() - begin, time.process_time() - cpu_begin
    buckets = np.array([bucket for bucket, _, _ in entries], np.int64)
    call, logits, kernel, order = np.array(times, np.int64).T
    return Samples(call, logits, kernel, order, buckets[order], wall, cpu)


def summarise(nanoseconds: NDArray[np.int64]) -> Timing:
    """Return the percentiles of at least one time."""
    micro = nanoseconds / 1000
    median, p90, p99 = (float(value) for value in np.percentile(micro, [50, 90, 99]))
    return Timing(n=len(micro), median=median, p90=p90, p99=p99, fastest=float(micro.min()))


def benchmark_package(
    path: str | Path,
    texts: Sequence[str | bytes] | None = None,
    seconds: float = 3.0,
    variant: str | None = None,
    threads: int = 1,
    cold_start: bool = True,
    on_long: OnLong = "error",
) -> BenchResult:
    """Load a package and measure it.

    Args:
        path: The package directory.
        texts: The texts to parse; by default those of the golden vectors.
        seconds: Wall time for the steady state.
        variant: Name of a variant; by default the one that fits this machine best.
        threads: Number of threads, as `Parser.load` takes it.
        cold_start: Whether to measure a start in a fresh process, too.
        on_long: What to do with a text that is too long, as `Parser.load` takes it.

    Raises:
        ParserError: The package cannot be loaded or run.
        InputTooLongError: A text does not fit the largest length bucket, and ``on_long`` is ``error``.
    """
    cold = measure_cold_start(path, variant, threads) if cold_start else None
    begin = time.perf_counter()
    with Parser.load(path, variant=variant, threads=threads, on_long=on_long) as parser:
        loaded = time.perf_counter()
        chosen = list(texts) if texts is not None else list(parser.package.golden().texts)
        first_begin = time.perf_counter()
        parser(chosen[0] if chosen else "")
        first_end = time.perf_counter()
        samples = measure(parser, chosen, seconds)
        parts = measure_parts(parser.package)
        return BenchResult(
            package=str(path),
            target=parser.variant.target,
            threads=threads,
            machine=this_machine().cpu,
            runtime=this_machine().runtime,
            texts=len(chosen),
            texts_rerun=sum(parser.needs_rerun(text) for text in chosen),
            seconds=samples.seconds,
            call=summarise(samples.call),
            logits=summarise(samples.logits),
            kernel=summarise(samples.kernel),
            overhead=float(np.median(samples.call - samples.kernel)) / 1000,
            cpu_per_wall=samples.cpu_seconds / samples.seconds,
            buckets=_per_bucket(parser, samples),
            load_seconds=loaded - begin,
            first_call_seconds=first_end - first_begin,
            resident=resident_bytes(),
            peak=peak_bytes(),
            cold_start=cold,
            parts=parts,
            total_bytes=sum(part.bytes for part in parts),
        )


def _per_bucket(parser: Parser, samples: Samples) -> list[BucketTiming]:
    timings = []
    for index, bucket in enumerate(parser.manifest.buckets):
        chosen = samples.bucket == index
        if chosen.any():
            texts = len(np.unique(samples.text[chosen]))
            call, logits, kernel = (
                summarise(times[chosen]) for times in (samples.call, samples.logits, samples.kernel)
            )
            timings.append(BucketTiming(bucket.entry, bucket.words, bucket.bytes, texts, call, logits, kernel))
    return timings


def measure_cold_start(path: str | Path, variant: str | None = None, threads: int = 1) -> ColdStart:
    """Start a fresh Python process that imports, loads and parses.

    Raises:
        DeviceError: The process failed; its last line of output is in the message.
    """
    command = fresh_command("runtime_py.tools.coldstart", str(path), variant or "", str(threads))
    process = subprocess.run(command, capture_output=True, timeout=120, check=False)
    if process.returncode:
        lines = process.stderr.decode("utf-8", "replace").strip().splitlines()
        reason = lines[-1] if lines else f"exit code {process.returncode}"
        raise DeviceError(f"{path}: a fresh process could not load and run the package ({reason}).")
    return msgspec.json.decode(process.stdout, type=ColdStart)
