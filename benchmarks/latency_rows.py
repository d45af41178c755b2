"""The rows that `benchmarks.latency` keeps: medians, shares of the roofline, ratios, starts."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks import starts as fresh
from benchmarks.contenders import JOINED, NATIVE, NATIVE_4_BITS, NATIVE_IN_PYTHON, Contender, Texts
from benchmarks.machine import Limits, has_tiles
from benchmarks.peers.encoder import count_products
from pqrnn.evaluation.results import ResultRow
from pqrnn.model.parser import ParserModel

SHOWN = (4, 8, 12, 16, 32)
IN_TURN, COLD = ", in turn", ", cold"


def machine_rows(limits: Mapping[str, Limits]) -> list[ResultRow]:
    """Return what the machine can do, by precision of the weights."""
    any_ = limits["f32"]
    rows = [
        ResultRow(
            work="machine",
            metric="multiply-adds in float32",
            value=_round(any_.float32 / 1e9),
            unit="G/s",
            note="one thread, best of PyTorch's products" + ("" if has_tiles() else ", or a quarter of those in int8"),
        ),
        ResultRow(
            work="machine",
            metric="multiply-adds in int8",
            value=_round(any_.int8 / 1e9),
            unit="G/s",
            note="one thread, best of PyTorch's products" + (", in tiles (AMX)" if has_tiles() else ""),
        ),
        ResultRow(work="machine", metric="bandwidth of memory", value=_round(any_.far / 1e9), unit="GB/s"),
    ]
    rows += [
        ResultRow(
            work="machine",
            metric=f"bandwidth of a block like the {precision} weights",
            value=_round(measured.near / 1e9),
            unit="GB/s",
        )
        for precision, measured in limits.items()
    ]
    return rows


@dataclass(frozen=True, slots=True)
class Measured:
    """The measurements that rows are made from, beside the samples of the contenders.

    Attributes:
        texts: The texts that were parsed.
        model: The parser whose encoder runs.
        limits: Limits of this machine for weights of this precision.
        read: Seconds of reading the weights in turn with the contenders, [texts].
        read_cold: Seconds of reading the weights with emptied caches.
        cold: Indices of the texts that were parsed with emptied caches.
        alone: Seconds of our compiled function alone, texts in a row, [texts].
        agreement: For each contender, the share of decisions that are those of float32.
        absent: For each peer that was not measured, why.
    """

    texts: Texts
    model: ParserModel
    limits: Limits
    read: npt.NDArray[np.float64]
    read_cold: float
    cold: npt.NDArray[np.int64]
    alone: npt.NDArray[np.float64]
    agreement: Mapping[str, float]
    absent: Mapping[str, str]


def make_rows(work: str, precision: str, contenders: Sequence[Contender], measured: Measured) -> list[ResultRow]:
    """Return the rows of all contenders of a precision, and of the limits that they are held against."""
    texts, model, limits, agreement = measured.texts, measured.model, measured.limits, measured.agreement
    counts, n = texts.counts, texts.real
    real = np.arange(len(counts)) < n
    matrices = sum(p.numel() for p in model.parameters() if p.ndim == 2)
    size = matrices * (1 if precision == "int8" else 4)
    seconds = {words: limits.compute(count_products(model, words), precision) for words in set(counts.tolist())}
    computing = np.array([seconds[words] for words in counts.tolist()])
    shortest = np.maximum(computing, limits.read(size)) * 1e6
    shortest_in_turn = np.maximum(computing, measured.read) * 1e6
    shown = [contender for contender in contenders if contender.precision == precision]
    rows = []
    for contender in shown:
        values = contender.microseconds
        low, high = np.quantile(values[real], [0.1, 0.9])
        median = float(np.median(values[real]))
        version = f"{contender.version}; " if contender.version else ""
        rows.append(
            ResultRow(
                work=work,
                metric="median",
                value=_round(median),
                unit="us",
                n=n,
                peer=contender.name,
                note=f"{version}{contender.note}",
            )
        )
        rows.append(
            ResultRow(
                work=work,
                metric="10 % and 90 % of utterances",
                value=_round(median),
                low=_round(low),
                high=_round(high),
                unit="us",
                peer=contender.name,
            )
        )
        in_turn = contender.microseconds_in_turn
        rows.append(
            ResultRow(
                work=work,
                metric=f"median{IN_TURN}",
                value=_round(np.median(in_turn[real])),
                unit="us",
                n=n,
                peer=contender.name,
            )
        )
        rows.append(
            ResultRow(
                work=work,
                metric=f"median{COLD}",
                value=_round(np.median(contender.microseconds_cold)),
                unit="us",
                n=len(measured.cold),
                peer=contender.name,
            )
        )
        for words in SHOWN:
            chosen = counts == words
            if chosen.any():
                at = _round(np.median(values[chosen]))
                note = "utterances joined in pairs" if words == JOINED and not (chosen & real).any() else ""
                rows.append(
                    ResultRow(
                        work=work,
                        metric=f"median at {words} words",
                        value=at,
                        unit="us",
                        n=int(chosen.sum()),
                        peer=contender.name,
                        note=note,
                    )
                )
        rows.append(
            ResultRow(
                work=work,
                metric="processor time a call",
                value=_round(contender.cpu * 1e6),
                unit="us",
                peer=contender.name,
                note="mean, all threads",
            )
        )
        rows.append(ResultRow(work=work, metric="file", value=contender.size, unit="bytes", peer=contender.name))
        if contender.name in agreement:
            rows.append(
                ResultRow(
                    work=work,
                    metric="decides like float32",
                    value=round(agreement[contender.name], 4),
                    peer=contender.name,
                )
            )
            rows += _share_rows(work, contender.name, "", shortest / values, counts, real)
            rows += _share_rows(work, contender.name, IN_TURN, shortest_in_turn / in_turn, counts, real)
    for name, reason in measured.absent.items():
        if ("int8" in name) == (precision == "int8"):
            rows.append(ResultRow(work=work, metric="not measured", value=0, peer=name, note=reason))
    ours = next(contender for contender in shown if contender.ours and not contender.decides)
    alone = measured.alone * 1e6
    rows.append(
        ResultRow(
            work=work,
            metric="median of the compiled call alone",
            value=_round(np.median(alone[real])),
            unit="us",
            n=n,
            peer=ours.name,
        )
    )
    rows += _share_rows(work, ours.name, ", compiled call alone", shortest / alone, counts, real)
    note = f"{matrices:,} weights of {size // matrices} byte"
    limits_in = {
        "roofline": shortest,
        f"roofline{IN_TURN}": shortest_in_turn,
        f"reading the weights{IN_TURN}": measured.read * 1e6,
    }
    limits_in = {metric: times[real] for metric, times in limits_in.items()}
    limits_in[f"roofline{COLD}"] = np.maximum(computing[measured.cold], measured.read_cold) * 1e6
    limits_in[f"reading the weights{COLD}"] = np.full(len(measured.cold), measured.read_cold * 1e6)
    for metric, times in limits_in.items():
        rows.append(
            ResultRow(work=work, metric=metric, value=_round(np.median(times)), unit="us", n=len(times), note=note)
        )
    rivals = [contender for contender in shown if contender.name in agreement and not contender.ours]
    if rivals:
        rows += _compare(work, precision, ours, rivals, shown, real)
    rows.append(
        ResultRow(
            work=work,
            metric="weight bytes a call reads",
            value=size,
            unit="bytes",
            note="lower limit of memory traffic",
        )
    )
    rows.append(
        ResultRow(
            work=work,
            metric="multiply-adds at 12 words",
            value=count_products(model, 12),
            note="matrix products of the encoder",
        )
    )
    return rows


def _compare(
    work: str,
    precision: str,
    ours: Contender,
    rivals: Sequence[Contender],
    shown: Sequence[Contender],
    real: npt.NDArray[np.bool_],
) -> list[ResultRow]:
    """Return rows about our times over those of the best rival, of package and native library, in the three regimes."""
    regimes = {
        "": {contender.name: contender.microseconds[real] for contender in shown},
        IN_TURN: {contender.name: contender.microseconds_in_turn[real] for contender in shown},
        COLD: {contender.name: contender.microseconds_cold for contender in shown},
    }
    natives = {
        contender.name: (contender, work.replace(precision, natively, 1))
        for name, natively in ((NATIVE, f"{precision} native"), (NATIVE_4_BITS, "4 bits native"))
        for contender in shown
        if contender.name == name
    }
    rows = []
    for how, times in regimes.items():
        rows += _ratio_rows(work, how, ours, rivals, times)
        for contender, alone in natives.values():
            rows += _ratio_rows(alone, how, contender, rivals, times)
        if NATIVE_IN_PYTHON in times:
            rows.append(
                ResultRow(
                    work=work.replace(precision, f"{precision} native", 1),
                    metric=f"text to parse in Python against the call alone{how}",
                    value=round(float(np.median(times[NATIVE_IN_PYTHON] / times[NATIVE])), 4),
                    n=len(times[NATIVE]),
                    note="median of pairs",
                )
            )
    return rows


def _ratio_rows(
    work: str, how: str, ours: Contender, rivals: Sequence[Contender], times: Mapping[str, npt.NDArray[np.float64]]
) -> list[ResultRow]:
    """Return rows about our time over that of the rival with the smallest median."""
    best = min(rivals, key=lambda contender: float(np.median(times[contender.name])))
    mine, its = times[ours.name], times[best.name]
    ratios = {"": float(np.median(mine) / np.median(its)), ", median of pairs": float(np.median(mine / its))}
    note = f"medians; bytes to {'parse' if ours.decides else 'logits'} over the encoder alone"
    return [
        ResultRow(
            work=work,
            metric=f"ratio to best peer{how}{which}",
            value=round(ratio, 4),
            n=len(mine),
            peer=best.name,
            note="" if which else note,
        )
        for which, ratio in ratios.items()
    ]


def _share_rows(
    work: str,
    peer: str,
    how: str,
    share: npt.NDArray[np.float64],
    counts: npt.NDArray[np.int64],
    real: npt.NDArray[np.bool_],
) -> list[ResultRow]:
    """Return rows about the share of the roofline: of all utterances, and of those of 12 and 32 words."""
    chosen = {"": real} | {f" at {words} words": counts == words for words in (12, 32)}
    return [
        ResultRow(
            work=work,
            metric=f"share of the roofline{which}{how}",
            value=round(float(np.median(share[rows])), 4),
            n=int(rows.sum()),
            peer=peer,
        )
        for which, rows in chosen.items()
        if rows.any()
    ]


def start_rows(name: str, contenders: Sequence[Contender], texts: Texts, starts: int) -> list[ResultRow]:
    """Return rows about starts in fresh processes, under the work of the contender's precision."""
    rows = []
    usual = int(np.median(texts.counts[: texts.real]))
    with tempfile.TemporaryDirectory(prefix="pqrnn-latency-") as folder:
        for contender in contenders:
            if contender.start is None:
                continue
            kind, path = contender.start
            given = texts.raw[0].decode()
            if kind not in (fresh.PACKAGE, fresh.NATIVE):
                words = min(set(texts.counts.tolist()), key=lambda count: abs(count - usual))
                given = str(Path(folder, "features.npy"))
                np.save(given, next(features for features in texts.features if features.shape[1] == words))
            start = fresh.measure_start(kind, path, given, starts)
            work = f"{contender.precision}, {name}"
            figures = {
                "process start to first answer": (start.first_answer * 1e3, "ms"),
                "fresh process: import": (start.imports * 1e3, "ms"),
                "fresh process: load": (start.load * 1e3, "ms"),
                "fresh process: first call": (start.first_call * 1e3, "ms"),
                "fresh process: processor time": (start.cpu * 1e3, "ms"),
                "fresh process: resident memory": (start.resident, "bytes"),
                "fresh process: peak memory": (start.peak, "bytes"),
            }
            rows += [
                ResultRow(
                    work=work,
                    metric=metric,
                    value=_round(value) if unit == "ms" else int(value),
                    unit=unit,
                    n=starts,
                    peer=contender.name,
                )
                for metric, (value, unit) in figures.items()
            ]
    return rows


def _round(value: float) -> float:
    return round(float(value), 2)
