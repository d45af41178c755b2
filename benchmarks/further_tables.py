"""Tables of encoders (ways to distil them, answers within budgets of work), and of native parsers."""

from __future__ import annotations

from benchmarks.results import load_results
from benchmarks.table_parts import describe_source, find_row, interval, list_works, require_row, table


def render_distillation() -> str:
    """Render the development exact match of every student, by the way in which it was distilled."""
    results = load_results("distillation")
    rows = [
        [row.work, row.peer, f"{row.value:.1%} [{row.low:.1%}, {row.high:.1%}]", row.note]
        for row in results.rows
        if row.low is not None and row.high is not None
    ]
    return table(["setting, shape, task", "student", "exact match", "of it"], rows) + describe_source(results)


def render_length_adaptive() -> str:
    """Render F1, exact match and work of a network that answers questions, and of its parts."""
    results = load_results("length_adaptive")
    rows = []
    for work in list_works(results):
        if find_row(results, work, "f1") is None:
            continue
        speed = find_row(results, work, "speed-up over torch f32")
        rows.append(
            [
                work,
                f"{require_row(results, work, 'share of the MACs').value:.3f}",
                interval(results, work, "f1"),
                interval(results, work, "exact match"),
                "" if speed is None else f"{speed.value:.2f}",
            ]
        )
    head = [
        "network, subwords passed on by each layer in %",
        "share of the MACs",
        "F1",
        "exact match",
        "torch's time / ours",
    ]
    return table(head, rows) + describe_source(results)


def render_native() -> str:
    """Render every figure of native parsers."""
    results = load_results("native")
    rows = [
        [
            row.work,
            f"{row.metric} ({row.peer})" if row.peer else row.metric,
            f"{row.value:,.0f}" if row.unit == "bytes" else f"{row.value:,.6g}",
            row.unit,
            row.note,
        ]
        for row in results.rows
    ]
    return table(["parser", "figure", "value", "unit", "of it"], rows) + describe_source(results)
