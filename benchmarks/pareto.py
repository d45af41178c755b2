"""The picture of quality against bytes: every setting of the ablations, and those that no smaller one beats."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pqrnn.evaluation.results import ResultRow

_NEAR = 0.008  # exact match: about the height of a label


class Point(NamedTuple):
    """One setting of the ablations.

    Attributes:
        work: Name of the work that it belongs to.
        name: Name of the setting.
        bytes: Size of its weights in 8 bits.
        quality: Mean exact match in 8 bits over its seeds.
        seeds: Number of seeds.
        front: Whether no setting of the same work is as small and better.
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
        point._replace(front=_is_front(point, points))
        for point in sorted(points, key=lambda point: (point.bytes, -point.quality))
    ]


def _is_front(point: Point, points: Sequence[Point]) -> bool:
    rivals = [
        rival for rival in points if rival.work == point.work and (rival.bytes, rival.name) != (point.bytes, point.name)
    ]
    return not any(
        rival.bytes <= point.bytes
        and rival.quality >= point.quality
        and (rival.bytes, rival.quality) != (point.bytes, point.quality)
        for rival in rivals
    )


def _group(front: Sequence[Point]) -> list[list[Point]]:
    """Put points together whose labels would fall on each other."""
    groups: list[list[Point]] = []
    for point in front:
        last = groups[-1][-1] if groups else None
        if last is not None and point.bytes < 1.2 * last.bytes and abs(point.quality - last.quality) < _NEAR:
            groups[-1].append(point)
        else:
            groups.append([point])
    return groups


def draw_pareto(rows: Sequence[ResultRow], path: Path) -> None:
    """Draw exact match in 8 bits against bytes, one colour for each work, and write it as PNG."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    points = find_points(rows)
    figure, axes = pyplot.subplots(figsize=(9, 5.5), layout="constrained")
    for index, work in enumerate(dict.fromkeys(point.work for point in points)):
        mine = [point for point in points if point.work == work]
        front = [point for point in mine if point.front]
        colour = f"C{index}"
        axes.scatter([point.bytes for point in mine], [point.quality for point in mine], s=18, color=colour, alpha=0.45)
        axes.plot(
            [point.bytes for point in front], [point.quality for point in front], marker="o", color=colour, label=work
        )
        for together in _group(front):
            names = "\n".join(point.name for point in reversed(together))
            axes.annotate(
                names,
                (together[0].bytes, together[0].quality),
                textcoords="offset points",
                xytext=(-6, 1),
                fontsize=7,
                ha="right",
            )
    axes.set_xscale("log")
    axes.margins(x=0.12)  # room for the label of the smallest
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
