r"""Answers to questions within budgets of work: F1, exact match, MACs and time of a network and of its parts.

    python -m benchmarks.length_adaptive RUN --work "squad, minilm" --data DATA/squad/dev-v1.1.json.gz --sample 1000 \
        --drop 0.02 --drop 0.05 --drop 0.1 --keep

RUN is a folder of `pqrnn finetune-questions`. Without `--drop` the parts are those that are stored with it
(`pqrnn budget-questions`), else one for each share that every layer drops: nothing is chosen by what is measured here.
Scores are PyTorch's in float32, on questions drawn from a seed or on all; the distance from the whole network has a
paired bootstrap interval. With `--time N` nothing is scored: the network and its parts are compiled for this machine
and answer N questions in turn with PyTorch, on one thread; what is compared is the time of the processor, so that other
programs count as little as can be. Where RUN is in 8 bits (`pqrnn quantize-questions`), `--before` names the model in
float32 that it was made of: scores and times are then compared with that one.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.results import merge_results, print_rows, tell_command
from pqrnn.api.questions import compile_questions, draw_questions
from pqrnn.data.questions.scoring import match_exactly, score_words
from pqrnn.data.questions.squad import Question
from pqrnn.evaluation.results import ResultRow
from pqrnn.model.length_config import LengthConfig, full_config
from pqrnn.questions.checkpoint import SpanBudget, SpanFacts, load_span_model, save_span_model
from pqrnn.questions.evaluate import (
    EncodedQuestions,
    encode_questions,
    mean_window_macs,
    predict_answers,
    predict_logits,
)
from pqrnn.questions.model import SpanModel
from pqrnn.recipes.settings import AdaptiveConfig
from pqrnn.training.sandwich import smallest_lengths
from runtime_py import Answerer

_RESAMPLES = 2000
TORCH = "torch f32"


class Scores(NamedTuple):
    """Scores of single questions.

    Attributes:
        exact: Exact match, float64[n].
        f1: F1, float64[n].
    """

    exact: NDArray[np.float64]
    f1: NDArray[np.float64]


def main() -> None:
    """Score, time, keep."""
    arguments = _read_arguments()
    torch.set_num_threads(1)
    model, facts = load_span_model(arguments.run)
    parts = choose_parts(model, facts, arguments.drop)
    questions = draw_questions(arguments.data, arguments.time or arguments.sample, arguments.seed)
    encoded = encode_questions(model, questions)
    before = load_span_model(arguments.before)[0] if arguments.before is not None else None
    if arguments.time:
        rows = time_parts(model, facts, parts, encoded, arguments.work, before or model)
    else:
        rows = score_parts(model, parts, encoded, arguments.work, arguments.seed, before)
    tell_rows(rows, arguments.keep)


def score_parts(
    model: SpanModel,
    parts: Sequence[LengthConfig],
    encoded: EncodedQuestions,
    work: str,
    seed: int,
    before: SpanModel | None = None,
) -> list[ResultRow]:
    """Return the rows of all parts, the whole network's first.

    What they are compared with is the whole network, or the network that it was made of, where `before` gives that.
    """
    counts = encoded.window_lengths()
    cost = mean_window_macs(model, counts)
    rows: list[ResultRow] = []
    whole = score(before, encoded, full_config(before.layers)) if before is not None else None
    if whole is not None:
        print(f"{'before':24} F1 {whole.f1.mean():.4f}", flush=True)
    for lengths in reversed(parts):
        scores = score(model, encoded, lengths)
        whole = whole or scores
        macs = mean_window_macs(model, counts, lengths)
        rows += make_rows(f"{work}, {lengths.describe()}", scores, whole, macs, cost, seed)
        print(f"{lengths.describe():24} F1 {scores.f1.mean():.4f}, {macs / cost:.3f} of the MACs", flush=True)
    return rows


def tell_rows(rows: Sequence[ResultRow], keep: bool) -> None:
    """Keep rows, or print them."""
    if keep:
        merge_results("length_adaptive", rows, tell_command("benchmarks.length_adaptive"), notes_tell_apart=False)
    else:
        print_rows("length_adaptive", rows)


def choose_parts(model: SpanModel, facts: SpanFacts, drops: Sequence[float]) -> list[LengthConfig]:
    """Return the parts by rising cost, the whole network last: one for each share that every layer drops."""
    if not drops:
        return [each.lengths for each in facts.budgets] or [full_config(model.layers)]
    found = [smallest_lengths(model.layers, AdaptiveConfig(length_drop=drop)) for drop in sorted(drops, reverse=True)]
    return [*(each for each in found if not each.is_full), full_config(model.layers)]


def score(model: SpanModel, encoded: EncodedQuestions, lengths: LengthConfig) -> Scores:
    """Return the scores of a part's answers, question by question."""
    answers = predict_answers(model, encoded, None if lengths.is_full else lengths)

    def best(measure: Callable[[str, str], float], question: Question, text: str) -> float:
        return max(measure(text, gold.text) for gold in question.answers)

    pairs = list(zip(encoded.questions, answers, strict=True))
    exact = np.array([best(match_exactly, question, answer.text) for question, answer in pairs])
    return Scores(exact, np.array([best(score_words, question, answer.text) for question, answer in pairs]))


def make_rows(work: str, scores: Scores, whole: Scores, macs: float, cost: float, seed: int) -> list[ResultRow]:
    """Return the rows of a part.

    Args:
        work: Name of the part.
        scores: Its scores.
        whole: Those of the whole network, on the same questions.
        macs: Its mean MACs of a window.
        cost: Those of the whole network.
        seed: Seed of the bootstrap.
    """
    count = len(scores.f1)
    figures = (("f1", scores.f1), ("exact match", scores.exact), ("f1 less the whole network's", scores.f1 - whole.f1))
    rows = []
    for metric, values in figures:
        low, high = _interval(values, seed)
        rows.append(ResultRow(work=work, metric=metric, value=float(values.mean()), low=low, high=high, n=count))
    return [
        *rows,
        ResultRow(work=work, metric="MACs", value=round(macs), n=count),
        ResultRow(work=work, metric="share of the MACs", value=macs / cost, n=count),
    ]


def _interval(values: NDArray[np.float64], seed: int) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a mean."""
    rng = np.random.default_rng(seed)
    means = values[rng.integers(0, len(values), (_RESAMPLES, len(values)))].mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def _budget(lengths: LengthConfig, macs: float, cost: float) -> SpanBudget:
    """Return a part as packages have it; scores do not matter here."""
    share = macs / cost
    return SpanBudget(lengths=lengths, macs=round(macs), share=share, exact_match=0.0, f1=0.0, questions=1)


def time_parts(
    model: SpanModel,
    facts: SpanFacts,
    parts: Sequence[LengthConfig],
    encoded: EncodedQuestions,
    work: str,
    peer: SpanModel,
) -> list[ResultRow]:
    """Compile the network with its parts, and return rows about their time and about answers that differ.

    Args:
        model: The model.
        facts: Its facts.
        parts: The parts, the whole network last.
        encoded: Questions that are asked.
        work: Name of the rows.
        peer: The model in float32 whose time in PyTorch is compared.
    """
    counts = encoded.window_lengths()
    cost = mean_window_macs(model, counts)
    budgets = [_budget(lengths, mean_window_macs(model, counts, lengths), cost) for lengths in parts]
    asked = list(zip(encoded.questions, encoded.pairs, strict=True))
    rows: list[ResultRow] = []
    with TemporaryDirectory(prefix="length-adaptive-") as name:
        run, package = Path(name) / "run", Path(name) / "timed.pqrnn"
        run.mkdir()
        save_span_model(run, model, msgspec.structs.replace(facts, budgets=budgets))
        compile_questions(run, package)
        with Answerer.load(package) as answerer:
            seconds: dict[str, list[float]] = {TORCH: [], **{part.name: [] for part in answerer.manifest.parts}}
            flips = dict.fromkeys(seconds, 0)
            wanted = {
                part.name: predict_answers(model, encoded, None if budget.lengths.is_full else budget.lengths)
                for part, budget in zip(answerer.manifest.parts, budgets, strict=True)
            }
            for number, (question, pair) in enumerate(asked):
                seconds[TORCH].append(_time(partial(predict_logits, peer, [pair])))
                for part in answerer.manifest.parts:
                    seconds[part.name].append(_time(partial(answerer.logits, pair, budget=part.name)))
                    found = answerer(question.text, question.context, budget=part.name)
                    expected = wanted[part.name][number]
                    flips[part.name] += (found.start, found.end) != (expected.start, expected.end)
            slowest = median(seconds[TORCH])
            unlike = f"answers unlike torch {'f32' if model.config.precision == 'float32' else model.config.precision}"
            note = "time of the processor for a question, one thread, in turn; windows in buckets of 128, 256 and 384"
            for part, budget in zip(answerer.manifest.parts, budgets, strict=True):
                named, taken = f"{work}, {budget.lengths.describe()}", median(seconds[part.name])
                rows += [
                    ResultRow(work=named, metric="time", value=1e6 * taken, unit="us", n=len(asked), note=note),
                    ResultRow(
                        work=named, metric=f"speed-up over {TORCH}", value=slowest / taken, n=len(asked), note=note
                    ),
                    ResultRow(work=named, metric=unlike, value=flips[part.name], n=len(asked)),
                ]
            rows.append(
                ResultRow(work=work, metric="time", value=1e6 * slowest, unit="us", n=len(asked), peer=TORCH, note=note)
            )
    return rows


def _time(call: Callable[[], object]) -> float:
    before = time.process_time()
    call()
    return time.process_time() - before


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of `pqrnn finetune-questions`")
    parser.add_argument("--work", required=True, help='name of the rows, such as "squad, minilm"')
    parser.add_argument("--data", type=Path, required=True, help="a file of SQuAD 1.1")
    parser.add_argument("--sample", type=int, default=0, help="questions that are drawn; 0 for all")
    parser.add_argument("--seed", type=int, default=0, help="seed of what is drawn")
    parser.add_argument("--drop", type=float, action="append", default=[], help="share that every layer drops")
    parser.add_argument("--time", type=int, default=0, metavar="N", help="compile, and time so many questions")
    parser.add_argument("--before", type=Path, help="folder of the model in float32 that RUN was quantized from")
    parser.add_argument("--keep", action="store_true", help="keep the rows in benchmarks/results/length_adaptive.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
