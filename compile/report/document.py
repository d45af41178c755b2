"""What a report shows, as one document: the page draws nothing that is not in here, and carries it as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct

from compile.report.sensitivity import LayerNoise, measure_noise
from compile.target_bench.figures import TargetFigures
from runtime_py.errors import ReferenceFileError, UnsupportedTargetError
from runtime_py.package_format.certificates import describe_versions
from runtime_py.package_format.package import open_package
from runtime_py.parity.check import ParityReport
from runtime_py.parity.goals import ParityGoals
from runtime_py.parity.metrics import Frame
from runtime_py.parity.reference_file import Reference, load_reference
from runtime_py.parser import Parser
from runtime_py.tools.bench import measure, summarise
from runtime_py.tools.check import CheckResult
from runtime_py.tools.full_check import FullCheck, check_fully
from runtime_py.tools.inspect import PackageFacts, inspect_package

_BINS = 40
_CONFUSED = 12
_NOISE_TEXTS = 200


class Confusion(Struct, frozen=True):
    """Utterances of one intent that the package gives another.

    Attributes:
        gold: The intent of the gold labels.
        package: The intent that the package gives.
        n: Number of utterances.
    """

    gold: str
    package: str
    n: int


class SlotErrors(Struct, frozen=True):
    """What goes wrong with a slot.

    Attributes:
        label: Name of the slot.
        gold: Number of such slots in the gold labels.
        right: Those that the package finds.
        missed: Those where it finds no slot.
        other_label: Those that it gives another label.
        other_span: Those that it finds with another beginning or end.
        invented: Slots that it finds where there is none.
    """

    label: str
    gold: int
    right: int
    missed: int
    other_label: int
    other_span: int
    invented: int


class Latency(Struct, frozen=True):
    """Wall times of single calls on this machine, in microseconds.

    Attributes:
        part: What was timed.
        n: Number of calls.
        median: Time that half of the calls do not exceed.
        p90: Time that 90 % of the calls do not exceed.
        p99: Time that 99 % of the calls do not exceed.
        edges: Edges of the bins of the distribution; what is slower than 99.5 % of the calls is left out.
        counts: Calls in each bin.
    """

    part: str
    n: int
    median: float
    p90: float
    p99: float
    edges: list[float]
    counts: list[int]


class Point(Struct, frozen=True):
    """One parser in the picture of quality against bytes.

    Attributes:
        name: Name of the parser.
        bytes: Bytes of its weights, or of its package.
        exact_match: Its exact match on the reference.
        microseconds: Median of a call; null where it was not measured.
    """

    name: str
    bytes: int
    exact_match: float
    microseconds: float | None


class Document(Struct, frozen=True, kw_only=True):
    """All that a report shows.

    Attributes:
        created: Time when it was made (UTC).
        package: Facts of the package, with the certificates of every variant.
        golden: Outcome of the golden vectors on this machine; null where no variant runs here.
        parity: Outcome of the reference; null where none was given.
        points: Package and teacher in the picture of quality against bytes.
        confusions: The most frequent wrong intents.
        slots: What goes wrong with each slot, those with most errors first.
        latency: Times on this machine; empty where none were taken.
        targets: Figures of the compiled code of each variant, as `pqrnn bench --target` measures them.
        noise: Roundings of activations to 8 bits, by layer; empty where no parser in 8 bits was given.
        environment: The machine that made the report, and versions.
        notes: Why parts are missing.
    """

    created: str
    package: PackageFacts
    golden: CheckResult | None
    parity: ParityReport | None
    points: list[Point]
    confusions: list[Confusion]
    slots: list[SlotErrors]
    latency: list[Latency]
    targets: list[TargetFigures]
    noise: list[LayerNoise]
    environment: dict[str, str]
    notes: list[str]


def collect(
    package: Path,
    reference: Path | None = None,
    goals: ParityGoals | None = None,
    seconds: float = 2.0,
    targets: Sequence[TargetFigures] = (),
    run: Path | None = None,
    on_progress: Callable[[str], None] = lambda _: None,
) -> Document:
    """Measure what a report shows.

    Args:
        package: The package.
        reference: A reference file; None for a report without parity.
        goals: Goals of the check against it.
        seconds: Time to measure latency for; 0 for none.
        targets: Figures of `pqrnn bench --target`, if they were taken.
        run: The trained parser, in 8 bits, whose roundings are shown.
        on_progress: Called with what is being done.

    Raises:
        ParserError: The package or the reference cannot be read.
        CheckpointError: There is no such trained parser.
    """
    notes = []
    open_package(package)  # what is none is refused before anything is said of work
    expected = load_reference(reference) if reference is not None else None
    on_progress("checking the package")
    checked: FullCheck | None = None
    try:
        checked = check_fully(package, reference=reference, goals=goals)
    except ReferenceFileError:
        raise
    except UnsupportedTargetError as error:
        notes.append(f"Nothing was run: {error}")
    facts = inspect_package(package)
    latency: list[Latency] = []
    if checked is not None and seconds > 0:
        on_progress(f"measuring for {seconds:g} s")
        latency = _measure_latency(package, expected, seconds)
    parity = checked.parity if checked is not None else None
    frames = checked.frames if checked is not None else []
    noise: list[LayerNoise] = []
    if run is not None:
        on_progress("measuring roundings")
        texts = expected.texts if expected is not None else ()
        noise = measure_noise(run, texts[:: max(len(texts) // _NOISE_TEXTS, 1)])
        if not noise:
            notes.append(f"{run} is in float32: nothing is rounded to 8 bits.")
    if parity is None:
        notes.append("No reference file was given, so quality and retention are not shown (pqrnn reference).")
    return Document(
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        package=facts,
        golden=checked.golden if checked is not None else None,
        parity=parity,
        points=_points(facts, expected, parity, latency),
        confusions=find_confusions(expected.gold, frames) if expected is not None and frames else [],
        slots=find_slot_errors(expected.gold, frames) if expected is not None and frames else [],
        latency=latency,
        targets=list(targets),
        noise=noise,
        environment=_environment(checked),
        notes=notes,
    )


def find_confusions(gold: Sequence[Frame], frames: Sequence[Frame]) -> list[Confusion]:
    """Return the most frequent pairs of a right and a wrong intent."""
    pairs = Counter((right[0], got[0]) for right, got in zip(gold, frames, strict=True) if right[0] != got[0])
    ordered = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))
    return [Confusion(right, got, n) for (right, got), n in ordered[:_CONFUSED]]


def find_slot_errors(gold: Sequence[Frame], frames: Sequence[Frame]) -> list[SlotErrors]:
    """Count, for each slot, what becomes of it; every slot of the gold labels is counted once."""
    counts: dict[str, Counter[str]] = {}
    for (_, wanted), (_, got) in zip(gold, frames, strict=True):
        left = Counter(got) - Counter(wanted)
        for slot in (Counter(wanted) & Counter(got)).elements():
            counts.setdefault(slot[0], Counter())["right"] += 1
        for label, start, end in (Counter(wanted) - Counter(got)).elements():
            kind = "missed"
            same = next((other for other in left.elements() if other[1:] == (start, end)), None)
            near = next((other for other in left.elements() if other[1] < end and start < other[2]), None)
            if same is not None:
                kind = "other_label"
                left[same] -= 1
            elif near is not None:
                kind = "other_span" if near[0] == label else "other_label"
                left[near] -= 1
            counts.setdefault(label, Counter())[kind] += 1
        for label, _, _ in left.elements():
            counts.setdefault(label, Counter())["invented"] += 1
    rows = [
        SlotErrors(
            label=label,
            gold=found.total() - found["invented"],
            right=found["right"],
            missed=found["missed"],
            other_label=found["other_label"],
            other_span=found["other_span"],
            invented=found["invented"],
        )
        for label, found in counts.items()
    ]
    return sorted(rows, key=lambda row: (row.right - row.gold - row.invented, row.label))


def _measure_latency(package: Path, reference: Reference | None, seconds: float) -> list[Latency]:
    with Parser.load(package, on_long="truncate") as parser:
        texts = list(reference.texts[:500]) if reference is not None else list(parser.package.golden().texts)
        samples = measure(parser, texts, seconds)
    return [
        distribution(part, times)
        for part, times in (
            ("text to parse", samples.call),
            ("bytes to logits", samples.logits),
            ("compiled function", samples.kernel),
        )
    ]


def distribution(part: str, nanoseconds: np.ndarray) -> Latency:
    """Return percentiles and a histogram of times, int64 [n] in nanoseconds."""
    timing = summarise(nanoseconds)
    times = nanoseconds / 1000.0
    shown = times[times <= np.percentile(times, 99.5)]
    counts, edges = np.histogram(shown, bins=_BINS)
    return Latency(
        part, timing.n, timing.median, timing.p90, timing.p99, [round(float(e), 3) for e in edges], counts.tolist()
    )


def _points(
    facts: PackageFacts, reference: Reference | None, parity: ParityReport | None, latency: Sequence[Latency]
) -> list[Point]:
    if reference is None or parity is None:
        return []
    median = latency[0].median if latency else None
    points = [Point(facts.name, facts.total_bytes, parity.task.exact_match.value, median)]
    if parity.task.teacher_exact_match is not None:
        # Several teachers are as large as all of them.
        size = sum(4 * teacher.parameters for teacher in reference.meta.teachers)
        points.append(Point(" + ".join(parity.teachers), size, parity.task.teacher_exact_match.value, None))
    return points


def _environment(checked: FullCheck | None) -> dict[str, str]:
    if checked is None:
        return {}
    parity = checked.golden.parity
    return {"machine": parity.machine, "runtime": parity.runtime, **describe_versions(parity.runtime)}


def encode(document: Document) -> bytes:
    """Return the document as JSON."""
    return msgspec.json.encode(document)
