"""Time from bytes to logits over real utterances, beside the same encoder under other runtimes, interleaved in one process.

    python -m benchmarks.latency RUN PACKAGE --data DATA --lang en --name mtop-en --int8 RUN PACKAGE --teacher RUN

One thread each. Ours reads UTF-8 bytes and includes decoding, segmentation, hashing and features; the peers get the finished features, as a graph that was
made for exactly the number of words of each utterance, in the form and setting that is fastest around that length (`benchmarks.peers`). Every utterance is
timed in every round by every peer, in an order that is drawn anew each time, so that nobody always comes after the same one and finds its code still in the
caches; the figure of an utterance is its median over the rounds, and the reported figure the median over the utterances. MTOP has hardly an utterance of 32
words, so pairs of utterances that have 16 each, joined, stand for those.

The roofline is the shortest time that this machine allows: the encoder's multiply-adds for exactly the words that are there at the measured peak of the data
type (`benchmarks.machine`), or one reading of the weights, whichever takes longer. The text part counts as no work at all. How long reading takes depends on
where the weights are, so there are two of it, each under the conditions of the times that it is held against:

- taking turns: a block as large as the weights is read once in every turn, as if it were one more peer, and is pushed out of the caches like theirs;
- again and again: the block is read over and over, and so is called what is held against it.

Rows are kept in `results/latency.json` under the works "f32, NAME", "int8, NAME" and "machine"; every raw time in `results/latency-NAME.npz`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.machine import Limits, measure_limits, read_block
from benchmarks.peers import all_peers
from benchmarks.peers.encoder import count_products, digest_weights, project_texts
from benchmarks.peers.peer import PEERS, Call, Features, Peer
from benchmarks.results import ResultRow, keep_results, print_rows, tell_command
from benchmarks.samples import keep_samples
from benchmarks.starts import PACKAGE, measure_start
from pqrnn.checkpoint import load_checkpoint
from pqrnn.data.loader import load_examples
from pqrnn.model import ParserModel
from runtime_py import Parser

OURS = "ours, bytes to logits"
READING = "reading"
SHOWN = (4, 8, 12, 16, 32)
_JOINED = 32
_TRIES = 60
_WARM_UPS = 2

Seconds = npt.NDArray[np.float64]  # [rounds, texts]


@dataclass(slots=True)
class Contender:
    """One row of the table.

    Attributes:
        name: in the table.
        precision: "f32" or "int8".
        call: answers the text of that number.
        start: what `measure_start` is given: kind and file; None for what has no start of its own.
        size: bytes of that file.
        version: of the runtime.
        note: what is measured.
    """

    name: str
    precision: str
    call: Callable[[int], object]
    start: tuple[str, Path] | None
    size: int
    version: str = ""
    note: str = "encoder alone, from features"
    samples: Seconds = field(default_factory=lambda: np.zeros((0, 0)))
    cpu: float = 0.0

    @property
    def ours(self) -> bool:
        """Whether it is this project's parser."""
        return self.name.startswith("ours")

    @property
    def microseconds(self) -> npt.NDArray[np.float64]:
        """Median over the rounds for every text."""
        return np.median(self.samples, axis=0) * 1e6


@dataclass(frozen=True, slots=True)
class Texts:
    """What is parsed: the real utterances first, then the joined ones, which count for 32 words only."""

    raw: list[bytes]
    features: list[Features]
    real: int

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Words of each."""
        return np.array([each.shape[1] for each in self.features])


def main() -> None:
    """Measure, print, keep."""
    arguments = _read_arguments()
    torch.set_num_threads(1)
    model = load_checkpoint(arguments.run).model.folded()
    texts = _read_texts(arguments, model)
    counts = texts.counts
    print(f"{texts.real} utterances of {counts[: texts.real].min()} to {counts[: texts.real].max()} words, {arguments.rounds} rounds", flush=True)
    contenders, absent = _make_contenders(arguments, model, texts)
    if arguments.prepare:
        return
    agreement = _check_agreement(contenders, texts)
    matrices = sum(p.numel() for p in model.parameters() if p.ndim == 2)
    readings = {precision: read_block(matrices * size) for precision, size in (("f32", 4), ("int8", 1))}
    reading = {f"{READING} {precision}": lambda _, read=read: read() for precision, read in readings.items()}
    samples = time_interleaved({each.name: each.call for each in contenders} | reading, len(texts.raw), arguments.rounds)
    for each in contenders:
        each.samples = samples[each.name]
    for each in contenders:
        each.cpu = measure_cpu(each.call, texts.real)
    again = {each.name: measure_again(each, texts, arguments.rounds) for each in contenders if each.ours}
    limits = {precision: measure_limits(matrices * size) for precision, size in (("f32", 4), ("int8", 1))}
    rows = _machine_rows(limits)
    for precision in ("f32", "int8"):
        if any(each.ours and each.precision == precision for each in contenders):
            read = np.median(samples[f"{READING} {precision}"], axis=0)
            measured = Measured(texts, model, limits[precision], read, again, agreement, absent)
            rows += _make_rows(f"{precision}, {arguments.name}", precision, contenders, measured)
    if arguments.starts:
        rows += _start_rows(arguments.name, contenders, texts, arguments.starts)
    for row in rows:
        print(f"  {row.work:16} {row.peer:34} {row.metric:44} {row.value:12.5g} {row.unit:8} {row.note}")
    if arguments.keep:
        keep_samples(f"latency-{arguments.name}", {each.name: each.samples for each in contenders}, counts)
        works = sorted({row.work for row in rows})
        keep_results("latency", rows, tell_command("benchmarks.latency"), replace_works=works)
    else:
        print_rows("latency", rows)


def _read_texts(arguments: argparse.Namespace, model: ParserModel) -> Texts:
    raw = [example.text.encode() for example in load_examples(arguments.data, split="test", locale=arguments.lang) if example.text]
    raw = raw[:: max(1, len(raw) // arguments.utterances)]
    features = project_texts(model, raw)
    halves = [text for text, each in zip(raw, features, strict=True) if each.shape[1] == _JOINED // 2]
    joined = [b" ".join(pair) for pair in zip(halves[::2], halves[1::2], strict=False)][:50]
    return Texts([*raw, *joined], [*features, *project_texts(model, joined)], len(raw))


def _make_contenders(arguments: argparse.Namespace, model: ParserModel, texts: Texts) -> tuple[list[Contender], dict[str, str]]:
    """Return all that can run here, and why the others cannot."""
    contenders = [_ours(OURS, "f32", arguments.package, texts)]
    if arguments.int8:
        contenders.append(_ours(f"{OURS}, int8", "int8", Path(arguments.int8[1]), texts))
    folder = PEERS / "graphs" / digest_weights(arguments.run)
    absent: dict[str, str] = {}
    for peer in all_peers():
        if arguments.peers and peer.name not in arguments.peers:
            continue
        reason = peer.why_absent()
        try:
            if not reason:
                contenders.append(_peer(peer, model, texts, folder))
        except Exception as error:  # a peer that cannot take the encoder is a finding, not a failure of the benchmark
            reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
        if reason:
            absent[peer.name] = reason
            print(f"  {peer.name}: not measured: {reason}", flush=True)
    if arguments.teacher:
        from benchmarks.peers.teacher import NAME, CompiledTeacher

        teacher = CompiledTeacher(arguments.teacher, texts.raw, PEERS / "graphs" / digest_weights(arguments.teacher))
        note = f"{teacher.parameters / 1e6:.1f} M parameters, from ids of subwords"
        contenders.append(Contender(NAME, "f32", teacher, None, teacher.path.stat().st_size, note=note))
    return contenders, absent


def _ours(name: str, precision: str, package: Path, texts: Texts) -> Contender:
    parser = Parser.load(package)
    parser.warmup()
    size = sum(path.stat().st_size for path in package.rglob("*") if path.is_file())
    version = parser.manifest.producer.iree_compiler
    return Contender(
        name, precision, lambda place: parser.logits(texts.raw[place]), (PACKAGE, package), size, version, f"bytes to logits, {parser.variant.target}"
    )


def _peer(peer: Peer, model: ParserModel, texts: Texts, folder: Path) -> Contender:
    lengths = sorted(set(texts.counts.tolist()))
    examples = {words: next(each for each in texts.features if each.shape[1] == words) for words in lengths}
    files: dict[int, Path] = {}
    forms: dict[int, str] = {}
    for words in dict.fromkeys([lengths[0], lengths[len(lengths) // 2], lengths[-1]]):
        print(f"\r  {peer.name}: {words} words, {len(peer.forms)} forms ", end="", flush=True)
        paths = [peer.convert(model, words, form, folder) for form in peer.forms]
        best = fastest([peer.open(path) for path in paths], examples[words])
        forms[words], files[words] = peer.forms[best], paths[best]
    for words in lengths:
        form = forms[min(forms, key=lambda tried: abs(tried - words))]
        print(f"\r  {peer.name}: {words} words, {form} ", end="", flush=True)
        files[words] = peer.convert(model, words, form, folder)
    calls = {words: peer.open(path) for words, path in files.items()}
    print(flush=True)
    usual = int(np.median(texts.counts[: texts.real]))
    near = min(files, key=lambda words: abs(words - usual))
    note = f"encoder alone, from features; {', '.join(dict.fromkeys(forms.values()))}; file: one of {len(files)}, for {near} words"
    features = texts.features
    return Contender(
        peer.name,
        peer.precision,
        lambda place: calls[features[place].shape[1]](features[place]),
        (peer.name, files[near]),
        files[near].stat().st_size,
        peer.version(),
        note,
    )


def fastest(calls: Sequence[Call], features: Features, rounds: int = _TRIES) -> int:
    """Return the number of the call with the smallest median time."""
    if len(calls) == 1:
        return 0
    times = np.zeros((len(calls), rounds))
    for turn in range(rounds):
        for number, call in enumerate(calls):
            start = time.perf_counter()
            call(features)
            times[number, turn] = time.perf_counter() - start
    return int(np.median(times, axis=1).argmin())


def time_interleaved(calls: Mapping[str, Callable[[int], object]], count: int, rounds: int) -> dict[str, Seconds]:
    """Return the seconds of every call, after a few that are not counted; in an order that is drawn for every place in every round, the same each time."""
    samples = {name: np.zeros((rounds, count)) for name in calls}
    names, generator = list(calls), np.random.default_rng(0)
    for place in range(min(count, 50)):
        for name in names * _WARM_UPS:
            calls[name](place)
    for turn in range(rounds):
        for place in range(count):
            for number in generator.permutation(len(names)).tolist():
                name = names[number]
                call = calls[name]
                start = time.perf_counter()
                call(place)
                samples[name][turn, place] = time.perf_counter() - start
    return samples


def measure_cpu(call: Callable[[int], object], count: int, most: int = 1000) -> float:
    """Return the processor time of a call, all threads, in seconds: the mean over texts, one after the other."""
    places = range(0, count, max(1, count // most))
    start = time.process_time()
    for place in places:
        call(place)
    return (time.process_time() - start) / len(places)


def measure_again(contender: Contender, texts: Texts, rounds: int) -> tuple[Seconds, Seconds]:
    """Return the seconds of a call that follows one of the same text: from bytes to logits, and the compiled function alone."""
    assert contender.start is not None
    whole, alone = np.zeros((2, rounds, len(texts.raw)))
    with Parser.load(contender.start[1]) as parser:
        prepared = [parser.prepare(text) for text in texts.raw]
        for turn in range(rounds):
            for place, (_, entry, raw) in enumerate(prepared):
                parser.logits(raw)
                start = time.perf_counter()
                parser.logits(raw)
                whole[turn, place] = time.perf_counter() - start
                entry.set_text(raw)
                start = time.perf_counter()
                entry.invoke()
                alone[turn, place] = time.perf_counter() - start
    return whole, alone


def _check_agreement(contenders: Sequence[Contender], texts: Texts) -> dict[str, float]:
    """Return the share of texts that each decides as PyTorch does in float32.

    Raises:
        SystemExit: one in float32 does not compute the same.
    """
    places = range(0, len(texts.raw), max(1, len(texts.raw) // 200))
    reference = next((each for each in contenders if each.name == OURS), None)
    equal = {each.name: 0 for each in contenders if "teacher" not in each.name}
    for place in places:
        wanted = _answer(reference, place)
        for each in contenders:
            if each.name not in equal:
                continue
            intent, tags = _answer(each, place)
            apart = max(float(np.abs(intent - wanted[0]).max()), float(np.abs(tags - wanted[1]).max()))
            if each.precision == "f32" and not apart < 1e-3:
                raise SystemExit(f"{each.name} differs by {apart} on {texts.raw[place]!r}: not measured")
            equal[each.name] += int(intent.argmax() == wanted[0].argmax() and np.array_equal(tags.argmax(-1), wanted[1].argmax(-1)))
    return {name: count / len(places) for name, count in equal.items()}


def _answer(contender: Contender | None, place: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    assert contender is not None
    found = contender.call(place)
    intent, tags = found[:2] if contender.ours else (found[0][0], found[1][0])  # type: ignore[index]
    return np.array(intent), np.array(tags)


def _machine_rows(limits: Mapping[str, Limits]) -> list[ResultRow]:
    any_ = limits["f32"]
    rows = [
        ResultRow(
            work="machine",
            metric="multiply-adds in float32",
            value=_round(any_.float32 / 1e9),
            unit="G/s",
            note="one thread, best of PyTorch's products",
        ),
        ResultRow(
            work="machine", metric="multiply-adds in int8", value=_round(any_.int8 / 1e9), unit="G/s", note="one thread, best of PyTorch's products"
        ),
        ResultRow(work="machine", metric="bandwidth of memory", value=_round(any_.far / 1e9), unit="GB/s"),
    ]
    rows += [
        ResultRow(work="machine", metric=f"bandwidth of a block like the {name} weights", value=_round(each.near / 1e9), unit="GB/s")
        for name, each in limits.items()
    ]
    return rows


@dataclass(frozen=True, slots=True)
class Measured:
    """What rows are made from, beside the samples of the contenders.

    Attributes:
        texts: that were parsed.
        model: whose encoder runs.
        limits: of this machine, for weights of this precision.
        read: seconds of reading the weights among the peers, [texts].
        again: by name of ours, what `measure_again` found.
        agreement: by name, the share of decisions that are those of float32.
        absent: by name, why a peer was not measured.
    """

    texts: Texts
    model: ParserModel
    limits: Limits
    read: npt.NDArray[np.float64]
    again: Mapping[str, tuple[Seconds, Seconds]]
    agreement: Mapping[str, float]
    absent: Mapping[str, str]


def _make_rows(work: str, precision: str, contenders: Sequence[Contender], measured: Measured) -> list[ResultRow]:
    texts, model, limits, agreement = measured.texts, measured.model, measured.limits, measured.agreement
    counts, n = texts.counts, texts.real
    real = np.arange(len(counts)) < n
    matrices = sum(p.numel() for p in model.parameters() if p.ndim == 2)
    size = matrices * (1 if precision == "int8" else 4)
    seconds = {words: limits.compute(count_products(model, words), precision) for words in set(counts.tolist())}
    computing = np.array([seconds[words] for words in counts.tolist()])
    shortest = np.maximum(computing, measured.read) * 1e6
    shortest_again = np.maximum(computing, limits.read(size)) * 1e6
    shown = [each for each in contenders if each.precision == precision]
    rows = []
    for each in shown:
        values = each.microseconds
        low, high = np.quantile(values[real], [0.1, 0.9])
        median = float(np.median(values[real]))
        version = f"{each.version}; " if each.version else ""
        rows.append(ResultRow(work=work, metric="median", value=_round(median), unit="us", n=n, peer=each.name, note=f"{version}{each.note}"))
        rows.append(
            ResultRow(
                work=work, metric="10 % and 90 % of utterances", value=_round(median), low=_round(low), high=_round(high), unit="us", peer=each.name
            )
        )
        for words in SHOWN:
            chosen = counts == words
            if chosen.any():
                at = _round(np.median(values[chosen]))
                note = "utterances joined in pairs" if words == _JOINED and not (chosen & real).any() else ""
                rows.append(
                    ResultRow(work=work, metric=f"median at {words} words", value=at, unit="us", n=int(chosen.sum()), peer=each.name, note=note)
                )
        rows.append(
            ResultRow(work=work, metric="processor time a call", value=_round(each.cpu * 1e6), unit="us", peer=each.name, note="mean, all threads")
        )
        rows.append(ResultRow(work=work, metric="file", value=each.size, unit="bytes", peer=each.name))
        if each.name in agreement:
            rows.append(ResultRow(work=work, metric="decides like float32", value=round(agreement[each.name], 4), peer=each.name))
            rows += _share_rows(work, each.name, "", shortest / values, counts, real)
    for name, reason in measured.absent.items():
        if ("int8" in name) == (precision == "int8"):
            rows.append(ResultRow(work=work, metric="not measured", value=0, peer=name, note=reason))
    ours = next(each for each in shown if each.ours)
    whole, alone = (np.median(each, axis=0) * 1e6 for each in measured.again[ours.name])
    for metric, times in (("median, called again and again", whole), ("median of the compiled call alone", alone)):
        rows.append(ResultRow(work=work, metric=metric, value=_round(np.median(times[real])), unit="us", n=n, peer=ours.name))
    rows += _share_rows(work, ours.name, ", called again and again", shortest_again / whole, counts, real)
    rows += _share_rows(work, ours.name, ", compiled call alone", shortest_again / alone, counts, real)
    note = f"{matrices:,} weights of {size // matrices} byte"
    limits_in = {"roofline": shortest, "roofline, called again and again": shortest_again, "reading the weights in turn": measured.read * 1e6}
    for metric, times in limits_in.items():
        rows.append(ResultRow(work=work, metric=metric, value=_round(np.median(times[real])), unit="us", n=n, note=note))
    rivals = [each for each in shown if each.name in agreement and not each.ours]
    if rivals:
        best = min(rivals, key=lambda each: float(np.median(each.microseconds[real])))
        ratio = float(np.median(ours.microseconds[real]) / np.median(best.microseconds[real]))
        paired = float(np.median(ours.microseconds[real] / best.microseconds[real]))
        note = "medians; bytes to logits over the encoder alone"
        rows.append(ResultRow(work=work, metric="ratio to best peer", value=round(ratio, 4), n=n, peer=best.name, note=note))
        rows.append(ResultRow(work=work, metric="ratio to best peer, median of pairs", value=round(paired, 4), n=n, peer=best.name))
    rows.append(ResultRow(work=work, metric="weight bytes a call reads", value=size, unit="bytes", note="lower limit of memory traffic"))
    rows.append(ResultRow(work=work, metric="multiply-adds at 12 words", value=count_products(model, 12), note="matrix products of the encoder"))
    return rows


def _share_rows(
    work: str, peer: str, how: str, share: npt.NDArray[np.float64], counts: npt.NDArray[np.int64], real: npt.NDArray[np.bool_]
) -> list[ResultRow]:
    """Rows about the share of the roofline: of all utterances, and of those of 12 and 32 words."""
    chosen = {"": real} | {f" at {words} words": counts == words for words in (12, 32)}
    return [
        ResultRow(work=work, metric=f"share of the roofline{which}{how}", value=round(float(np.median(share[rows])), 4), n=int(rows.sum()), peer=peer)
        for which, rows in chosen.items()
        if rows.any()
    ]


def _start_rows(name: str, contenders: Sequence[Contender], texts: Texts, starts: int) -> list[ResultRow]:
    """Rows about starts in fresh processes, under the work of the contender's precision."""
    rows = []
    usual = int(np.median(texts.counts[: texts.real]))
    with tempfile.TemporaryDirectory(prefix="pqrnn-latency-") as folder:
        for each in contenders:
            if each.start is None:
                continue
            kind, path = each.start
            given = texts.raw[0].decode()
            if kind != PACKAGE:
                words = min(set(texts.counts.tolist()), key=lambda count: abs(count - usual))
                given = str(Path(folder, "features.npy"))
                np.save(given, next(one for one in texts.features if one.shape[1] == words))
            start = measure_start(kind, path, given, starts)
            work = f"{each.precision}, {name}"
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
                ResultRow(work=work, metric=metric, value=_round(value) if unit == "ms" else int(value), unit=unit, n=starts, peer=each.name)
                for metric, (value, unit) in figures.items()
            ]
    return rows


def _round(value: float) -> float:
    return round(float(value), 2)


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a parser trained in float32, whose weights the peers run")
    parser.add_argument("package", type=Path, help="the package compiled from it for this machine")
    parser.add_argument("--int8", nargs=2, metavar=("RUN", "PACKAGE"), help="the same parser in int8, and its package")
    parser.add_argument("--teacher", type=Path, metavar="RUN", help="folder of a teacher, to be compiled and measured, too")
    parser.add_argument("--data", required=True, help="utterances with a test split, as for `pqrnn train`")
    parser.add_argument("--lang", help="only this language")
    parser.add_argument("--name", required=True, help='of the data in the rows, as "mtop-en"')
    parser.add_argument("--utterances", type=int, default=10**9, help="at most about so many, evenly chosen (default: all)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--starts", type=int, default=7, help="fresh processes for each contender; 0: none")
    parser.add_argument("--peers", nargs="*", metavar="NAME", help="only these peers (default: all that are there)")
    parser.add_argument("--prepare", action="store_true", help="only convert the encoder for the peers, which takes long and is kept in .peers")
    parser.add_argument("--no-keep", dest="keep", action="store_false", help="print only")
    return parser.parse_args()


if __name__ == "__main__":
    main()
