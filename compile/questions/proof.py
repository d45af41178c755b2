"""PyTorch's answers to golden questions, and whether compiled code gives the same."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from compile.kernels.modules import has_products
from compile.support.errors import VerificationError
from compile.verify.choices import smallest_choice
from compile.verify.roundings import Watch, measure_reach
from compile.verify.tolerance import TOLERATED, tolerance
from pqrnn.model.length_config import LengthConfig
from pqrnn.model.word_selection import watch_choices
from pqrnn.questions.checkpoint import GoldenQuestion
from pqrnn.questions.model import SpanLogits, SpanModel
from runtime_py.questions.answerer import Answerer
from runtime_py.questions.answers import Answer, context_logits, find_answer
from runtime_py.questions.manifest import PartOfNetwork, Proof
from runtime_py.questions.pairs import Pair, PairReader

_UNSURE = 1e-4  # of sums of probabilities: on a closer call float32 may keep another subword (`compile.verify.golden`)
_ORDER = 4.0  # sums in order err more than PyTorch's, which are summed in blocks
_DRAWS = 6
_DRAWN = 2.0  # a draw turns half of the undecided roundings; a device may turn all


class Expected(NamedTuple):
    """What PyTorch answers.

    Attributes:
        golden: The question.
        pair: The same in subwords.
        answers: The answer of each part; None where it is undecided.
        logits: All logits of the whole network as float32 has them, [n].
        exact: The same in float64.
        shifts: How much the logits change each time that roundings to 8 bits which float32 leaves undecided are drawn
            at random (`compile.verify.roundings`); empty for a model in float32.
    """

    golden: GoldenQuestion
    pair: Pair
    answers: list[Answer | None]
    logits: NDArray[np.float64]
    exact: NDArray[np.float64]
    shifts: list[NDArray[np.float64]]


Windows = tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]


class _Run(NamedTuple):
    """A network, and what watches it while it reads a window."""

    model: SpanModel
    watch: Callable[[], AbstractContextManager[None]] = nullcontext


def golden_questions(questions: Sequence[GoldenQuestion]) -> list[GoldenQuestion]:
    """Return a checkpoint's questions with tricky ones: a context of one word, signs, and several windows."""
    some = list(questions) or [GoldenQuestion("What is this?", "This is a text.")]
    question, joined = some[0].question, " ".join(each.context for each in some[:6])
    tricky = ["word", f"  {some[0].context[:40]}\n", f"„{some[0].context[:30]}“ — 🙂 ✓ é", joined]
    return [*some, *(GoldenQuestion(question, context) for context in tricky)]


def expect_answers(
    model: SpanModel, reader: PairReader, questions: Sequence[GoldenQuestion], lengths: Sequence[LengthConfig]
) -> list[Expected]:
    """Return PyTorch's answers.

    Args:
        model: The model, in evaluation mode.
        reader: Cuts questions.
        questions: The questions.
        lengths: Parts of the network, the whole one last.
    """
    exact = copy.deepcopy(model).double().eval()
    pairs = [reader.read(golden.question, golden.context, cut_question=True) for golden in questions]
    runs = [_Run(model), _Run(exact), *_draw_roundings(model, exact, pairs)]
    found = []
    for golden, pair in zip(questions, pairs, strict=True):
        answers, sides = [], list[Windows]()
        for part in lengths:
            gaps: list[float] = []
            sides = [_read(run, pair, None if part.is_full else part, gaps) for run in runs]
            answers.append(_decide(golden, pair, sides, gaps, model.layout.longest_answer))
        single, double, *drawn = map(_flat, sides)  # of the whole network
        found.append(Expected(golden, pair, answers, single, double, [each - single for each in drawn]))
    return found


def _draw_roundings(model: SpanModel, exact: SpanModel, pairs: Sequence[Pair]) -> list[_Run]:
    """Return runs in which roundings to 8 bits that float32 leaves undecided are drawn; none of a model in float32."""
    if not has_products(model):
        return []
    reach = _measure_reach(model, exact, pairs)
    watch = Watch(model, model)
    return [_Run(model, partial(watch.disturb, reach, seed)) for seed in range(_DRAWS)]


def _measure_reach(model: SpanModel, exact: SpanModel, pairs: Sequence[Pair]) -> dict[str, float]:
    """Return how near numbers have to be to another rounding for float32 to leave it undecided, by rounding."""
    watch = Watch(model, exact)
    roundings = []
    for pair in pairs:
        for number in range(len(pair.windows)):
            with watch.record() as seen:
                _run_window(exact, pair, number)
            with watch.compare(seen):
                _run_window(model, pair, number)
            roundings.append(seen)
    return measure_reach(roundings, TOLERATED)


def _decide(
    golden: GoldenQuestion, pair: Pair, sides: Sequence[Windows], gaps: Sequence[float], longest: int
) -> Answer | None:
    """Return the answer that all runs give, None where roundings tell it."""
    answers = [find_answer(pair, golden.context, *side, longest) for side in sides]
    same = len({(answer.start, answer.end) for answer in answers}) == 1
    return answers[0] if same and min(gaps, default=np.inf) > _UNSURE else None


def _read(run: _Run, pair: Pair, lengths: LengthConfig | None, gaps: list[float]) -> Windows:
    """Return the logits of a pair's windows, and add how close calls were that chose which subwords go on."""
    sides: Windows = ([], [])
    for number, window in enumerate(pair.windows):
        with watch_choices() as choices, run.watch():
            logits = _run_window(run.model, pair, number, lengths)
        gaps.append(smallest_choice(choices, len(pair.row(window))))
        for side, values in zip(sides, logits, strict=True):
            side.append(context_logits(pair, number, values[0].numpy()))
    return sides


def _run_window(model: SpanModel, pair: Pair, number: int, lengths: LengthConfig | None = None) -> SpanLogits:
    row = pair.row(pair.windows[number])
    with torch.inference_mode():
        logits: SpanLogits = model(
            torch.tensor([row]), torch.tensor([len(pair.head)]), torch.tensor([len(row)]), lengths
        )
    return logits


def _flat(windows: Windows) -> NDArray[np.float64]:
    return np.concatenate([*windows[0], *windows[1]])


def prove(
    answerer: Answerer,
    expected: Sequence[Expected],
    parts: Sequence[PartOfNetwork],
    machine: str,
    target: str,
) -> Proof:
    """Compare a package's answers with PyTorch's.

    Between its products a model in 8 bits rounds millions of numbers, of which some always lie so near the middle of
    two steps that right code rounds them otherwise, and a step is far more than float32 errs. What a logit may differ
    by, at most and in root mean square, is then what it changes by when such roundings are drawn at random.

    Args:
        answerer: The package, with the code that is to be proved.
        expected: What PyTorch answers.
        parts: Parts of the network, the whole one last.
        machine: What runs the code, for people.
        target: Name of the target, for errors.

    Raises:
        VerificationError: An answer differs, or a logit by more than rounding explains.
    """
    started, compared, undecided = time.monotonic(), 0, 0
    flips: list[str] = []
    errors: list[NDArray[np.float64]] = []
    for each in expected:
        for part, answer in zip(parts, each.answers, strict=True):
            if answer is None:
                undecided += 1
                continue
            found = answerer(each.golden.question, each.golden.context, budget=part.name)
            compared += 1
            if (found.start, found.end) != (answer.start, answer.end):
                flips.append(f"{part.name}: {each.golden.question!r}: {found.text!r}, PyTorch {answer.text!r}")
        starts, ends = answerer.logits(each.pair)
        errors.append(np.concatenate([*starts, *ends]).astype(np.float64) - each.logits)
    differences = np.concatenate(errors)
    logits, exact = (np.concatenate([getattr(each, name) for each in expected]) for name in ("logits", "exact"))
    largest, spread = _largest(differences), _root_mean_square(differences)
    if expected[0].shifts:
        shifts = np.concatenate([shift for each in expected for shift in each.shifts])
        strict = _ORDER * tolerance(exact, exact)[0]
        bound, most = (_DRAWN * measure(shifts) + strict for measure in (_largest, _root_mean_square))
    else:
        bound = most = _ORDER * tolerance(logits, exact)[0]
    if not compared:
        raise VerificationError(
            f"{target}: the model is undecided about all golden questions, so no answer could be told from a wrong "
            "one: train it longer"
        )
    if flips or not largest <= bound or not spread <= most:
        raise VerificationError(
            f"{target}: {len(flips)} of {compared} answers differ from PyTorch's; logits differ by up to "
            f"{largest:.2e}, and {bound:.2e} would be rounding, in root mean square by {spread:.2e} ({most:.2e})",
            "\n".join(flips),
        )
    return Proof(
        questions=compared,
        flips=0,
        undecided=undecided,
        largest=largest,
        tolerance=bound,
        machine=machine,
        seconds=round(time.monotonic() - started, 3),
    )


def _largest(values: NDArray[np.float64]) -> float:
    return float(np.abs(values).max())


def _root_mean_square(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(values**2)))
