"""The figures as tables for people."""

from __future__ import annotations

from collections.abc import Sequence

from compile.target_bench.figures import TargetFigures

# Title, columns and rows.
Table = tuple[str, tuple[str, ...], list[tuple[str, ...]]]


def figures_tables(figures: Sequence[TargetFigures]) -> list[Table]:
    """Return tables for people: one of all variants, and one of each; columns without a figure are left out."""
    sizes = [
        (
            variant.target,
            variant.runner or "-",
            f"{variant.module_bytes:,}",
            f"{variant.code_bytes:,}",
            f"{variant.weight_bytes:,}",
            "; ".join(variant.notes) or "-",
        )
        for variant in figures
    ]
    tables = [_table("compiled modules, bytes", ("target", "ran on", "module", "code", "weights", "notes"), sizes)]
    columns = (
        "bucket",
        "launches",
        "instructions of the code",
        "with the runtime, about",
        "peak bytes of buffers",
        "us, median of repetitions",
    )
    for variant in figures:
        costs = [
            (
                f"{entry.words} words, {entry.bytes} bytes",
                str(entry.dispatches),
                _number(entry.instructions_code),
                _number(entry.instructions_call),
                _number(entry.peak_bytes),
                "-"
                if entry.median is None
                else f"{entry.median:.0f} ({min(entry.microseconds):.0f} to {max(entry.microseconds):.0f})",
            )
            for entry in variant.entries
        ]
        tables.append(_table(f"{variant.target}, {variant.runner or 'not run'}, one call", columns, costs))
    return tables


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    kept = [number for number in range(len(columns)) if any(row[number] != "-" for row in rows)]
    return title, tuple(columns[number] for number in kept), [tuple(row[number] for number in kept) for row in rows]


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"
