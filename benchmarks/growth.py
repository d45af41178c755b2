"""Growth of a call's time and memory with words, texts in a call, width, layers and threads.

    python -m benchmarks.growth RUN --data DATA --lang en --name "f32, mtop-en"

Real utterances, joined until they have exactly the words of a point; one call of the compiled function of that very
size, bytes to logits, so no point pays for padding. Words, texts and threads are measured on the trained parser, width
and layers on parsers of its shape with random weights, whose time is the same. All points of an axis take turns, round
after round. Memory is that of a fresh process that loads the module with all sizes of the axis and calls the one of the
point.

The exponent is the slope of the line through log(time) against log(size), over all points and over the upper half,
where the constant part of a call counts for less. Rows are kept in `results/growth.json`, the picture in
`results/growth-f32.png` (or `-int8`).
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from benchmarks.calls import Call, measure_memory, run_call
from benchmarks.modules import compile_entries
from benchmarks.results import FOLDER, keep_results, print_rows, tell_command
from compile.plan import usable_cores
from pqrnn.checkpoint import load_checkpoint
from pqrnn.data.loader import load_examples
from pqrnn.evaluation.results import ResultRow
from pqrnn.features.segmentation import segment_texts
from pqrnn.model.parser import ParserModel
from pqrnn.recipes.settings import ModelConfig
from runtime_py.atomic_files import write_atomic
from runtime_py.package_format.manifest import Bucket

SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
WIDTHS = (48, 96, 192, 384, 768)
LAYERS = (1, 2, 3, 4, 6, 8)
THREADS = (1, 2)
_WORDS = 16  # of a text where another axis grows
_BYTES_A_WORD = 8  # MTOP English has 5.7 with the space before it; sizes are multiples of 16
_WARM_UPS = 3


def main() -> None:
    """Measure, print, draw, keep."""
    arguments = _read_arguments()
    torch.set_num_threads(1)
    checkpoint = load_checkpoint(arguments.run)
    texts = [
        example.text.encode()
        for example in load_examples(arguments.data, split="test", locale=arguments.lang)
        if example.text
    ]
    rows: list[ResultRow] = []
    for axis in arguments.axes:
        print(f"{axis}: compiling", flush=True)
        points = _make_points(axis, checkpoint.model, texts[:2000], arguments.most)
        rows += measure_axis(axis, points, arguments.name, arguments.rounds)
    for row in rows:
        print(f"  {row.metric:52} {row.value:12.5g} {row.unit}")
    if arguments.keep:
        draw_growth(rows, FOLDER / f"growth-{arguments.name.split(',')[0]}.png")
        keep_results("growth", rows, tell_command("benchmarks.growth"), replace_works=[arguments.name])
    else:
        print_rows("growth", rows)


def measure_axis(axis: str, points: Sequence[Call], work: str, rounds: int) -> list[ResultRow]:
    """Return rows of time and memory of every point, and the exponents."""
    entries = [point.open() for point in points]
    times = np.zeros((rounds, len(points)))
    for turn in range(-_WARM_UPS, rounds):
        for index, (point, entry) in enumerate(zip(points, entries, strict=True)):
            start = time.perf_counter()
            run_call(entry, point)
            if turn >= 0:
                times[turn, index] = time.perf_counter() - start
    rows = []
    medians = np.median(times, axis=0) * 1e6
    for point, median, column in zip(points, medians, times.T * 1e6, strict=True):
        low, high = np.quantile(column, [0.1, 0.9])
        name = f"{axis} {point.size}"
        rows.append(
            _row(work, f"{name}: time", median, "us", low=round(float(low), 2), high=round(float(high), 2), n=rounds)
        )
        rows.append(_row(work, f"{name}: time a text", median / point.batch, "us"))
        memory = measure_memory(point)
        rows.append(
            _row(work, f"{name}: memory of a call", memory.called, "bytes", note="resident, beyond the loaded module")
        )
        rows.append(
            _row(
                work,
                f"{name}: memory of the module",
                memory.loaded,
                "bytes",
                note="resident, beyond Python and the runtime; before the first call",
            )
        )
    sizes = np.array([point.size for point in points], float)
    if len(points) > 2:
        rows.append(_row(work, f"{axis}: exponent of time", fit_exponent(sizes, medians), "", n=len(points)))
        upper = len(points) // 2
        rows.append(
            _row(
                work,
                f"{axis}: exponent of time, upper half",
                fit_exponent(sizes[upper:], medians[upper:]),
                "",
                n=len(points) - upper,
            )
        )
    else:
        rows.append(_row(work, f"{axis}: time of the last over that of the first", medians[-1] / medians[0], ""))
    return rows


def fit_exponent(sizes: np.ndarray[Any, Any], values: np.ndarray[Any, Any]) -> float:
    """Return the slope of the least-squares line through log(value) against log(size)."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def _make_points(axis: str, model: ParserModel, texts: Sequence[bytes], most: int) -> list[Call]:
    """Compile the points of an axis."""
    folded = model.folded()
    labels = _count_labels(folded)

    def bucket(words: int, name: str) -> Bucket:
        return Bucket(words=max(words, 2), bytes=max(-(-words * _BYTES_A_WORD // 16) * 16, 16), entry=name)

    joined = {words: join_texts(folded, texts, words, bucket(words, "x").bytes) for words in {*SIZES, _WORDS}}
    usual = joined[_WORDS]
    sizes = [size for size in SIZES if size <= most]
    if axis == "words":
        buckets = {words: bucket(words, f"words_{words}") for words in sizes}
        module = compile_entries(folded, {1: tuple(buckets.values())})
        return [Call(words, str(module), buckets[words], 1, [joined[words]], *labels) for words in sizes]
    if axis == "texts":
        buckets = {count: bucket(_WORDS, f"texts_{count}") for count in sizes}
        module = compile_entries(folded, {count: (buckets[count],) for count in sizes})
        return [Call(count, str(module), buckets[count], count, [usual] * count, *labels) for count in sizes]
    one = bucket(_WORDS, "parse")
    if axis == "threads":
        module = compile_entries(folded, {1: (one,)})
        return [
            Call(count, str(module), one, 1, [usual], *labels, threads=count)
            for count in THREADS
            if count <= usable_cores()
        ]
    shapes = {"state": WIDTHS, "layers": LAYERS}[axis]
    points = []
    for size in shapes:
        changed = msgspec.structs.replace(model.config, **{axis: size})
        points.append(
            Call(size, str(compile_entries(_random_model(changed, labels), {1: (one,)})), one, 1, [usual], *labels)
        )
    return points


def _random_model(config: ModelConfig, labels: tuple[int, int]) -> ParserModel:
    torch.manual_seed(0)
    return ParserModel(config, *labels).eval().folded()


def _count_labels(model: ParserModel) -> tuple[int, int]:
    with torch.inference_mode():
        outputs = model(torch.zeros((1, 4), dtype=torch.int32), 2)
    return outputs.intent.shape[-1], outputs.tags.shape[-1]


def join_texts(model: ParserModel, texts: Sequence[bytes], words: int, size: int) -> bytes:
    """Join utterances until they have exactly so many words in at most so many bytes.

    The last one is cut between two words.

    Raises:
        SystemExit: The utterances have longer words than there is room for.
    """
    segmented = segment_texts(model.projection, list(texts))
    for first in range(len(texts)):
        whole, count = b"", 0
        for text, spans in zip(texts[first:], segmented[first:], strict=True):
            if not spans:
                continue
            taken = min(len(spans), words - count)
            whole += b" " * bool(whole) + text[: spans[taken - 1][1]]
            count += taken
            if count == words:
                break
        if count == words and len(whole) <= size:
            return whole
    raise SystemExit(f"no {words} words in {size} bytes among the utterances")


def draw_growth(rows: Sequence[ResultRow], path: Path) -> None:
    """Draw time against size for every axis, and memory of a call, both scales logarithmic, into a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for axis in ("words", "texts", "state", "layers"):
        for axes, what, scale in ((left, "time", 1e3), (right, "memory of a call", 1e6)):
            points = sorted(
                (int(row.metric.split()[1].rstrip(":")), row.value / scale)
                for row in rows
                if _is_point(row, axis, what)
            )
            if points:
                exponent = next(row.value for row in rows if row.metric == f"{axis}: exponent of time, upper half")
                label = f"{axis}, exponent {exponent:.2f}" if what == "time" else axis
                axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=label)
    left.set(title=f"milliseconds a call ({rows[0].work})", xlabel="size", xscale="log", yscale="log")
    right.set(title="megabytes that a call takes", xlabel="size", xscale="log", yscale="log")
    for axes in (left, right):
        for scale in (axes.xaxis, axes.yaxis):
            scale.set_major_formatter("{x:g}")
            scale.set_minor_formatter("")
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    write_atomic(path, picture.getvalue())


def _is_point(row: ResultRow, axis: str, what: str) -> bool:
    name, _, rest = row.metric.partition(": ")
    return rest == what and name.split()[0] == axis and name != axis


def _row(work: str, metric: str, value: float, unit: str, **rest: Any) -> ResultRow:
    return ResultRow(work=work, metric=metric, value=round(float(value), 3), unit=unit, **rest)


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a trained parser, in float32 or int8")
    parser.add_argument("--data", required=True, help="utterances with a test split, as for `pqrnn train`")
    parser.add_argument("--lang", help="only this language")
    parser.add_argument("--name", required=True, help='name of the rows, as "f32, mtop-en"')
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--most", type=int, default=SIZES[-1], help="largest number of words, and of texts")
    parser.add_argument(
        "--axes",
        nargs="*",
        default=["words", "texts", "state", "layers", "threads"],
        help="what to grow (default: all)",
    )
    parser.add_argument("--no-keep", dest="keep", action="store_false", help="print only")
    return parser.parse_args()


if __name__ == "__main__":
    main()
