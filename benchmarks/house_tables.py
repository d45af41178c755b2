"""The table of parsers of Home Assistant's sentences beside its own matching."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.results import load_results
from benchmarks.tables import require_row, table

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


HOUSE: Mapping[str, Callable[[], str]] = {"home_assistant": render_home_assistant}
