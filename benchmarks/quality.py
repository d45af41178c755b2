r"""Scores of a trained parser or a teacher on a test split, and the decisions of a package that differ from PyTorch's.

    # a parser and its package
    python -m benchmarks.quality RUN PACKAGE --data DATA --lang en --work "mtop-en distilled int8" \
        --teacher-work "mtop-en teacher" --float-work "mtop-en distilled"
    # without a package: PyTorch's answers
    python -m benchmarks.quality RUN --data DATA --lang en --work "mtop-en teacher"
    # the mean of several, as it taught
    python -m benchmarks.quality RUN --with RUN2 --data DATA --lang en --work "mtop-en teachers"
    # several languages
    python -m benchmarks.quality RUN PACKAGE --data DATA --lang en,de --work "mtop-{lang} multilingual int8" \
        --average "mtop two languages average int8"
    # from rows that are kept
    python -m benchmarks.quality --lang en,de --work "mtop-{lang} int8" --average "mtop two languages average int8"

The test split is looked at once per reported row; everything was selected on the development split. Rows are kept in
`results/quality.json`: those of a work replace its earlier ones. Retention is exact match as a share of the teacher's,
whose rows have to be kept before.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.results import keep_results, load_results, tell_command
from compile.verify.parity import Decisions, check_labels, compare_answers
from pqrnn.checkpoint import Checkpoint
from pqrnn.data.loader import load_examples
from pqrnn.distillation.labelling import Columns, average_logits, choose_labels
from pqrnn.distillation.loading import load_teacher
from pqrnn.distillation.logit_store import TeacherLogits
from pqrnn.evaluation.evaluate import FRESH, evaluate_predictions
from pqrnn.evaluation.metrics import Estimate
from pqrnn.evaluation.prediction import Prediction, compute_logits
from pqrnn.evaluation.results import ResultRow
from pqrnn.model.network import Network
from pqrnn.model.parser import ParserModel
from pqrnn.run_folder import FACTS, WEIGHTS
from runtime_py import Parser
from runtime_py.decode.decoder import Decoder

NAME = "quality"
PLAIN = "largest logits alone"
_AVERAGED = (
    "exact match",
    "intent accuracy",
    "slot f1",
    f"exact match, {FRESH}",
    f"exact match, {PLAIN}",
    "exact match less float",
    "retention",
)


class PlainDecoder(Decoder):
    """A decoder that takes the largest logits, whether they are well-formed together or not."""

    def choose_tags(self, intent: npt.NDArray[np.float32], tags: npt.NDArray[np.float32]) -> tuple[int, list[int]]:
        """Return the index of the intent, and that of each word's tag, as `Decoder.choose_tags` does."""
        return int(intent.argmax()), tags.argmax(axis=1).tolist() if len(tags) else []


def main() -> None:
    """Measure, print, keep."""
    arguments = _read_arguments()
    languages = [language for language in (arguments.lang or "").split(",") if language]
    if arguments.run is not None:
        model, facts = load_teacher(arguments.run)
        answering = [(arguments.run, model, facts), *((folder, *load_teacher(folder)) for folder in arguments.others)]
        voices = [
            Voice(folder, network, choose_labels(folder, described.labels, facts.labels))
            for folder, network, described in answering
        ]
        train = load_examples(arguments.data, split="train", locale=arguments.lang)
        for language in languages if "{lang}" in arguments.work else [arguments.lang]:
            work = arguments.work.replace("{lang}", language or "")
            _report(
                measure(arguments, work, language, voices, facts, [example.text for example in train]),
                work,
                arguments.keep,
            )
    if arguments.average:
        works = [arguments.work.replace("{lang}", language) for language in languages]
        _report(average_works(load_results(NAME).rows, works, arguments.average), arguments.average, arguments.keep)


class Voice(NamedTuple):
    """One of the networks that answer together.

    Attributes:
        folder: Folder of its checkpoint.
        network: The network in evaluation mode.
        columns: Which of its logits are those of the first network's labels.
    """

    folder: Path
    network: Network
    columns: Columns


def answer_together(voices: Sequence[Voice], texts: Sequence[str]) -> list[Prediction]:
    """Return the answers of one network, or logits of the mean of several networks' probabilities.

    The mean is that of distillation (`pqrnn.distillation.labelling.average_logits`).
    """
    predictions = [compute_logits(voice.network, texts) for voice in voices]
    first = predictions[0]
    if len(predictions) == 1:
        return first
    parts = []
    for voice, answers in zip(voices, predictions, strict=True):
        intent = torch.from_numpy(np.stack([answer.intent for answer in answers])[:, voice.columns.intents])
        tags = torch.from_numpy(np.concatenate([answer.tags for answer in answers])[:, voice.columns.tags])
        parts.append(TeacherLogits(intent, tags))
    mean = average_logits(parts)
    tags_of = mean.tags.split([len(answer.tags) for answer in first])
    return [
        Prediction(intent.numpy(), tags.numpy(), answer.spans)
        for intent, tags, answer in zip(mean.intent, tags_of, first, strict=True)
    ]


def measure(
    arguments: argparse.Namespace,
    work: str,
    language: str | None,
    voices: Sequence[Voice],
    facts: Any,
    known: Sequence[str],
) -> list[ResultRow]:
    """Score the test split of one language, or of all together.

    Args:
        arguments: Arguments of the command line.
        work: Name of the rows.
        language: The language; None for all together.
        voices: The networks that are scored; several answer together.
        facts: Facts of the first network's checkpoint.
        known: Training texts.
    """
    examples = load_examples(arguments.data, split="test", locale=language)
    texts = [example.text for example in examples]
    started = time.perf_counter()
    answers = answer_together(voices, texts)
    model = voices[0].network
    parity: list[ResultRow] = []
    if arguments.package is not None and isinstance(model, ParserModel):
        checkpoint, framework = Checkpoint(model, facts), answers
        with Parser.load(arguments.package) as parser:
            check_labels(checkpoint, parser.manifest.labels)
            answers = [Prediction(logits.intent, logits.tags, logits.spans) for logits in map(parser.logits, texts)]
        parity = _parity_rows(
            work, compare_answers(checkpoint, texts, framework, answers), len(texts), model.config.precision
        )
    evaluation = evaluate_predictions(examples, answers, facts.labels.decoder(), known, arguments.out_of_scope)
    plain = evaluate_predictions(examples, answers, PlainDecoder(facts.labels.intents, facts.labels.tags)).figures()
    print(f"{work}: {len(texts)} utterances in {time.perf_counter() - started:.1f} s")
    scored = [_row(work, metric, figure) for metric, figure in evaluation.figures().items()]
    scored += [
        _row(work, f"{metric}, {PLAIN}", plain[metric])
        for metric in ("exact match", "intent accuracy", "slot f1")
        if metric in plain
    ]
    weights, described = (sum((voice.folder / name).stat().st_size for voice in voices) for name in (WEIGHTS, FACTS))
    sizes = [
        ResultRow(work=work, metric="parameters", value=sum(voice.network.parameters_count() for voice in voices)),
        ResultRow(work=work, metric="weights", value=weights, unit="bytes"),
        ResultRow(
            work=work,
            metric="checkpoint",
            value=weights + described,
            unit="bytes",
            note="weights and all that is said of them",
        ),
    ]
    exact = next(row.value for row in scored if row.metric == "exact match")
    return [
        *scored,
        *_relative_rows(work, language, exact, arguments.teacher_work, arguments.float_work),
        *parity,
        *sizes,
    ]


def _parity_rows(work: str, found: Decisions, count: int, precision: str) -> list[ResultRow]:
    note = f"compiled against PyTorch, {precision}"
    return [
        ResultRow(work=work, metric="intent flips", value=found.intent_flips, n=count, note=note),
        ResultRow(
            work=work,
            metric="slot flips",
            value=found.slot_flips,
            n=count,
            note=f"utterances whose slots differ, {note}",
        ),
        ResultRow(
            work=work,
            metric="word mismatches",
            value=found.word_mismatches,
            n=count,
            note="utterances whose words differ",
        ),
        ResultRow(work=work, metric="largest logit difference", value=found.largest_difference, n=count),
    ]


def _relative_rows(work: str, language: str | None, exact: float, teacher: str, plain: str) -> list[ResultRow]:
    """Return rows against other works whose rows are kept."""
    rows = []
    if teacher:
        teacher = teacher.replace("{lang}", language or "")
        other = find_exact_match(teacher)
        rows.append(
            ResultRow(
                work=work,
                metric="retention",
                value=round(exact / other, 6),
                note=f"exact match {exact:.4f} of {other:.4f} of {teacher}",
            )
        )
    if plain:
        plain = plain.replace("{lang}", language or "")
        other = find_exact_match(plain)
        rows.append(
            ResultRow(
                work=work, metric="exact match less float", value=round(exact - other, 6), note=f"{plain}: {other:.4f}"
            )
        )
    return rows


def find_exact_match(work: str) -> float:
    """Return the kept exact match of a work.

    Raises:
        SystemExit: There is none.
    """
    try:
        rows = load_results(NAME).rows
    except FileNotFoundError:
        rows = []
    for row in rows:
        if row.work == work and row.metric == "exact match":
            return row.value
    kept = ", ".join(dict.fromkeys(row.work for row in rows)) or "none"
    raise SystemExit(f"{work!r} has no kept exact match: measure it first; kept are {kept}")


def average_works(rows: Sequence[ResultRow], works: Sequence[str], average: str) -> list[ResultRow]:
    """Return the means over works, of every figure that all of them have.

    The works are of different utterances, so the variances of their figures add up: that is the interval.

    Raises:
        SystemExit: A work has no kept exact match.
    """
    averages = []
    for metric in _AVERAGED:
        parts = [row for work in works for row in rows if row.work == work and row.metric == metric]
        if len(parts) != len(works):
            if metric == "exact match":
                missing = [work for work in works if work not in {row.work for row in parts}]
                raise SystemExit(f"{', '.join(missing) or 'no work'}: no kept exact match to average")
            continue
        mean = sum(row.value for row in parts) / len(parts)
        halves = [(row.high - row.low) / 2 for row in parts if row.low is not None and row.high is not None]
        half = math.sqrt(sum(width * width for width in halves)) / len(parts) if len(halves) == len(parts) else None
        averages.append(
            ResultRow(
                work=average,
                metric=metric,
                value=round(mean, 6),
                low=None if half is None else round(mean - half, 6),
                high=None if half is None else round(mean + half, 6),
                n=sum(row.n for row in parts if row.n is not None) or None,
                note="mean of " + ", ".join(f"{row.work} {row.value:.4f}" for row in parts),
            )
        )
    weights = {row.value for work in works for row in rows if row.work == work and row.metric == "weights"}
    if len(weights) == 1:  # one multilingual parser
        averages.append(ResultRow(work=average, metric="weights", value=weights.pop(), unit="bytes"))
    return averages


def _report(rows: Sequence[ResultRow], work: str, keep: bool) -> None:
    for row in rows:
        interval = f"  [{row.low:.4f}, {row.high:.4f}]" if row.low is not None else ""
        print(f"  {row.metric:40} {row.value:12.6g}{interval}")
    if keep:
        keep_results(NAME, rows, tell_command("benchmarks.quality"), replace_works=[work])


def _row(work: str, metric: str, figure: Estimate) -> ResultRow:
    return ResultRow(
        work=work,
        metric=metric,
        value=round(figure.value, 6),
        low=round(figure.low, 6),
        high=round(figure.high, 6),
        n=figure.n,
    )


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "run", type=Path, nargs="?", help="folder of a trained parser or a teacher; none: only --average what is kept"
    )
    parser.add_argument(
        "package", type=Path, nargs="?", help="the package compiled from it; without it the answers are PyTorch's"
    )
    parser.add_argument("--data", help="labelled utterances with a test split, as for `pqrnn train`")
    parser.add_argument("--lang", help="only these languages, as en,de")
    parser.add_argument(
        "--work",
        required=True,
        help='name of the rows, as "mtop-en supervised"; with {lang} in it each language is a work of its own',
    )
    parser.add_argument(
        "--teacher-work", default="", help="whose exact match the retention is a share of; may have {lang}, too"
    )
    parser.add_argument(
        "--float-work", default="", help="the same parser in float32, to be compared with; may have {lang}, too"
    )
    parser.add_argument("--average", default="", help="also keep the mean over --lang of --work under this name")
    parser.add_argument(
        "--out-of-scope",
        default="",
        metavar="INTENT",
        help="what gold labels call utterances that are out of scope, as oos",
    )
    parser.add_argument("--no-keep", dest="keep", action="store_false", help="print only")
    parser.add_argument(
        "--with",
        dest="others",
        type=Path,
        action="append",
        default=[],
        metavar="RUN",
        help="another one that answers, too: the mean is scored; again for more",
    )
    arguments = parser.parse_args()
    if arguments.others and (arguments.run is None or arguments.package is not None):
        parser.error("--with is for networks that answer together, which no package does")
    if arguments.run is not None and not arguments.data:
        parser.error("a run is measured on --data")
    if arguments.run is None and not arguments.average:
        parser.error("name a run, or what to --average")
    if arguments.average and ("{lang}" not in arguments.work or not arguments.lang):
        parser.error("--average is over the languages of --lang: put {lang} into --work")
    return arguments


if __name__ == "__main__":
    main()
