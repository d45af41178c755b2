"""The few figures and tables of the front page, each from a kept result."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from benchmarks.results import ResultFile, load_results
from benchmarks.table_parts import find_row, interval, require_row, table
from benchmarks.tables import DATA_SETS

_OURS, _OURS_INT8 = "ours, bytes to logits", "ours, bytes to logits, int8"
_BEST, _EARLIER = "mtop-en distilled int8", "latency_2026_11_22"
_SHOWN_PARSERS = ("mtop-en", "mtop-es", "mtop-fr", "mtop-de", "mtop-hi", "mtop-th", "massive-en", "snips")
_SHOWN_PEERS = {
    "ours, native, 4 bits, bytes to parse": "**pqrnn**, native library, 4 bits, bytes to parse",
    "ours, native, bytes to parse": "**pqrnn**, native library, bytes to parse",
    _OURS_INT8: "**pqrnn**, package, bytes to logits",
    "LiteRT int8": "LiteRT, encoder alone",
    "ExecuTorch XNNPACK int8": "ExecuTorch XNNPACK, encoder alone",
    "ONNX Runtime int8": "ONNX Runtime, encoder alone",
}


# A library is started from Python.
_STARTED_AS = {"ours, native, bytes to parse": "ours, native, text to parse in Python"}


class Figure(NamedTuple):
    """A figure of the front page: the row of a kept result, and how it is written.

    Attributes:
        file: Name of the kept result.
        work: Work of the row.
        metric: Metric of the row.
        form: Format, as for `format`.
        peer: Peer of the row; None takes the first of any peer.
        scale: Factor from the row's unit to the one that is shown.
    """

    file: str
    work: str
    metric: str
    form: str
    peer: str | None = None
    scale: float = 1.0

    def text(self) -> str:
        """Return the figure as it is shown."""
        value = require_row(load_results(self.file), self.work, self.metric, self.peer).value
        return format(value * self.scale, self.form)


FIGURES: dict[str, Figure] = {
    "exact match": Figure("quality", _BEST, "exact match", ".1%"),
    "retention": Figure("quality", _BEST, "retention", ".1%"),
    "intent flips": Figure("quality", _BEST, "intent flips", ".0f"),
    "slot flips": Figure("quality", _BEST, "slot flips", ".0f"),
    "teacher exact match": Figure("quality", "mtop-en teacher, MiniLM", "exact match", ".1%"),
    "teacher M": Figure("quality", "mtop-en teacher, MiniLM", "parameters", ".1f", scale=1e-6),
    "one parser of six": Figure(
        "quality", "mtop six languages average, projection 2, int8, one parser", "exact match", ".1%"
    ),
    "six languages in 4 bits": Figure(
        "quality", "mtop six languages average, projection 2, 4 bits", "exact match", ".1%"
    ),
    "MB in 4 bits": Figure("quality", "mtop-en, projection 2, 4 bits", "weights", ".2f", scale=1e-6),
    "clinc150": Figure("quality", "clinc150 supervised int8", "exact match", ".1%"),
    "clinc150 in scope": Figure("quality", "clinc150 supervised int8", "in-scope accuracy", ".1%"),
    "clinc150 auroc": Figure("quality", "clinc150 supervised int8", "out-of-scope AUROC", ".1%"),
    "native us": Figure("latency", "int8, mtop-en", "median", ".0f", "ours, native, bytes to parse"),
    "native cold us": Figure("latency", "int8, mtop-en", "median, cold", ".0f", "ours, native, bytes to parse"),
    "teacher us": Figure(_EARLIER, "f32, mtop-en", "median", ",.0f", "its teacher, compiled the same way"),
    "earlier int8 us": Figure(_EARLIER, "int8, mtop-en", "median", ".0f", _OURS_INT8),
    "earlier best peer us": Figure(_EARLIER, "int8, mtop-en", "median", ".0f", "LiteRT int8"),
    "earlier f32 us": Figure(_EARLIER, "f32, mtop-en", "median", ".0f", _OURS),
    "earlier f32 best peer us": Figure(_EARLIER, "f32, mtop-en", "median", ".0f", "LiteRT"),
    "package MB": Figure("size", "int8, mtop-en", "package", ".2f", scale=1e-6),
}
"""Figures that stand in the text of the front page or in its picture, by name."""


def render_figure(name: str) -> str:
    """Return a figure as the front page shows it.

    Raises:
        KeyError: There is no figure of that name.
    """
    return FIGURES[name].text() if name in FIGURES else COUNTS[name]()


def _count_utterances() -> str:
    return f"{require_row(load_results('quality'), _BEST, 'intent flips').n:,}"


def _work_of(results: ResultFile, key: str) -> str:
    """Return the work of the parser that is shipped for a data set: the one that was trained last."""
    newest = f"{key}, projection 2, int8"
    return newest if find_row(results, newest, "exact match") is not None else f"{key} distilled int8"


def _average_six() -> str:
    results = load_results("quality")
    keys = [key for key in _SHOWN_PARSERS if key.startswith("mtop-")]
    return f"{sum(require_row(results, _work_of(results, key), 'exact match').value for key in keys) / len(keys):.1%}"


def _count_target_flips() -> str:
    return f"{sum(row.value for row in load_results('targets').rows if row.metric == 'flips'):.0f}"


def _count_targets(executed: bool) -> str:
    """Count targets, of which some have rows of two precisions."""
    rows = [row for row in load_results("targets").rows if row.metric == "executed"]
    return str(len({row.work.partition(", ")[2] for row in rows if row.value or not executed}))


COUNTS: dict[str, Callable[[], str]] = {
    "six languages": _average_six,
    "utterances": _count_utterances,
    "targets": lambda: _count_targets(executed=False),
    "target flips": _count_target_flips,
    "targets run": lambda: _count_targets(executed=True),
}
"""Counts over the rows of a result."""


def render_parsers() -> str:
    """Render eight shipped parsers in 8 bits beside training on labels alone and the teacher, on the test splits."""
    results = load_results("quality")
    rows = []
    for key in _SHOWN_PARSERS:
        work = _work_of(results, key)
        # Some parsers were trained again with another teacher than those of the same data before.
        again = ["multilingual e5"] if "projection 2" in work else []
        teachers = [f"{key} teacher, {kind}" for kind in (*again, "MiniLM", "mean of two", "mean of three")]
        figures = [
            find_row(results, f"{key} supervised", "exact match"),
            next(filter(None, (find_row(results, teacher, "exact match") for teacher in teachers)), None),
            find_row(results, work, "intent accuracy"),
            find_row(results, work, "slot f1"),
        ]
        weights = require_row(results, work, "weights").value
        shares = ["" if figure is None else f"{figure.value:.1%}" for figure in figures]
        rows.append([DATA_SETS[key], interval(results, work, "exact match"), *shares, f"{weights / 1e6:.2f} MB"])
    head = ("data set", "exact match [95 %]", "from labels alone", "its teacher", "intent", "slot F1", "weights")
    return table(head, rows)


def render_peers() -> str:
    """Render the time of a call in integers and what a start costs, beside three runtimes."""
    results = load_results("latency")
    work = "int8, mtop-en"
    columns = {
        "in a row": ("median", "**{:.0f} µs**", 1.0),
        "in turn": ("median, in turn", "{:.0f} µs", 1.0),
        "cold": ("median, cold", "**{:.0f} µs**", 1.0),
        "process start to answer": ("process start to first answer", "{:,.0f} ms", 1.0),
        "peak memory": ("fresh process: peak memory", "{:.0f} MB", 1e-6),
        "file": ("file", "{:.2f} MB", 1e-6),
    }
    rows = []
    for peer, name in _SHOWN_PEERS.items():
        found = [
            (
                find_row(results, work, metric, peer) or find_row(results, work, metric, _STARTED_AS.get(peer, peer)),
                form,
                scale,
            )
            for metric, form, scale in columns.values()
        ]
        rows.append([name, *("" if row is None else form.format(row.value * scale) for row, form, scale in found)])
    return table(("MTOP English", *columns), rows)


HIGHLIGHTS: dict[str, Callable[[], str]] = {"parsers": render_parsers, "peers": render_peers}
"""The tables of the front page, by name."""
