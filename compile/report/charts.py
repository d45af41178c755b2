"""The charts of a report: drawn by matplotlib as SVG, in the colours of the page around them.

matplotlib writes fixed colours. The few that are used here stand for the page's own, and are replaced by its CSS
variables, so that a chart is light or dark as the page is.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from compile.report.document import Latency, Point, SlotErrors
from compile.report.sensitivity import LayerNoise
from runtime_py.parity.steps import Figure

_INK, _GRID = "#010203", "#040506"
_SERIES = ("#0a0b01", "#0a0b02", "#0a0b03", "#0a0b04")
_PAGE = {_INK: "currentColor", _GRID: "var(--line)", **{c: f"var(--s{i})" for i, c in enumerate(_SERIES)}}
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "pqrnn",
    "font.family": "sans-serif",
    "font.size": 11,
    "text.color": _INK,
    "axes.edgecolor": _GRID,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "grid.color": _GRID,
    "legend.frameon": False,
}
_NAMELESS = dict.fromkeys(("Creator", "Date", "Format", "Type"))


def draw(name: str, title: str, plot: Callable[[Any], None], height: float = 3.2) -> str:
    """Return a chart as SVG that stands in an HTML page.

    Args:
        name: A name that no other chart of the page has.
        title: What it shows, for those who do not see it.
        plot: Draws into matplotlib's axes.
        height: Height in inches; the width is that of the page.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure as Canvas

    with rc_context(_STYLE):
        canvas = Canvas(figsize=(7.4, height), layout="constrained")
        plot(canvas.subplots())
        picture = io.StringIO()
        canvas.savefig(picture, format="svg", transparent=True, metadata=_NAMELESS)
    return _embed(picture.getvalue(), name, title)


def _embed(svg: str, name: str, title: str) -> str:
    """Make a file's SVG a part of a page: no prolog, no names of other elements, no fixed colours or size."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"\d*\.?\d+px 'sans-serif'[^;\"]*", "11px var(--font)", svg)
    for color, variable in _PAGE.items():
        svg = svg.replace(color, variable)
    head, body = svg.split(">", 1)
    head = re.sub(r'\s(width|height|version)="[^"]*"', "", head)
    return f'{head} role="img" aria-labelledby="{name}-title"><title id="{name}-title">{escape(title)}</title>{body}'


def draw_latency(parts: Sequence[Latency]) -> str:
    """Draw the distributions of the times of a call."""

    def plot(axes: Any) -> None:
        for index, part in enumerate(parts):
            axes.stairs(
                [count / part.n for count in part.counts], part.edges, color=_SERIES[index], label=part.part, lw=1.8
            )
        axes.set(xlabel="microseconds a call", ylabel="share of the calls")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.grid(alpha=0.6)
        axes.legend()

    medians = ", ".join(f"{part.part} {part.median:.0f} µs" for part in parts)
    return draw("latency", f"Distribution of the time of a call; medians: {medians}", plot)


def draw_points(points: Sequence[Point]) -> str:
    """Draw exact match against bytes."""

    def plot(axes: Any) -> None:
        for index, point in enumerate(points):
            axes.scatter([point.bytes / 1e6], [point.exact_match], s=70, color=_SERIES[index % 4], zorder=3)
            axes.annotate(point.name, (point.bytes / 1e6, point.exact_match), textcoords="offset points", xytext=(8, 8))
        axes.set_xscale("log")
        axes.margins(x=0.35, y=0.35)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} MB")
        axes.xaxis.set_minor_formatter(lambda value, _: "")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.1%}")
        axes.set(xlabel="bytes: the whole package; a teacher's weights in float32", ylabel="exact match")
        axes.grid(alpha=0.6)

    said = "; ".join(f"{point.name}: {point.exact_match:.1%} at {point.bytes / 1e6:.2f} MB" for point in points)
    return draw("pareto", f"Exact match against bytes. {said}", plot)


def draw_scores(rows: Sequence[tuple[str, Figure]]) -> str:
    """Draw shares with their intervals."""

    def plot(axes: Any) -> None:
        places = range(len(rows))
        values = [figure.value for _, figure in rows]
        spread = [
            [max(figure.value - figure.low, 0.0) for _, figure in rows],
            [max(figure.high - figure.value, 0.0) for _, figure in rows],
        ]
        axes.errorbar(values, places, xerr=spread, fmt="o", color=_SERIES[0], capsize=4, lw=1.8)
        axes.set_yticks(list(places), [name for name, _ in rows])
        axes.invert_yaxis()
        axes.margins(x=0.1, y=0.2)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.1%}")
        axes.grid(alpha=0.6, axis="x")

    said = "; ".join(f"{name} {figure.value:.1%}" for name, figure in rows)
    return draw("scores", f"Shares with 95 % bootstrap intervals: {said}", plot, 0.9 + 0.42 * len(rows))


def draw_slots(rows: Sequence[SlotErrors]) -> str:
    """Draw what goes wrong with each slot."""
    kinds = (
        ("missed", "missed"),
        ("other_label", "other label"),
        ("other_span", "other span"),
        ("invented", "invented"),
    )

    def plot(axes: Any) -> None:
        from matplotlib.ticker import MaxNLocator

        left = [0] * len(rows)
        for index, (field, label) in enumerate(kinds):
            widths = [getattr(row, field) for row in rows]
            axes.barh([row.label for row in rows], widths, 0.6, left, color=_SERIES[index], label=label)
            left = [a + b for a, b in zip(left, widths, strict=True)]
        axes.invert_yaxis()
        axes.set(xlabel="slots")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.margins(y=0.25 if len(rows) < 3 else 0.05)
        axes.grid(alpha=0.6, axis="x")
        axes.figure.legend(loc="outside upper left", ncols=len(kinds))

    return draw("slots", "Errors by slot and kind; the table below has the numbers", plot, 1.5 + 0.3 * len(rows))


def draw_noise(rows: Sequence[LayerNoise]) -> str:
    """Draw signal to noise by layer."""

    def plot(axes: Any) -> None:
        axes.barh([row.layer for row in rows], [row.signal_to_noise for row in rows], 0.6, color=_SERIES[0])
        axes.invert_yaxis()
        axes.set(xlabel="decibels; 6 more for each bit")
        axes.grid(alpha=0.6, axis="x")

    worst = min(rows, key=lambda row: row.signal_to_noise)
    least = f"the least is {worst.signal_to_noise:.1f} dB, {worst.layer}"
    title = f"Signal to noise of activations in 8 bits, by layer; {least}"
    return draw("noise", title, plot, 1.0 + 0.3 * len(rows))
