"""Time from bytes to logits over real utterances, beside the same encoder under other runtimes.

    python -m benchmarks.latency RUN PACKAGE --data DATA --lang en --name mtop-en --int8 RUN PACKAGE --teacher RUN

All are interleaved in one process, on one thread each. Ours reads UTF-8 bytes and includes decoding, segmentation,
hashing and features; the peers get the finished features, as a graph that was made for exactly the number of words of
each utterance, in the form and setting that is fastest around that length (`benchmarks.peers`). The figure of an
utterance is its median over the rounds, the reported figure the median over the utterances. MTOP has hardly an
utterance of 32 words, so pairs of utterances that have 16 each, joined, stand for those.

There are three ways to take rounds, and all are reported, since they answer different questions:

- in a row: in every round each contender, in an order drawn anew, answers all utterances, one after another. Code and
  weights are where the call before left them. This is how runtimes are compared elsewhere, and a server or a batch job
  runs so;
- in turn: in every round every contender answers an utterance before the next one comes, in an order drawn anew each
  time. Each finds its code and weights pushed out of the fast caches by all the others, as in a program that does much
  between two calls;
- cold: before every single call a block larger than the last cache is rewritten. A voice assistant, which is spoken to
  every few minutes, meets this one. It is measured on some of the utterances, evenly chosen.

With `--native` the library of `pqrnn native` is there, too, as a call from C that gives the whole parse, and as
Python's parser over it; with `--native-4-bits` that of the same parser with weights of 4 bits, which reads half as
much.

The roofline is the shortest time that this machine allows: the encoder's multiply-adds for exactly the words that are
there at the measured peak of the data type (`benchmarks.machine`), or one reading of the weights, whichever takes
longer. The text part counts as no work at all. How long reading takes depends on where the weights are: in a row is
held against a block of their size that is read over and over; in turn and cold against such a block that is read once
among the others, as if it were one more contender.

Rows are kept in `results/latency.json` under the works "f32, NAME", "int8, NAME", "int8 native, NAME", "4 bits native,
NAME" and "machine"; every raw time in `results/latency-NAME.npz`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.cold_caches import make_emptier
from benchmarks.contenders import OURS, Call, Contender, Seconds, Texts, make_contenders, read_texts
from benchmarks.latency_rows import Measured, machine_rows, make_rows, start_rows
from benchmarks.machine import measure_limits, read_block
from benchmarks.results import keep_results, print_rows, tell_command
from benchmarks.samples import keep_samples
from pqrnn.checkpoint import load_checkpoint
from runtime_py import Parser

READING = "reading"
_WARM_UPS = 2
_COLD_TEXTS = 60


def main() -> None:
    """Measure, print, keep."""
    arguments = _read_arguments()
    torch.set_num_threads(1)
    model = load_checkpoint(arguments.run).model.folded()
    texts = read_texts(arguments, model)
    counts = texts.counts
    print(
        f"{texts.real} utterances of {counts[: texts.real].min()} to {counts[: texts.real].max()} words, "
        f"{arguments.rounds} rounds",
        flush=True,
    )
    contenders, absent = make_contenders(arguments, model, texts)
    if arguments.prepare:
        return
    agreement = _check_agreement(contenders, texts)
    matrices = sum(p.numel() for p in model.parameters() if p.ndim == 2)
    reads = {f"{READING} {precision}": read_block(matrices * size) for precision, size in (("f32", 4), ("int8", 1))}
    calls = {contender.name: contender.call for contender in contenders}
    readers = {name: lambda _, read=read: read() for name, read in reads.items()}
    in_turn = time_in_turn(calls | readers, len(texts.raw), arguments.rounds)
    in_a_row = time_in_a_row(calls, len(texts.raw), arguments.rounds)
    chosen = np.unique(np.linspace(0, texts.real - 1, _COLD_TEXTS).astype(int))
    cold = time_cold(calls | readers, chosen.tolist(), arguments.rounds)
    for contender in contenders:
        contender.samples, contender.samples_in_turn = in_a_row[contender.name], in_turn[contender.name]
        contender.samples_cold = cold[contender.name]
        contender.cpu = measure_cpu(contender.call, texts.real)
    alone = {
        contender.precision: np.median(measure_alone(contender, texts, arguments.rounds), axis=0)
        for contender in contenders
        if contender.ours and not contender.decides
    }
    limits = {precision: measure_limits(matrices * size) for precision, size in (("f32", 4), ("int8", 1))}
    rows = machine_rows(limits)
    for precision in ("f32", "int8"):
        if any(contender.ours and contender.precision == precision for contender in contenders):
            reading = f"{READING} {precision}"
            read, read_cold = np.median(in_turn[reading], axis=0), float(np.median(cold[reading]))
            measured = Measured(
                texts, model, limits[precision], read, read_cold, chosen, alone[precision], agreement, absent
            )
            rows += make_rows(f"{precision}, {arguments.name}", precision, contenders, measured)
    if arguments.starts:
        rows += start_rows(arguments.name, contenders, texts, arguments.starts)
    for row in rows:
        print(f"  {row.work:16} {row.peer:34} {row.metric:44} {row.value:12.5g} {row.unit:8} {row.note}")
    if arguments.keep:
        keep_samples(
            f"latency-{arguments.name}",
            in_a_row
            | {f"{name}, in turn": samples for name, samples in in_turn.items()}
            | {f"{name}, cold": samples for name, samples in cold.items()},
            counts,
        )
        works = sorted({row.work for row in rows})
        keep_results("latency", rows, tell_command("benchmarks.latency"), replace_works=works)
    else:
        print_rows("latency", rows)


def time_in_turn(calls: Mapping[str, Call], count: int, rounds: int) -> dict[str, Seconds]:
    """Return the seconds of every call where all answer a text before the next.

    Their order is drawn for every text of every round, and is the same in every run.
    """
    samples = {name: np.zeros((rounds, count)) for name in calls}
    names, generator = list(calls), np.random.default_rng(0)
    for index in range(min(count, 50)):
        for name in names * _WARM_UPS:
            calls[name](index)
    for turn in range(rounds):
        for index in range(count):
            for position in generator.permutation(len(names)).tolist():
                samples[names[position]][turn, index] = _time(calls[names[position]], index)
    return samples


def time_in_a_row(calls: Mapping[str, Call], count: int, rounds: int) -> dict[str, Seconds]:
    """Return the seconds of every call where each answers all texts before the next begins.

    Their order is drawn for every round, and is the same in every run.
    """
    samples = {name: np.zeros((rounds, count)) for name in calls}
    names, generator = list(calls), np.random.default_rng(0)
    for turn in range(rounds):
        for position in generator.permutation(len(names)).tolist():
            call, row = calls[names[position]], samples[names[position]][turn]
            for index in range(min(count, _WARM_UPS)):
                call(index)
            for index in range(count):
                row[index] = _time(call, index)
    return samples


def time_cold(calls: Mapping[str, Call], indices: Sequence[int], rounds: int) -> dict[str, Seconds]:
    """Return the seconds of every call on the texts with those indices, each with emptied caches.

    Their order is drawn for every text of every round, and is the same in every run.
    """
    samples = {name: np.zeros((rounds, len(indices))) for name in calls}
    names, generator, empty = list(calls), np.random.default_rng(0), make_emptier()
    for turn in range(rounds):
        for column, index in enumerate(indices):
            for position in generator.permutation(len(names)).tolist():
                empty()
                samples[names[position]][turn, column] = _time(calls[names[position]], index)
    return samples


def _time(call: Call, index: int) -> float:
    start = time.perf_counter()
    call(index)
    return time.perf_counter() - start


def measure_cpu(call: Call, count: int, most: int = 1000) -> float:
    """Return the processor time of a call, all threads, in seconds: the mean over texts, one after the other."""
    indices = range(0, count, max(1, count // most))
    start = time.process_time()
    for index in indices:
        call(index)
    return (time.process_time() - start) / len(indices)


def measure_alone(contender: Contender, texts: Texts, rounds: int) -> Seconds:
    """Return the seconds of the compiled function alone, which finds the text in its buffer; texts in a row."""
    assert contender.start is not None
    alone = np.zeros((rounds, len(texts.raw)))
    with Parser.load(contender.start[1], engine="iree") as parser:
        prepared = [parser.prepare(text) for text in texts.raw]
        for turn in range(rounds):
            for index, (_, entry, raw) in enumerate(prepared):
                entry.set_text(raw)
                start = time.perf_counter()
                entry.invoke()
                alone[turn, index] = time.perf_counter() - start
    return alone


def _check_agreement(contenders: Sequence[Contender], texts: Texts) -> dict[str, float]:
    """Return, for each contender, the share of texts that it decides as PyTorch does in float32.

    Raises:
        SystemExit: A contender in float32 does not compute the same.
    """
    indices = range(0, len(texts.raw), max(1, len(texts.raw) // 200))
    reference = next((contender for contender in contenders if contender.name == OURS), None)
    equal = {contender.name: 0 for contender in contenders if "teacher" not in contender.name and not contender.decides}
    for index in indices:
        wanted = _answer(reference, index)
        for contender in contenders:
            if contender.name not in equal:
                continue
            intent, tags = _answer(contender, index)
            apart = max(float(np.abs(intent - wanted[0]).max()), float(np.abs(tags - wanted[1]).max()))
            if contender.precision == "f32" and not apart < 1e-3:
                raise SystemExit(f"{contender.name} differs by {apart} on {texts.raw[index]!r}: not measured")
            equal[contender.name] += int(
                intent.argmax() == wanted[0].argmax() and np.array_equal(tags.argmax(-1), wanted[1].argmax(-1))
            )
    return {name: count / len(indices) for name, count in equal.items()}


def _answer(contender: Contender | None, index: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    assert contender is not None
    logits = contender.call(index)
    intent, tags = logits[:2] if contender.ours else (logits[0][0], logits[1][0])  # type: ignore[index]
    return np.array(intent), np.array(tags)


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a parser trained in float32, whose weights the peers run")
    parser.add_argument("package", type=Path, help="the package compiled from it for this machine")
    parser.add_argument("--int8", nargs=2, metavar=("RUN", "PACKAGE"), help="the same parser in int8, and its package")
    parser.add_argument("--native", type=Path, metavar="DIR", help="the parser in int8 as a library (`pqrnn native`)")
    parser.add_argument(
        "--native-4-bits", type=Path, metavar="DIR", help="the library of the parser with weights of 4 bits"
    )
    parser.add_argument(
        "--teacher", type=Path, metavar="RUN", help="folder of a teacher, to be compiled and measured, too"
    )
    parser.add_argument("--data", required=True, help="utterances with a test split, as for `pqrnn train`")
    parser.add_argument("--lang", help="only this language")
    parser.add_argument("--name", required=True, help='name of the data in the rows, as "mtop-en"')
    parser.add_argument(
        "--utterances", type=int, default=10**9, help="at most about so many, evenly chosen (default: all)"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--starts", type=int, default=7, help="fresh processes for each contender; 0: none")
    parser.add_argument("--peers", nargs="*", metavar="NAME", help="only these peers (default: all that are there)")
    parser.add_argument(
        "--prepare",
        action="store_true",
        help="only convert the encoder for the peers, which takes long and is kept in .peers",
    )
    parser.add_argument("--no-keep", dest="keep", action="store_false", help="print only")
    return parser.parse_args()


if __name__ == "__main__":
    main()
