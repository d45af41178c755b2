"""Tables of what an assistant needs: Home Assistant's sentences, scores and scope, new commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.results import load_results
from benchmarks.table_parts import describe_source, find_row, require_row, table

_PREFIX = "home-assistant-"
_SHARES = (
    "right on exact sentences",
    "right on perturbed sentences",
    "wrong on perturbed sentences",
    "out of scope refused",
)


def render_home_assistant() -> str:
    """Render what both answer, and what it costs them."""
    results = load_results("assistant")
    works = sorted({row.work for row in results.rows if row.work.startswith(_PREFIX)})
    rows = []
    for work in works:
        for peer in ("pqrnn", "hassil"):
            shares = [f"{require_row(results, work, metric, peer).value:.1%}" for metric in _SHARES]
            median = require_row(results, work, "median processor time", peer).value / 1e3
            memory = require_row(results, work, "memory", peer).value / 1e6
            rows.append([work.removeprefix(_PREFIX), peer, *shares, f"{median:.1f} ms", f"{memory:.0f} MB"])
    return table(["language", "", *_SHARES, "processor time, median", "peak memory"], rows)


_SCORES = (
    "calibration error",
    "in scope kept",
    "out of scope refused, CLINC150, out of scope",
    "AUROC, CLINC150, out of scope",
    "out of scope refused, MASSIVE, other kinds",
    "unseen names right",
    "unseen names right, with a list of them",
    "joined sentences right",
    "false splits",
)


def render_scores() -> str:
    """Render how far scores can be trusted, what is refused, and names and sentences of several commands.

    A figure that was also measured without a calibration stands behind that one.
    """
    results = load_results("assistant")
    rows = []
    for work in dict.fromkeys(row.work for row in results.rows):
        if find_row(results, work, "calibration error") is None:
            continue
        cells = []
        for metric in _SCORES:
            found = [row.value for row in results.rows if (row.work, row.metric) == (work, metric)]
            cells.append(" → ".join(f"{100 * value:.1f}" for value in found))
        rows.append([work, *cells])
    return table(["parser", *_SCORES], rows) + describe_source(results)


_EXTENDED = (
    "old exact match before",
    "old exact match lost",
    "new sentences right",
    "new sentences with other values right",
    "processor time",
)


def render_extending() -> str:
    """Render what parsers lost and learned when they were extended."""
    results = load_results("extending")
    rows = []
    for work in dict.fromkeys(row.work for row in results.rows):
        found = [require_row(results, work, metric) for metric in _EXTENDED]
        cells = [f"{row.value:.2f} {row.unit}" if row.unit else f"{row.value:.1%}" for row in found]
        rows.append([work, *cells])
    return table(["parser, sentences learned", *_EXTENDED], rows) + describe_source(results)


HOUSE: Mapping[str, Callable[[], str]] = {
    "home_assistant": render_home_assistant,
    "scores": render_scores,
    "extending": render_extending,
}
