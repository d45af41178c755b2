"""Native parsers beside the packages that they are made from: decisions, memory, start, size, time.

    pqrnn compile mtop-en --out mtop-en.pqrnn && pqrnn native mtop-en --out mtop-en-native
    python -m benchmarks.native mtop-en-native --package mtop-en.pqrnn --data ../shared/data/mtop/spans --lang en
    python -m benchmarks.native mtop-en.pqrnn --package mtop-en.pqrnn --data ...   # of `pqrnn compile --native`

Both answer every utterance of the test split and texts that are no commands, and decisions are compared bit for bit:
intent, slots, words, truncation, and what is rejected at the recommended threshold where the parser has a calibration;
scores by their largest relative difference. Times are of `Parser.load(...)(text)` in Python for both, call by call in
turn, so that what else runs on the machine meets both, and only their ratios are kept; *the native call* is the C
function alone, called through ctypes with bytes at hand; *cold* empties the caches before
every call with a stream over more than the last-level cache. Rows are kept in `results/native.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks.cold_caches import make_emptier
from benchmarks.results import merge_results, tell_command
from compile.verify.golden import TRICKY
from pqrnn.data.loader import load_examples
from pqrnn.evaluation.results import ResultRow
from runtime_py.decode.rejection import MinScore
from runtime_py.native.manifest import MARK
from runtime_py.native.package_parser import PackagedNativeParser
from runtime_py.native.parser import NativeParser
from runtime_py.parser import Parser

AnyNative = NativeParser | PackagedNativeParser

_STARTS, _HOT, _COLD = 7, 300, 50
_START = """\
import json, sys, time
begin = time.perf_counter()
from runtime_py import Parser
parser = Parser.load(sys.argv[1], engine=sys.argv[3])
parser(sys.argv[2])
took = time.perf_counter() - begin
from runtime_py.tools.memory import peak_bytes
print(json.dumps([took, peak_bytes()]))
"""


def main() -> None:
    """Parse with both, compare, measure, print, keep."""
    arguments = _read_arguments()
    texts = [example.text for example in load_examples(arguments.data, split="test", locale=arguments.lang)]
    packaged = Parser.load(arguments.package, on_long="truncate")
    least: MinScore | None = "recommended" if packaged.manifest.calibration is not None else None
    packaged.close()
    native, facts = _open_native(arguments.native, least)
    work = f"{facts.name}, {native.variant.target}"
    rows = [
        ResultRow(
            work=work,
            metric="bytes",
            value=facts.bytes,
            unit="bytes",
            note="shared library, with weights and labels",
        ),
        ResultRow(
            work=work,
            metric="memory beside weights",
            value=facts.memory,
            unit="bytes",
            note=f"of an open parser, for {facts.words} words; besides a stack of up to 128 KiB",
        ),
    ]
    packaged = Parser.load(arguments.package, on_long="truncate", min_score=least)
    asked: list[str | bytes] = [*texts, *TRICKY]
    pairs = [(native(text), packaged(text)) for text in asked]
    different = [text for text, pair in zip(asked, pairs, strict=True) if _decision(pair[0]) != _decision(pair[1])]
    for text in different[:5]:
        print(f"differs: {text!r}: {native(text)} {packaged(text)}", file=sys.stderr)
    rows.append(
        ResultRow(
            work=work,
            metric="decisions that differ",
            value=len(different),
            n=len(texts) + len(TRICKY),
            note="intent, slots, words, truncation or outcome; all test utterances and tricky texts",
        )
    )
    rows.append(
        ResultRow(
            work=work,
            metric="largest relative difference of a score",
            value=max(_apart(one, other) for one, other in pairs),
            n=len(pairs),
            note="of parses, slots and of being in scope, calibrated" if least else "softmax of the intent",
        )
    )
    if not arguments.no_times:
        rows += _time_calls(work, native, packaged, texts)
        rows += _time_starts(work, arguments.native, arguments.package, texts[0])
    for row in rows:
        print(f"{row.metric}: {row.value:g} {row.unit} {row.peer}")
    if arguments.keep:
        merge_results("native", rows, tell_command("benchmarks.native"))


class _Facts(NamedTuple):
    name: str
    bytes: int
    memory: int
    words: int


def _open_native(path: Path, least: MinScore | None) -> tuple[AnyNative, _Facts]:
    """Load a folder of native libraries, or the native library of a package."""
    if (path / MARK).is_file():
        alone = NativeParser.load(path, on_long="truncate", min_score=least)
        variant = alone.variant
        size = variant.files[str(variant.library)].bytes
        return alone, _Facts(alone.manifest.name, size, variant.memory, variant.words)
    parser = PackagedNativeParser.load(path, on_long="truncate", min_score=least)
    library = parser.package.library(parser.variant.target)
    size = parser.manifest.files[library.path].bytes
    return parser, _Facts(parser.name, size, library.memory, parser.manifest.buckets[-1].words)


def _decision(parse: Any) -> tuple[Any, ...]:
    slots = tuple((slot.label, slot.text, slot.start, slot.end) for slot in parse.slots)
    return parse.intent, slots, parse.text, parse.truncated, parse.words, parse.outcome


def _apart(one: Any, other: Any) -> float:
    """Return the largest relative difference of two parses' scores, infinite where one lacks what the other has."""
    pairs = [(one.score, other.score), (one.in_scope, other.in_scope)]
    pairs += [(slot.score, twin.score) for slot, twin in zip(one.slots, other.slots, strict=False)]
    return max(
        abs(a - b) / max(abs(b), 1e-300) if a is not None and b is not None else 0.0 if a is b else float("inf")
        for a, b in pairs
    )


def _time_calls(work: str, native: AnyNative, packaged: Parser, texts: list[str]) -> list[ResultRow]:
    """Return medians of ratios of calls, hot and cold, of both in turn."""
    chosen = texts[:: max(len(texts) // _HOT, 1)][:_HOT]
    hot: dict[str, list[float]] = {"native": [], "package": []}
    bare: list[float] = []
    for text in chosen:  # in turn, so that another load of the machine meets all
        hot["native"].append(_hot(native, text))
        bare.append(_hot(native.call_only, text.encode()))
        hot["package"].append(_hot(packaged, text))
    empty = make_emptier()
    cold: dict[str, list[float]] = {"native": [], "package": []}
    for text in chosen[:_COLD]:
        for name, parser in (("native", native), ("package", packaged)):
            empty()
            cold[name].append(_once(parser, text))
    over = [one / other for one, other in zip(hot["native"], bare, strict=True)]
    print(f"the native call, hot: {1e6 * median(bare):.1f} us")
    rows = [
        ResultRow(
            work=work,
            metric="text to parse in Python against the native call, hot",
            value=round(median(over), 3),
            n=len(over),
        )
    ]
    for regime, times in (("hot", hot), ("cold", cold)):
        ratios = [one / other for one, other in zip(times["native"], times["package"], strict=True)]
        print(f"{regime}: " + ", ".join(f"{name} {1e6 * median(seconds):.0f} us" for name, seconds in times.items()))
        rows.append(
            ResultRow(
                work=work,
                metric=f"text to parse in Python against the package, {regime}",
                value=round(median(ratios), 3),
                n=len(ratios),
            )
        )
    return rows


def _hot(parser: Any, text: str | bytes) -> float:
    return min(_once(parser, text) for _ in range(5))


def _once(parser: Any, text: str | bytes) -> float:
    begin = time.perf_counter()
    parser(text)
    return time.perf_counter() - begin


def _time_starts(work: str, native: Path, package: Path, text: str) -> list[ResultRow]:
    """Return medians from the first import to the first answer, in new processes of both in turn."""
    seconds: dict[str, list[float]] = {"native": [], "package": []}
    peaks: dict[str, int] = {}
    for _ in range(_STARTS):
        for name, path, engine in (("native", native, "native"), ("package", package, "iree")):
            command = [sys.executable, "-c", _START, os.path.abspath(path), text, engine]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            took, peaks[name] = json.loads(done.stdout)
            seconds[name].append(took)
    print("start: " + ", ".join(f"{name} {1e3 * median(taken):.0f} ms" for name, taken in seconds.items()))
    ratios = [one / other for one, other in zip(seconds["native"], seconds["package"], strict=True)]
    start = ResultRow(
        work=work,
        metric="start to answer against the package",
        value=round(median(ratios), 3),
        n=_STARTS,
        note="Python's imports, loading with digests, one text",
    )
    return [start] + [
        ResultRow(work=work, metric="peak memory of the process", value=peak, unit="bytes", peer=name)
        for name, peak in peaks.items()
    ]


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("native", type=Path, help="folder of `pqrnn native`, or package with a library")
    parser.add_argument("--package", type=Path, required=True, help="package of the same parser")
    parser.add_argument("--data", required=True, help="labelled utterances with a test split, as for `pqrnn train`")
    parser.add_argument("--lang", help="only this language")
    parser.add_argument("--no-times", action="store_true", help="compare decisions and sizes only")
    parser.add_argument("--no-keep", dest="keep", action="store_false", help="print only")
    return parser.parse_args()


if __name__ == "__main__":
    main()
