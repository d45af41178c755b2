r"""Parsers of Home Assistant's sentences beside `hassil`, its own matching, on exact and on perturbed sentences.

    python -m benchmarks.home_assistant de home-assistant-de.pqrnn [--sentences 1200] [--min-score 0.5]

*Exact* sentences are drawn from the templates, from the split that no parser learned, and only those count that hassil
reads as the template that made them: so it has all of them right, and what is right is not a matter of taste.
*Perturbed* ones are these with a filler that no training sentence had, in another order, without articles, misspelt, or
as recognisers hear. Right is an intent with its own slots and the text of every slot. *Wrong* is an answer that is not,
which in a house is worse than none. Times are seconds of the processor, so
that what else runs does not count; they and the memory are those of one process each.
Rows are kept in `results/assistant.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple

from benchmarks.results import keep_results, print_rows, tell_command
from pqrnn.data.examples import Example
from pqrnn.data.hassil import load_hassil, load_hassil_examples
from pqrnn.data.hassil.loading import NONE
from pqrnn.data.hassil.noise import CHANGES, Wording, change_sentence
from pqrnn.data.hassil.sources import read_home
from pqrnn.evaluation.results import ResultRow

NAME = "assistant"
_SEED = 20_261_128
_TRIES = 20
# None of these is a filler of the training data or a word that Home Assistant skips.
_FILLERS = {
    "en": (
        "well then",
        "if you don't mind",
        "mate",
        "be so kind and",
        "go ahead and",
        "oh",
        "dear house",
        "would it be ok to",
    ),
    "de": ("na ja", "wenn es geht", "sei so lieb und", "los", "ach", "liebes Haus", "wäre es möglich", "sag mal"),
    "es": ("venga", "a ver", "si no te importa", "anda", "querida casa", "sé buena y"),
    "fr": ("bon", "allez", "si possible", "dis donc", "chère maison", "sois gentille et"),
    "hi": ("भाई", "सुनिए", "अच्छा", "मेहरबानी करके"),
    "th": ("เฮ้", "รบกวน", "นี่", "เอาล่ะ"),
}

Read = tuple[str, dict[str, str]] | None  # label of an intent and texts of its slots


class Asked(NamedTuple):
    """What a program answered.

    Attributes:
        answers: Its answers, in the order of the texts.
        seconds: Of the processor, for each.
        memory: Most bytes that its process held.
    """

    answers: list[Read]
    seconds: list[float]
    memory: int


def fold_text(text: str) -> str:
    """Return a text without case, in one Unicode form, with single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def same(gold: Example, answer: Read) -> bool:
    """Say whether an answer is right; an ending of the word that a slot ends in does not count, as in `des Bads`."""
    if answer is None or answer[0] != gold.intent:
        return False
    wanted = {slot.label: fold_text(gold.text[slot.start : slot.end]) for slot in gold.slots}
    got = {label: fold_text(text) for label, text in answer[1].items()}
    return wanted.keys() == got.keys() and all(
        wanted[label] == got[label] or wanted[label] in (got[label] + "s", got[label] + "es") for label in wanted
    )


def _run(module: str, request: dict[str, Any]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", module],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return json.loads(done.stdout)


def ask_hassil(language: str, texts: Sequence[str]) -> Asked:
    """Ask Home Assistant's own matching, with the lists that the training data were made from."""
    home = read_home(language)
    lists = dict(home.document["lists"]) if home else {}
    lists.pop("any", None)
    request = {"sentences": load_hassil(language).files[0].document, "lists": lists, "texts": texts}
    got = _run("benchmarks.peers.hassil", request)
    answers = [None if each is None else (each[0], each[1]) for each in got["answers"]]
    return Asked(answers, got["seconds"], got["memory"])


def ask_parser(package: Path, texts: Sequence[str], min_score: float) -> Asked:
    """Ask a parser; what it calls nothing, or is not sure of, is no answer."""
    got = _run("benchmarks.peers.parser_texts", {"package": str(package), "texts": texts})
    answers = [None if each[0] == NONE or each[1] < min_score else (each[0], each[2]) for each in got["answers"]]
    return Asked(answers, got["seconds"], got["memory"])


def perturb(examples: Sequence[Example], language: str) -> list[tuple[str, Example]]:
    """Return each sentence said otherwise, the kinds in turn."""
    home = read_home(language)
    articles = frozenset(home.document["articles"]) if home else frozenset()
    wording = Wording(_FILLERS[language], articles)
    dice = random.Random(_SEED)
    kinds = list(CHANGES)
    changed: list[tuple[str, Example]] = []
    for index, example in enumerate(examples):
        for kind in kinds[index % len(kinds) :] + kinds[: index % len(kinds)]:
            found = next(
                filter(None, (change_sentence(example, CHANGES[kind], wording, dice) for _ in range(_TRIES))), None
            )
            if found is not None:
                changed.append((kind, found))
                break
    return changed


def _share(work: str, metric: str, hits: Sequence[bool], peer: str, note: str = "") -> ResultRow:
    return ResultRow(work=work, metric=metric, value=sum(hits) / len(hits), n=len(hits), peer=peer, note=note)


def compare(language: str, package: Path, count: int, min_score: float) -> list[ResultRow]:
    """Ask both, and return rows."""
    drawn = load_hassil_examples(language, "test", count=count + count // 3, seed=_SEED, noise=False)
    nothing = [row for row in drawn if row.intent == NONE]
    commands = [row for row in drawn if row.intent != NONE]
    read = ask_hassil(language, [row.text for row in commands])
    agreed = [row for row, answer in zip(commands, read.answers, strict=True) if same(row, answer)]
    exact = agreed[:count]
    perturbed = perturb(exact, language)
    changed = [row for _, row in perturbed]
    texts = [row.text for row in [*exact, *changed, *nothing]]
    work = f"home-assistant-{language}"
    rows = [
        _share(work, "read by hassil as the template that made them", [row in agreed for row in commands], "hassil")
    ]
    ask: dict[str, Callable[[], Asked]] = {
        "pqrnn": lambda: ask_parser(package, texts, min_score),
        "hassil": lambda: ask_hassil(language, texts),
    }
    first, second = len(exact), len(exact) + len(changed)
    for peer, call in ask.items():
        asked = call()
        right = [same(row, answer) for row, answer in zip([*exact, *changed], asked.answers, strict=False)]
        wrong = [answer is not None and not good for answer, good in zip(asked.answers, right, strict=False)]
        rows += [
            _share(work, "right on exact sentences", right[:first], peer),
            _share(work, "right on perturbed sentences", right[first:], peer),
            _share(work, "wrong on perturbed sentences", wrong[first:], peer),
            _share(work, "out of scope refused", [answer is None for answer in asked.answers[second:]], peer),
        ]
        rows += [
            _share(
                work,
                "right on perturbed sentences",
                [g for g, (k, _) in zip(right[first:], perturbed, strict=True) if k == kind],
                peer,
                kind,
            )
            for kind in CHANGES
        ]
        for note, seconds in (("exact", asked.seconds[:first]), ("perturbed", asked.seconds[first:second])):
            rows += [
                ResultRow(
                    work=work,
                    metric="median processor time",
                    value=1e6 * median(seconds),
                    n=len(seconds),
                    unit="us",
                    peer=peer,
                    note=note,
                ),
                ResultRow(
                    work=work,
                    metric="99 of 100 within",
                    value=1e6 * quantiles(seconds, n=100)[98],
                    n=len(seconds),
                    unit="us",
                    peer=peer,
                    note=note,
                ),
            ]
        rows.append(ResultRow(work=work, metric="memory", value=asked.memory, unit="bytes", peer=peer))
    return rows


def main() -> None:
    """Compare, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("language", choices=sorted(_FILLERS))
    parser.add_argument("package", type=Path)
    parser.add_argument("--sentences", type=int, default=1200)
    parser.add_argument("--min-score", type=float, default=0.5)
    parser.add_argument("--print", action="store_true", dest="only_print", help="print the rows and keep nothing")
    options = parser.parse_args()
    rows = compare(options.language, options.package, options.sentences, options.min_score)
    if options.only_print:
        print_rows(NAME, rows)
    else:
        command = tell_command("benchmarks.home_assistant")
        keep_results(NAME, rows, command, replace_works=[f"home-assistant-{options.language}"])


if __name__ == "__main__":
    main()
