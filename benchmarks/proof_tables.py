"""Tables of what was proved: parity on each target, and what was withstood."""

from __future__ import annotations

from benchmarks.results import load_results
from benchmarks.table_parts import describe_source, find_row, interval, list_works, table


def render_parity() -> str:
    """Render what each target of a parser answers beside its teacher."""
    results = load_results("parity")
    rows = []
    for work in list_works(results):
        certified, retention = find_row(results, work, "certified"), find_row(results, work, "retention")
        flips = [find_row(results, work, f"{kind} flips") for kind in ("intent", "slot")]
        rows.append(
            [
                work,
                certified.note.removeprefix("run by ") if certified is not None else "",
                "" if retention is None else f"{retention.n:,}",
                *("" if row is None else f"{row.value:.0f}" for row in flips),
                *(interval(results, work, metric) for metric in ("exact match", "retention")),
                "yes" if certified is not None and certified.value else "no",
            ]
        )
    head = ["parser, target", "run by", "texts", "intent flips", "slot flips", "exact match", "retention", "certified"]
    return table(head, rows) + describe_source(results)


def render_robustness() -> str:
    """Render what was withstood, and of how much."""
    results = load_results("robustness")
    rows = []
    for row in results.rows:
        value = f"{row.value:,.0f}" if float(row.value).is_integer() else f"{row.value:.3g}"
        work = f"{row.work}, {row.peer}" if row.peer else row.work
        rows.append([work, row.metric, value, row.unit or "", "" if row.n is None else f"{row.n:,}"])
    return table(["what", "figure", "value", "unit", "of"], rows) + describe_source(results)
