"""The picture of quality against bytes: every setting of the ablations, and those that nothing smaller beats."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.results import ResultRow

_NEAR = 0.008  # exact match: about the height of a label


class Point(NamedTuple):
    """A setting: mean exact match in 8 bits over its seeds, bytes of its weights, and whether nothing smaller or equal
    is better.
    """

    work: str
    name: str
    bytes: float
    quality: float
    seeds: int
    front: bool


def find_points(rows: Sequence[ResultRow]) -> list[Point]:
    """Return the settings of all works, the smallest first; whether one is on the front is decided within its work."""
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    for row in rows:
        found.setdefault((row.work, row.peer), {}).setdefault(row.metric, []).append(row.value)
    points = [
        Point(
            work,
            name,
            figures["int8 artifact"][0],
            statistics.fmean(figures["exact match, int8"]),
            len(figures["exact match, int8"]),
            False,
        )
        for (work, name), figures in found.items()
    ]
    return [
        each._replace(front=_is_front(each, points))
        for each in sorted(points, key=lambda each: (each.bytes, -each.quality))
    ]


def _is_front(point: Point, points: Sequence[Point]) -> bool:
    rivals = [
        each for each in points if each.work == point.work and (each.bytes, each.name) != (point.bytes, point.name)
    ]
    return not any(
        each.bytes <= point.bytes
        and each.quality >= point.quality
        and (each.bytes, each.quality) != (point.bytes, point.quality)
        for each in rivals
    )


def _group(front: Sequence[Point]) -> list[list[Point]]:
    """Put points together whose labels would fall on each other."""
    groups: list[list[Point]] = []
    for each in front:
        if groups and each.bytes < 1.2 * groups[-1][-1].bytes and abs(each.quality - groups[-1][-1].quality) < _NEAR:
            groups[-1].append(each)
        else:
            groups.append([each])
    return groups


def draw_pareto(rows: Sequence[ResultRow], path: Path) -> None:
    """Draw exact match in 8 bits against bytes, one colour a work, and write it as PNG."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    points = find_points(rows)
    figure, axes = pyplot.subplots(figsize=(9, 5.5), layout="constrained")
    for number, work in enumerate(dict.fromkeys(each.work for each in points)):
        own = [each for each in points if each.work == work]
        front = [each for each in own if each.front]
        colour = f"C{number}"
        axes.scatter([each.bytes for each in own], [each.quality for each in own], s=18, color=colour, alpha=0.45)
        axes.plot(
            [each.bytes for each in front], [each.quality for each in front], marker="o", color=colour, label=work
        )
        for together in _group(front):
            names = "\n".join(each.name for each in reversed(together))
            axes.annotate(
                names,
                (together[0].bytes, together[0].quality),
                textcoords="offset points",
                xytext=(-6, 1),
                fontsize=7,
                ha="right",
            )
    axes.set_xscale("log")
    ticks = [100e3, 200e3, 500e3, 1e6, 2e6, 4e6]
    axes.set_xticks(ticks, [f"{tick / 1e3:,.0f} kB" if tick < 1e6 else f"{tick / 1e6:g} MB" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}" if (value * 100) % 1 < 1e-9 else f"{value:.1%}")
    axes.axvline(2e6, color="grey", linewidth=0.8, linestyle=":")
    axes.set_xlabel("bytes of the weights, int8")
    axes.set_ylabel("exact match in int8, development split, mean over seeds")
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
