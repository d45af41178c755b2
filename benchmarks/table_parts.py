"""What the tables of the results page are made of: rows found by name, cells, and where a result comes from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.results import ResultFile
from pqrnn.evaluation.results import ResultRow


def find_row(results: ResultFile, work: str, metric: str, peer: str | None = None) -> ResultRow | None:
    """Return the row of a work and metric, of any peer by default; None where it was not measured."""
    return next(
        (row for row in results.rows if (row.work, row.metric) == (work, metric) and peer in (None, row.peer)), None
    )


def require_row(results: ResultFile, work: str, metric: str, peer: str | None = None) -> ResultRow:
    """Return the row of a work and metric.

    Raises:
        KeyError: It was not measured.
    """
    row = find_row(results, work, metric, peer)
    if row is None:
        raise KeyError(f"{results.name}: no {metric!r} of {work!r}")
    return row


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def list_works(results: ResultFile) -> list[str]:
    """Return the works of a result, in order."""
    return list(dict.fromkeys(row.work for row in results.rows))


def describe_source(results: ResultFile) -> str:
    """Return when and where a result was measured, and the commands that do it again."""
    versions = results.environment["versions"]
    named = ", ".join(
        f"{name} {versions[name]}"
        for name in ("torch", "iree-base-compiler", "onnxruntime", "executorch", "ai-edge-litert")
        if name in versions
    )
    commands = "".join(f"\n    {command}" for command in results.command.split("\n"))
    machine = f"{results.environment['cpu']}, one thread"
    return (
        f"\nMeasured {results.date[:10]} at revision {results.revision[:12]} on {machine}; "
        f"{named}. Reproduce with\n{commands}\n\n"
    )


def interval(results: ResultFile, work: str, metric: str) -> str:
    """Return a share in bold with its 95 % interval, or nothing where it was not measured."""
    row = find_row(results, work, metric)
    if row is None:
        return ""
    bounds = f" [{row.low:.1%}, {row.high:.1%}]" if row.low is not None and row.high is not None else ""
    return f"**{row.value:.1%}**{bounds}"
