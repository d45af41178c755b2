"""README tables from kept results.

    python -m benchmarks.readme            # rewrites what stands between the markers
    python -m benchmarks.readme --check    # says whether they are up to date

A marker pair is `<!-- table: NAME -->` and `<!-- end -->`; NAME is one of `TABLES`.
"""

from __future__ import annotations

import re
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.results import FOLDER, ResultFile, ResultRow, load_results

README = Path(__file__).parent.parent / "README.md"
_SHOWN_WORDS = (4, 8, 12, 16, 32)
_MARKED = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def render_quality() -> str:
    """Scores of each reported work, one row a work; a figure that was not measured is left blank."""
    found = load_results("quality")
    columns: dict[str, Callable[[str], str]] = {
        "work (test split)": str,
        "exact match [95 %]": lambda work: _interval(found, work, "exact match"),
        "largest logits alone": lambda work: _share(found, work, "exact match, largest logits alone"),
        "not in train": lambda work: _share(found, work, "exact match, utterances not in train"),
        "intent": lambda work: _share(found, work, "intent accuracy"),
        "slot F1": lambda work: _share(found, work, "slot f1"),
        "of its teacher's exact match": lambda work: _share(found, work, "retention"),
        "int8 less float, points": lambda work: _points(found, work, "exact match less float"),
        "intents in scope": lambda work: _share(found, work, "in-scope accuracy"),
        "out-of-scope AUROC": lambda work: _share(found, work, "out-of-scope AUROC"),
        "intent + slot flips against PyTorch": lambda work: _flips(found, work),
        "parameters": lambda work: _millions(found, work, "parameters", " M"),
        "weights": lambda work: _millions(found, work, "weights", " MB"),
    }
    rows = [[cell(work) for cell in columns.values()] for work in sorted(_works(found))]
    shown = [place for place in range(len(columns)) if any(row[place] for row in rows)]
    return _table(
        [list(columns)[place] for place in shown], [[row[place] for place in shown] for row in rows]
    ) + _source(found)


def _interval(found: ResultFile, work: str, metric: str) -> str:
    row = _find_any(found, work, metric)
    if row is None:
        return ""
    return f"**{row.value:.1%}**" + (
        f" [{row.low:.1%}, {row.high:.1%}]" if row.low is not None and row.high is not None else ""
    )


def _share(found: ResultFile, work: str, metric: str) -> str:
    row = _find_any(found, work, metric)
    return "" if row is None else f"{row.value:.1%}"


def _points(found: ResultFile, work: str, metric: str) -> str:
    row = _find_any(found, work, metric)
    return "" if row is None else f"{100 * row.value:+.2f}"


def _millions(found: ResultFile, work: str, metric: str, unit: str) -> str:
    row = _find_any(found, work, metric)
    return "" if row is None else f"{row.value / 1e6:.2f}{unit}"


def _flips(found: ResultFile, work: str) -> str:
    intents, slots = (_find_any(found, work, metric) for metric in ("intent flips", "slot flips"))
    return "" if intents is None or slots is None else f"{intents.value:.0f} + {slots.value:.0f} of {intents.n:,}"


def render_latency() -> str:
    """Times beside peers, how near they are to what the machine allows, and what a start costs;

    what was not measured is left blank.
    """
    found = load_results("latency")
    rows = []
    for work in (work for work in _works(found) if _find_any(found, work, "ratio to best peer")):
        for row in found.rows:
            if row.work == work and row.metric == "median":

                def show(
                    metric: str, form: str = ".0f", scale: float = 1.0, work: str = work, peer: str = row.peer
                ) -> str:
                    figure = next(
                        (each for each in found.rows if (each.work, each.metric, each.peer) == (work, metric, peer)),
                        None,
                    )
                    return "" if figure is None else format(figure.value * scale, form)

                rows.append(
                    [
                        work,
                        row.peer,
                        f"**{row.value:.0f}**",
                        *(show(f"median at {words} words") for words in _SHOWN_WORDS),
                        show("share of the roofline", ".0%"),
                        show("median, in turn"),
                        show("share of the roofline, in turn", ".0%"),
                        show("processor time a call"),
                        show("process start to first answer"),
                        show("fresh process: load", ".1f"),
                        show("fresh process: peak memory", ".0f", 1e-6),
                        show("file", ".2f", 1e-6),
                    ]
                )
        alone = _find(found, work, "median of the compiled call alone")
        ratio, in_turn = (_find(found, work, f"ratio to best peer{how}") for how in ("", ", in turn"))
        share = _find_any(found, work, "share of the roofline, compiled call alone")
        blank = [""] * len(_SHOWN_WORDS)
        shown = "" if share is None else f"{share.value:.0%}"
        rows.append(
            [work, f"{alone.peer}: the compiled function alone", f"{alone.value:.0f}", *blank, shown, *[""] * 7]
        )
        rows.append(
            [work, f"ours / {ratio.peer}", f"**{ratio.value:.2f}**", *blank, "", f"**{in_turn.value:.2f}**", *[""] * 6]
        )
    words = [f"{words} words" if words == _SHOWN_WORDS[0] else str(words) for words in _SHOWN_WORDS]
    head = (
        "work",
        "median us a call",
        "all",
        *words,
        "of the roofline",
        "all, in turn",
        "of the roofline",
        "processor us",
        "start to answer, ms",
        "load, ms",
        "peak MB",
        "file MB",
    )
    return _table(head, rows) + _source(found)


def render_size() -> str:
    """Bytes, load, first call and memory of packages."""
    found = load_results("size")
    rows = [
        [row.work, row.metric, f"{row.value:,.0f}" if row.unit == "bytes" else f"{row.value:,.1f}", row.unit]
        for row in found.rows
    ]
    return _table(("work", "figure", "value", "unit"), rows) + _source(found)


def render_ablations() -> str:
    """Development scores of runs that differ from the default of their work in one thing, means over seeds, and the
    picture.
    """
    found = load_results("ablations")
    rows = []
    for work in _works(found):
        peers = dict.fromkeys(row.peer for row in found.rows if row.work == work)
        default = _mean(found, work, "default", "exact match")
        for peer in sorted(peers, key=lambda each: each != "default"):
            score = _mean(found, work, peer, "exact match")
            spread = f" ± {score.spread:.1%}" if score.seeds > 1 else ""
            rest = [
                f"{_mean(found, work, peer, metric).value:.1%}"
                for metric in ("intent accuracy", "slot f1", "exact match, int8")
            ]
            size = _mean(found, work, peer, "int8 artifact").value
            change = "" if peer == "default" else f"{100 * (score.value - default.value):+.1f}"
            rows.append(
                [work, peer, f"{score.value:.1%}{spread}", change, *rest, f"{size / 1e6:.2f}", str(score.seeds)]
            )
    head = (
        "runs",
        "what differs",
        "exact match",
        "points",
        "intent",
        "slot F1",
        "exact match, int8",
        "MB in int8",
        "seeds",
    )
    return _table(head, rows) + "\n![Quality against bytes](benchmarks/results/pareto.png)\n" + _source(found)


class _Mean(NamedTuple):
    """Mean over seeds, their standard deviation, and how many there are."""

    value: float
    spread: float
    seeds: int


def _mean(found: ResultFile, work: str, peer: str, metric: str) -> _Mean:
    values = [row.value for row in found.rows if (row.work, row.peer, row.metric) == (work, peer, metric)]
    return _Mean(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0, len(values))


def render_targets() -> str:
    """What every target is, where it was run, and how it answers."""
    found = load_results("targets")
    rows = []
    for work in _works(found):
        executed = _find(found, work, "executed")
        ran = bool(executed.value)
        flips = f"**{_find(found, work, 'flips').value:.0f}** on {executed.n:,} texts" if ran else "**unverified**"
        largest = f"{_find(found, work, 'largest logit difference').value:.1e}" if ran else ""
        size, seconds, dispatches = (
            _find(found, work, metric).value for metric in ("artifact", "compile", "dispatches")
        )
        rows.append(
            [
                work,
                executed.note if ran else f"not run; {executed.note.split(';')[0]}",
                flips,
                largest,
                f"{size / 1e6:.2f}",
                f"{seconds:.0f}",
                f"{dispatches:.0f}",
            ]
        )
    head = (
        "precision, target",
        "executed on",
        "decisions that differ from PyTorch",
        "largest logit difference",
        "MB",
        "compiled in s",
        "dispatches",
    )
    return _table(head, rows) + _source(found)


def render_growth() -> str:
    """Time of a call against its size on every axis, the exponents, and the picture."""
    found = load_results("growth")
    rows = []
    for work in _works(found):
        points: dict[str, list[tuple[int, float]]] = {}
        for row in found.rows:
            name, _, figure = row.metric.partition(": ")
            if row.work == work and figure == "time":
                axis, _, size = name.partition(" ")
                points.setdefault(axis, []).append((int(size), row.value))
        for axis, values in points.items():
            shown = ", ".join(f"{size}: {value / 1e3:.2f}" for size, value in values)
            exponents = [_find_any(found, work, f"{axis}: exponent of time{part}") for part in ("", ", upper half")]
            most = _find_any(found, work, f"{axis} {values[-1][0]}: memory of a call")
            cells = ["" if each is None else f"{each.value:.2f}" for each in exponents]
            rows.append([work, axis, shown, *cells, "" if most is None else f"{most.value / 1e6:.1f}"])
    head = ("work", "axis", "size: ms a call", "exponent", "exponent, upper half", "MB that the largest call takes")
    pictures = "".join(
        f"\n![Growth of {work}](benchmarks/results/growth-{work.split(',')[0]}.png)\n" for work in _works(found)
    )
    return _table(head, rows) + pictures + _source(found)


TABLES: dict[str, Callable[[], str]] = {
    "quality": render_quality,
    "latency": render_latency,
    "size": render_size,
    "ablations": render_ablations,
    "targets": render_targets,
}
if (FOLDER / "growth.json").is_file():
    TABLES["growth"] = render_growth


def render_readme(text: str) -> str:
    """Return the README with every marked table made anew.

    Raises:
        KeyError: a marker names an unknown table.
    """
    return _MARKED.sub(lambda match: match[1] + TABLES[match[2]]() + match[3], text)


def _works(found: ResultFile) -> list[str]:
    return list(dict.fromkeys(row.work for row in found.rows))


def _find_any(found: ResultFile, work: str, metric: str) -> ResultRow | None:
    return next((row for row in found.rows if row.work == work and row.metric == metric), None)


def _find(found: ResultFile, work: str, metric: str, peer: str | None = None) -> ResultRow:
    return next(
        row for row in found.rows if row.work == work and row.metric == metric and (peer is None or row.peer == peer)
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _source(found: ResultFile) -> str:
    versions = found.environment["versions"]
    named = ", ".join(
        f"{name} {versions[name]}"
        for name in ("torch", "iree-base-compiler", "onnxruntime", "executorch", "ai-edge-litert")
        if name in versions
    )
    commands = "".join(f"\n    {command}" for command in found.command.split("\n"))
    return f"\nMeasured {found.date[:10]} at revision {found.revision[:12]} on {found.environment['cpu']}, one thread; {named}. Reproduce with\n{commands}\n\n"


def main() -> int:
    """Rewrite the README, or check it."""
    text = README.read_text(encoding="utf-8")
    wanted = render_readme(text)
    if "--check" in sys.argv[1:]:
        print(
            "README tables are up to date"
            if wanted == text
            else "README tables are stale: run python -m benchmarks.readme"
        )
        return int(wanted != text)
    README.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
