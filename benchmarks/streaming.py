r"""How many words before its end an utterance's intent is known, at equal error.

    python -m benchmarks.streaming mtop-en.pqrnn mtop:DATA/mtop/spans --lang en [--work "mtop-en"]

An utterance is read word by word, as a recogniser of speech gives it; its intent is taken at the first word at which it
is settled (`runtime_py.streaming`), else at its end. Of the margins and numbers of words tried, those are chosen with
which development utterances are settled earliest, and no more of them are wrong than when all are read to their ends
(and again: at most a hundredth more). Test utterances are then read with them. Rows are kept in
`results/assistant.json`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.results import keep_results, print_rows, tell_command
from pqrnn.data.examples import Example
from pqrnn.data.loader import load_examples
from pqrnn.evaluation.results import ResultRow
from runtime_py.parser import Parser

NAME = "assistant"
_MARGINS = [step / 2 for step in range(21)]
_HOLDS = range(1, 7)
_EXTRA = (0.0, 0.01)  # of wrong intents


class Reading(NamedTuple):
    """An utterance that was read word by word.

    Attributes:
        gold: Index of its intent, or -1 for one that the parser does not have.
        best: Index of the likeliest intent after each word.
        lead: How far, in logits, it lay before the next one.
        held: For how many words it has been the likeliest.
    """

    gold: int
    best: NDArray[np.int64]
    lead: NDArray[np.float64]
    held: NDArray[np.int64]


def read_words(parser: Parser, examples: Sequence[Example]) -> list[Reading]:
    """Read utterances word by word."""
    names = {name: index for index, name in enumerate(parser.manifest.labels.intents)}
    readings = []
    for example in examples:
        words = example.text.split()
        if not words:
            continue
        rows = np.stack([parser.logits(" ".join(words[:end])).intent for end in range(1, len(words) + 1)]).astype(float)
        ordered = np.sort(rows, axis=1)
        best = rows.argmax(axis=1)
        held = [1]
        for before, after in pairwise(best.tolist()):
            held.append(held[-1] + 1 if before == after else 1)
        readings.append(Reading(names.get(example.intent, -1), best, ordered[:, -1] - ordered[:, -2], np.array(held)))
    return readings


def decide(reading: Reading, margin: float, hold: int) -> tuple[int, int]:
    """Return the intent that is taken, and how many words before the end."""
    settled = np.flatnonzero((reading.lead > margin) & (reading.held >= hold))
    at = int(settled[0]) if settled.size else len(reading.best) - 1
    return int(reading.best[at]), len(reading.best) - 1 - at


def judge(readings: Sequence[Reading], margin: float, hold: int) -> tuple[float, float, float]:
    """Return the share of wrong intents, the mean of words earlier, and the share that is earlier at all."""
    taken = [decide(each, margin, hold) for each in readings]
    wrong = fmean(intent != each.gold for (intent, _), each in zip(taken, readings, strict=True))
    return wrong, fmean(early for _, early in taken), fmean(early > 0 for _, early in taken)


def wrong_at_end(readings: Sequence[Reading]) -> float:
    """Return the share of intents that are wrong when all words were read."""
    return fmean(int(each.best[-1]) != each.gold for each in readings)


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path)
    parser.add_argument("data")
    parser.add_argument("--lang")
    parser.add_argument("--work", help="name of the rows; that of the package by default")
    parser.add_argument("--most", type=int, default=2000, help="utterances of a split (default 2000)")
    parser.add_argument("--print", action="store_true", dest="only_print", help="print the rows and keep nothing")
    options = parser.parse_args()
    with Parser.load(options.package, on_long="truncate") as loaded:
        dev, test = (
            read_words(loaded, load_examples(options.data, split=split, locale=options.lang)[: options.most])
            for split in ("dev", "test")
        )
    work = f"streaming {options.work or options.package.stem}"
    rows = [
        ResultRow(work=work, metric="words of an utterance", value=fmean(len(each.best) for each in test), n=len(test)),
        ResultRow(work=work, metric="intent wrong, read to the end", value=wrong_at_end(test), n=len(test)),
    ]
    for extra in _EXTRA:
        judged = ((*judge(dev, margin, hold), margin, hold) for margin in _MARGINS for hold in _HOLDS)
        allowed = [each for each in judged if each[0] <= wrong_at_end(dev) + extra]
        if not allowed:
            continue
        *_, margin, hold = max(allowed, key=lambda each: each[1])
        wrong, earlier, share = judge(test, margin, hold)
        note = f"margin {margin:g}, {hold} words; {100 * extra:g} points more may be wrong"
        rows += [
            ResultRow(work=work, metric="intent wrong, taken when settled", value=wrong, n=len(test), note=note),
            ResultRow(work=work, metric="words earlier", value=earlier, n=len(test), note=note),
            ResultRow(work=work, metric="known before the end", value=share, n=len(test), note=note),
        ]
    if options.only_print:
        print_rows(NAME, rows)
    else:
        keep_results(NAME, rows, tell_command("benchmarks.streaming"), replace_works=[work])


if __name__ == "__main__":
    main()
