"""Tables of speed: calls beside peers, kernels, weights of few bits, levels of x86-64."""

from __future__ import annotations

from benchmarks.results import ResultFile, load_results
from benchmarks.table_parts import describe_source, find_row, list_works, require_row, table

_SHOWN_WORDS = (4, 8, 12, 16, 32)


def render_latency(name: str = "latency") -> str:
    """Render times beside peers, how near they are to what the machine allows, and what a start costs.

    What was not measured is left blank.

    Args:
        name: Name of the kept result; one of another machine stands beside the newest.
    """
    results = load_results(name)
    rows: list[list[str]] = []
    for work in list_works(results):
        if find_row(results, work, "median of the compiled call alone"):
            rows += _latency_rows(results, work)
    words = [f"{count} words" if count == _SHOWN_WORDS[0] else str(count) for count in _SHOWN_WORDS]
    head = (
        "work",
        "median us a call",
        "all",
        *words,
        "of the roofline",
        "all, in turn",
        "of the roofline",
        "some, cold",
        "processor us",
        "start to answer, ms",
        "load, ms",
        "peak MB",
        "file MB",
    )
    return table(head, rows) + describe_source(results)


def _latency_rows(results: ResultFile, work: str) -> list[list[str]]:
    rows = []
    for row in results.rows:
        if row.work != work or row.metric != "median":
            continue

        def show(metric: str, form: str = ".0f", scale: float = 1.0, peer: str = row.peer) -> str:
            figure = find_row(results, work, metric, peer)
            return "" if figure is None else format(figure.value * scale, form)

        rows.append(
            [
                work,
                row.peer,
                f"**{row.value:.0f}**",
                *(show(f"median at {count} words") for count in _SHOWN_WORDS),
                show("share of the roofline", ".0%"),
                show("median, in turn"),
                show("share of the roofline, in turn", ".0%"),
                show("median, cold"),
                show("processor time a call"),
                show("process start to first answer"),
                show("fresh process: load", ".1f"),
                show("fresh process: peak memory", ".0f", 1e-6),
                show("file", ".2f", 1e-6),
            ]
        )
    alone = require_row(results, work, "median of the compiled call alone")
    share = _share_of_roofline(results, work)
    blank = [""] * len(_SHOWN_WORDS)
    function = f"{alone.peer}: the compiled function alone"
    rows.append([work, function, f"{alone.value:.0f}", *blank, share, *[""] * 8])
    name = work.partition(",")[2]
    for other in (work, *((f"{form} native,{name}" for form in ("int8", "4 bits")) if work.startswith("int8") else ())):
        ratios = [find_row(results, other, f"ratio to best peer{order}") for order in ("", ", in turn", ", cold")]
        if ratios[0] is not None:
            shown = [f"**{ratio.value:.2f}**" if ratio else "" for ratio in ratios]
            rows.append([other, f"ours / {ratios[0].peer}", shown[0], *blank, "", shown[1], "", shown[2], *[""] * 5])
    return rows


def _share_of_roofline(results: ResultFile, work: str) -> str:
    row = find_row(results, work, "share of the roofline, compiled call alone")
    return "" if row is None else f"{row.value:.0%}"


def render_kernels() -> str:
    """Render integer matrix products: our kernels beside the compiler's own code, by rows of the left matrix."""
    results = load_results("kernels")
    counts = sorted({int(row.metric.split()[0]) for row in results.rows if " rows, " in row.metric})
    rows = []
    for work in (work for work in list_works(results) if "," in work):
        for peer in dict.fromkeys(row.peer for row in results.rows if row.work == work):
            figure = "speed" if find_row(results, work, f"{counts[0]} rows, speed", peer) else "instructions"
            cells = [find_row(results, work, f"{count} rows, {figure}", peer) for count in counts]
            unit = "GOP/s" if figure == "speed" else figure
            rows.append([work, peer, unit, *("" if cell is None else f"{cell.value:,.0f}" for cell in cells)])
    head = ("instructions, depth x columns", "code", "unit", f"{counts[0]} rows", *map(str, counts[1:]))
    return table(head, rows) + describe_source(results)


def render_weight_bits() -> str:
    """Render what weights of 4 bits are in compiled code beside those of 8: bytes, instructions, time."""
    results = load_results("weight_bits")
    rows = []
    for work in list_works(results):
        sizes, counts = (
            [find_row(results, work, metric, f"{bits} bits") for bits in (8, 4)]
            for metric in ("module", "instructions, 8 words")
        )
        times = [find_row(results, work, f"time against 8 bits, {regime}") for regime in ("in a row", "cold")]
        rows.append(
            [
                work,
                *("" if row is None else f"{row.value / 1e6:.2f}" for row in sizes),
                *("" if row is None else f"{row.value / 1e6:.2f}" for row in counts),
                *("" if row is None else f"**{row.value:.2f}**" for row in times),
            ]
        )
    head = ["parser, target", "8 bits, MB", "4 bits, MB"]
    head += ["8 bits, M instructions", "4 bits, M instructions", "time, in a row", "time, cold"]
    return table(head, rows) + describe_source(results)


def render_x86_levels() -> str:
    """Render the time of one parser at each level of x86-64 over that with VNNI."""
    results = load_results("x86_levels")
    metrics = list(dict.fromkeys(row.metric for row in results.rows))
    rows = []
    for work in list_works(results):
        found = [find_row(results, work, metric) for metric in metrics]
        rows.append([work, *("" if row is None else f"{row.value:.2f}" for row in found)])
    return table(["parser, weights, level", *metrics], rows) + describe_source(results)
