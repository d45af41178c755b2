"""Tables of every kept result, as the page `benchmarks/results/README.md` shows them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple

from benchmarks.further_tables import render_distillation, render_length_adaptive, render_native
from benchmarks.proof_tables import render_parity, render_robustness
from benchmarks.results import ResultFile, load_results
from benchmarks.speed_tables import render_kernels, render_latency, render_weight_bits, render_x86_levels
from benchmarks.table_parts import describe_source, find_row, interval, list_works, require_row, table

DATA_SETS = {
    "mtop-en": "MTOP English",
    "mtop-es": "MTOP Spanish",
    "mtop-fr": "MTOP French",
    "mtop-de": "MTOP German",
    "mtop-hi": "MTOP Hindi",
    "mtop-th": "MTOP Thai",
    "mtop six languages average": "MTOP, average over six languages",
    "massive-en": "MASSIVE English",
    "snips": "SNIPS",
    "clinc150": "CLINC150",
    "home-assistant-en": "Home Assistant's sentences, English",
    "home-assistant-de": "Home Assistant's sentences, German",
}
"""What the works of `quality.json` begin with, and how the pages call these data."""


def render_quality() -> str:
    """Render the scores on the test splits, a table for each data set; a figure that was not measured is left blank."""
    results = load_results("quality")
    groups: dict[str, list[str]] = {}
    for work in sorted(list_works(results)):
        data = next((data for data in DATA_SETS if work.startswith((f"{data} ", f"{data}, "))), "")
        groups.setdefault(data, []).append(work)
    parts = [
        f"\n### {DATA_SETS.get(data, 'Others')}\n\n" + _quality_table(results, data, groups[data])
        for data in [*DATA_SETS, ""]
        if data in groups
    ]
    return "".join(parts) + describe_source(results)


def _quality_table(results: ResultFile, data: str, works: Sequence[str]) -> str:
    columns: dict[str, Callable[[str], str]] = {
        "test split": lambda work: work.removeprefix(data).strip(" ,"),
        "exact match [95 %]": lambda work: interval(results, work, "exact match"),
        "largest logits alone": lambda work: _share(results, work, "exact match, largest logits alone"),
        "not in train": lambda work: _share(results, work, "exact match, utterances not in train"),
        "intent": lambda work: _share(results, work, "intent accuracy"),
        "slot F1": lambda work: _share(results, work, "slot f1"),
        "of its teacher's exact match": lambda work: _share(results, work, "retention"),
        "int8 less float, points": lambda work: _points(results, work, "exact match less float"),
        "intents in scope": lambda work: _share(results, work, "in-scope accuracy"),
        "out-of-scope AUROC": lambda work: _share(results, work, "out-of-scope AUROC"),
        "intent + slot flips against PyTorch": lambda work: _flips(results, work),
        "parameters": lambda work: _millions(results, work, "parameters", " M"),
        "weights": lambda work: _millions(results, work, "weights", " MB"),
    }
    rows = [[cell(work) for cell in columns.values()] for work in works]
    shown = [index for index in range(len(columns)) if any(row[index] for row in rows)]
    head = [list(columns)[index] for index in shown]
    return table(head, [[row[index] for index in shown] for row in rows])


def _share(results: ResultFile, work: str, metric: str) -> str:
    row = find_row(results, work, metric)
    return "" if row is None else f"{row.value:.1%}"


def _points(results: ResultFile, work: str, metric: str) -> str:
    row = find_row(results, work, metric)
    return "" if row is None else f"{100 * row.value:+.2f}"


def _millions(results: ResultFile, work: str, metric: str, unit: str) -> str:
    row = find_row(results, work, metric)
    return "" if row is None else f"{row.value / 1e6:.2f}{unit}"


def _flips(results: ResultFile, work: str) -> str:
    intents, slots = (find_row(results, work, metric) for metric in ("intent flips", "slot flips"))
    return "" if intents is None or slots is None else f"{intents.value:.0f} + {slots.value:.0f} of {intents.n:,}"


def render_size() -> str:
    """Render bytes, load, first call and memory of packages."""
    results = load_results("size")
    rows = [
        [row.work, row.metric, f"{row.value:,.0f}" if row.unit == "bytes" else f"{row.value:,.1f}", row.unit]
        for row in results.rows
    ]
    return table(("work", "figure", "value", "unit"), rows) + describe_source(results)


def render_ablations() -> str:
    """Render development scores of runs that differ from their default in one thing, and the picture of them.

    Scores are means over seeds.
    """
    results = load_results("ablations")
    parts = [f"\n### {work}\n\n" + _ablation_table(results, work) for work in list_works(results)]
    return "".join(parts) + "\n![Quality against bytes](pareto.png)\n" + describe_source(results)


def _ablation_table(results: ResultFile, work: str) -> str:
    settings = dict.fromkeys(row.peer for row in results.rows if row.work == work)
    default = _mean(results, work, "default", "exact match")
    rows = []
    for setting in sorted(settings, key=lambda name: name != "default"):
        score = _mean(results, work, setting, "exact match")
        spread = f" ± {score.spread:.1%}" if score.seeds > 1 else ""
        rest = [
            f"{_mean(results, work, setting, metric).value:.1%}"
            for metric in ("intent accuracy", "slot f1", "exact match, int8")
        ]
        size = _mean(results, work, setting, "int8 artifact").value
        change = "" if setting == "default" else f"{100 * (score.value - default.value):+.1f}"
        rows.append([setting, f"{score.value:.1%}{spread}", change, *rest, f"{size / 1e6:.2f}", str(score.seeds)])
    head = ("what differs", "exact match", "points", "intent", "slot F1", "exact match, int8", "MB in int8", "seeds")
    return table(head, rows)


class _Mean(NamedTuple):
    """Mean over seeds, their standard deviation, and how many there are."""

    value: float
    spread: float
    seeds: int


def _mean(results: ResultFile, work: str, setting: str, metric: str) -> _Mean:
    values = [row.value for row in results.rows if (row.work, row.peer, row.metric) == (work, setting, metric)]
    return _Mean(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0, len(values))


def render_targets() -> str:
    """Render what every target is, where it was run, and how it answers."""
    results = load_results("targets")
    rows = []
    for work in list_works(results):
        executed = require_row(results, work, "executed")
        ran = bool(executed.value)
        flips = require_row(results, work, "flips").value if ran else 0.0
        largest = f"{require_row(results, work, 'largest logit difference').value:.1e}" if ran else ""
        size, seconds, dispatches = (
            require_row(results, work, metric).value for metric in ("artifact", "compile", "dispatches")
        )
        counted, proof = (find_row(results, work, metric) for metric in ("instructions, 8 words", "proof"))
        rows.append(
            [
                work,
                executed.note if ran else f"not run; {executed.note.split(';')[0]}",
                f"**{flips:.0f}** on {executed.n:,} texts" if ran else "**unverified**",
                largest,
                f"{size / 1e6:.2f}",
                f"{seconds:.0f}",
                f"{dispatches:.0f}",
                "" if counted is None else f"{counted.value / 1e6:.2f}",
                "" if proof is None else f"{proof.value:.0f}",
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
        "million instructions, 8 words",
        "proved in s",
    )
    return table(head, rows) + describe_source(results)


def render_growth() -> str:
    """Render the time of a call against its size on every axis, the exponents, and the picture."""
    results = load_results("growth")
    rows = []
    for work in list_works(results):
        points: dict[str, list[tuple[int, float]]] = {}
        for row in results.rows:
            name, _, figure = row.metric.partition(": ")
            if row.work == work and figure == "time":
                axis, _, size = name.partition(" ")
                points.setdefault(axis, []).append((int(size), row.value))
        for axis, values in points.items():
            shown = ", ".join(f"{size}: {value / 1e3:.2f}" for size, value in values)
            exponents = [find_row(results, work, f"{axis}: exponent of time{part}") for part in ("", ", upper half")]
            most = find_row(results, work, f"{axis} {values[-1][0]}: memory of a call")
            cells = ["" if exponent is None else f"{exponent.value:.2f}" for exponent in exponents]
            rows.append([work, axis, shown, *cells, "" if most is None else f"{most.value / 1e6:.1f}"])
    head = ("work", "axis", "size: ms a call", "exponent", "exponent, upper half", "MB that the largest call takes")
    pictures = "".join(f"\n![Growth of {work}](growth-{work.split(',')[0]}.png)\n" for work in list_works(results))
    return table(head, rows) + pictures + describe_source(results)


def render_real_life() -> str:
    """Render the points of exact match that texts cost where they are written as people and recognisers write them."""
    results = load_results("real_life")
    metrics = list(dict.fromkeys(row.metric for row in results.rows))
    rows = [
        [
            work,
            *(
                "" if row is None else f"{100 * row.value:.1f}"
                for row in (find_row(results, work, metric) for metric in metrics)
            ),
        ]
        for work in list_works(results)
    ]
    return table(["parser", *(metric.removeprefix("points lost, ") for metric in metrics)], rows) + describe_source(
        results
    )


def render_few_bits() -> str:
    """Render development scores by bits of a weight and way of rounding, and how far from float32 each is."""
    results = load_results("few_bits")
    rows = []
    for work in list_works(results):
        for peer in dict.fromkeys(row.peer for row in results.rows if row.work == work):
            scores = [f"{require_row(results, work, metric, peer).value:.2%}" for metric in ("exact match", "slot f1")]
            apart = [
                f"{1e3 * require_row(results, work, f'divergence of {part}', peer).value:.1f}"
                for part in ("intents", "tags")
            ]
            size = require_row(results, work, "bytes", peer).value
            rows.append([work, peer, f"{size / 1e6:.2f}", *scores, *apart])
    head = ("parser", "weights", "MB", "exact match", "slot F1", "intents: millinats off", "tags: millinats off")
    return table(head, rows) + describe_source(results)


def render_unseen_pairs() -> str:
    """Render the scores under each decision where training lacks pairs of intent and slot."""
    results = load_results("unseen_pairs")
    decisions = list(dict.fromkeys(row.metric.partition(", ")[2] for row in results.rows))
    rows = []
    for work in list_works(results):
        for decision in decisions:
            metrics = (f"{metric}, {decision}" for metric in ("exact match", "intent accuracy"))
            rows.append([work, decision, *(interval(results, work, metric) for metric in metrics)])
    return table(["parser", "decision", "exact match", "intent accuracy"], rows) + describe_source(results)


TABLES: dict[str, Callable[[], str]] = {
    "quality": render_quality,
    "real_life": render_real_life,
    "unseen_pairs": render_unseen_pairs,
    "few_bits": render_few_bits,
    "latency": render_latency,
    "latency 2026 11 22": lambda: render_latency("latency_2026_11_22"),
    "weight_bits": render_weight_bits,
    "x86_levels": render_x86_levels,
    "size": render_size,
    "native": render_native,
    "distillation": render_distillation,
    "length_adaptive": render_length_adaptive,
    "ablations": render_ablations,
    "targets": render_targets,
    "growth": render_growth,
    "kernels": render_kernels,
    "parity": render_parity,
    "robustness": render_robustness,
}
"""The tables of the results page, by the name of the kept result."""
