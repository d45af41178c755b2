"""Measured figures, as benchmarks keep them and as the entries of the zoo quote them."""

from __future__ import annotations

import msgspec


class ResultRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One measured figure.

    Attributes:
        work: Name of what was measured, such as "mtop-en supervised".
        metric: Kind of the figure, such as "exact match"; shares are fractions of 1.
        value: The figure itself.
        low: Lower end of its 95 % interval, where there is one.
        high: Upper end of that interval.
        n: Number of utterances, calls or samples behind the figure.
        unit: Unit such as "us" or "bytes"; empty for shares and counts.
        peer: Name of the program that the figure belongs to, where several are compared.
        note: What a reader has to know about the figure.
    """

    work: str
    metric: str
    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None
    unit: str = ""
    peer: str = ""
    note: str = ""
