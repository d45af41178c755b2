"""PyTorch's answers to golden questions, and whether compiled code gives the same."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from compile.support.errors import VerificationError
from compile.verify.choices import smallest_choice
from compile.verify.tolerance import tolerance
from pqrnn.model.length_config import LengthConfig
from pqrnn.model.word_selection import watch_choices
from pqrnn.questions.checkpoint import GoldenQuestion
from pqrnn.questions.model import SpanModel
from runtime_py.questions.answerer import Answerer
from runtime_py.questions.answers import Answer, context_logits, find_answer
from runtime_py.questions.manifest import PartOfNetwork, Proof
from runtime_py.questions.pairs import Pair, PairReader

_UNSURE = 1e-4  # of sums of probabilities: on a closer call float32 may keep another subword (`compile.verify.golden`)
_ORDER = 4.0  # sums in order err more than PyTorch's, which are summed in blocks


class Expected(NamedTuple):
    """What PyTorch answers.

    Attributes:
        golden: The question.
        pair: The same in subwords.
        answers: The answer of each part; None where it is undecided.
        logits: All logits of the whole network as float32 has them, [n].
        exact: The same in float64.
    """

    golden: GoldenQuestion
    pair: Pair
    answers: list[Answer | None]
    logits: NDArray[np.float64]
    exact: NDArray[np.float64]


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
    found = []
    for golden in questions:
        pair = reader.read(golden.question, golden.context, cut_question=True)
        answers = [_decide(model, exact, golden, pair, part) for part in lengths]
        found.append(Expected(golden, pair, answers, _flat(_run(model, pair)), _flat(_run(exact, pair))))
    return found


Windows = tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]


def _decide(
    model: SpanModel, exact: SpanModel, golden: GoldenQuestion, pair: Pair, lengths: LengthConfig
) -> Answer | None:
    """Return a part's answer, None where float32 is too coarse to tell it."""
    gaps: list[float] = []
    part = None if lengths.is_full else lengths
    answers = []
    for network in (model, exact):
        starts, ends = _run(network, pair, part, gaps)
        answers.append(find_answer(pair, golden.context, starts, ends, model.layout.longest_answer))
    single, double = answers
    sure = min(gaps, default=np.inf) > _UNSURE and (single.start, single.end) == (double.start, double.end)
    return single if sure else None


def _run(model: SpanModel, pair: Pair, lengths: LengthConfig | None = None, gaps: list[float] | None = None) -> Windows:
    sides: Windows = ([], [])
    for number, window in enumerate(pair.windows):
        row = pair.row(window)
        with torch.inference_mode(), watch_choices() as choices:
            logits = model(torch.tensor([row]), torch.tensor([len(pair.head)]), torch.tensor([len(row)]), lengths)
        if gaps is not None:
            gaps.append(smallest_choice(choices, len(row)))
        for side, values in zip(sides, logits, strict=True):
            side.append(context_logits(pair, number, values[0].numpy()))
    return sides


def _flat(windows: Windows) -> NDArray[np.float64]:
    return np.concatenate([*windows[0], *windows[1]])


def prove(
    answerer: Answerer, expected: Sequence[Expected], parts: Sequence[PartOfNetwork], machine: str, target: str
) -> Proof:
    """Compare a package's answers with PyTorch's.

    Args:
        answerer: The package, with the code that is to be proved.
        expected: What PyTorch answers.
        parts: Parts of the network, the whole one last.
        machine: What runs the code, for people.
        target: Name of the target, for errors.

    Raises:
        VerificationError: An answer differs, or a logit by more than rounding explains.
    """
    started, compared, undecided, largest = time.monotonic(), 0, 0, 0.0
    flips: list[str] = []
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
        joined = np.concatenate([*starts, *ends]).astype(np.float64)
        largest = max(largest, float(np.abs(joined - each.logits).max()))
    bound = (
        _ORDER
        * tolerance(
            np.concatenate([each.logits for each in expected]), np.concatenate([each.exact for each in expected])
        )[0]
    )
    if not compared:
        raise VerificationError(
            f"{target}: the model is undecided about all golden questions, so no answer could be told from a wrong "
            "one: train it longer"
        )
    if flips or not largest <= bound:
        raise VerificationError(
            f"{target}: {len(flips)} of {compared} answers differ from PyTorch's; logits differ by up to "
            f"{largest:.2e}, and {bound:.2e} would be rounding",
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
