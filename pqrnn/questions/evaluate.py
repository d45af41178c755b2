"""What a span model answers in PyTorch, and how good that is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from pqrnn.data.questions.scoring import AnswerScores, score_answers
from pqrnn.data.questions.squad import Question
from pqrnn.model.length_config import LengthConfig
from pqrnn.questions.model import SpanModel
from runtime_py.questions.answers import Answer, context_logits, find_answer
from runtime_py.questions.pairs import Pair

_BATCH = 16

Logits = list[NDArray[np.float32]]


class EncodedQuestions(NamedTuple):
    """Questions in subwords.

    Attributes:
        questions: The questions.
        pairs: Each with its context.
    """

    questions: Sequence[Question]
    pairs: list[Pair]

    def window_lengths(self) -> list[int]:
        """Return the subwords of every window of every question."""
        return [len(pair.row(window)) for pair in self.pairs for window in pair.windows]


def encode_questions(model: SpanModel, questions: Sequence[Question]) -> EncodedQuestions:
    """Cut questions and contexts; a question that is too long loses its end."""
    reader = model.make_reader()
    return EncodedQuestions(
        questions, [reader.read(question.text, question.context, cut_question=True) for question in questions]
    )


def predict_logits(
    model: SpanModel,
    pairs: Sequence[Pair],
    lengths: LengthConfig | None = None,
    *,
    precision: str = "float32",
    on_window: Callable[[int, int], None] = lambda done, total: None,
) -> list[tuple[Logits, Logits]]:
    """Return, for each pair, the logits of the context of all its windows, of starts and of ends.

    Args:
        model: The model, in evaluation mode.
        pairs: Questions with their contexts.
        lengths: The part of the network that answers; None for all of it.
        precision: Precision of matrix products, "float32" or "bfloat16".
        on_window: Is told of windows done, and of all.
    """
    rows = [(number, window) for number, pair in enumerate(pairs) for window in range(len(pair.windows))]
    found: dict[tuple[int, int], tuple[NDArray[np.float32], NDArray[np.float32]]] = {}
    rows.sort(key=lambda each: pairs[each[0]].windows[each[1]].length + len(pairs[each[0]].head))
    for first in range(0, len(rows), _BATCH):
        batch = rows[first : first + _BATCH]
        ids = [pairs[number].row(pairs[number].windows[window]) for number, window in batch]
        width = max(map(len, ids))
        tokens = torch.tensor([row + [model.layout.padding] * (width - len(row)) for row in ids])
        heads = torch.tensor([len(pairs[number].head) for number, _ in batch])
        counts = torch.tensor([len(row) for row in ids])
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            logits = model(tokens, heads, counts, lengths)
        for row, (number, window) in enumerate(batch):
            start, end = (context_logits(pairs[number], window, side[row].numpy()) for side in logits)
            found[number, window] = (start, end)
        on_window(first + len(batch), len(rows))
    return [
        tuple([found[number, window][side] for window in range(len(pair.windows))] for side in range(2))  # type: ignore[misc]
        for number, pair in enumerate(pairs)
    ]


def predict_answers(
    model: SpanModel,
    encoded: EncodedQuestions,
    lengths: LengthConfig | None = None,
    *,
    precision: str = "float32",
    on_window: Callable[[int, int], None] = lambda done, total: None,
) -> list[Answer]:
    """Return the answers to questions, in their order; arguments as `predict_logits`."""
    logits = predict_logits(model, encoded.pairs, lengths, precision=precision, on_window=on_window)
    longest = model.layout.longest_answer
    return [
        find_answer(pair, question.context, starts, ends, longest)
        for question, pair, (starts, ends) in zip(encoded.questions, encoded.pairs, logits, strict=True)
    ]


def score_model(
    model: SpanModel,
    encoded: EncodedQuestions,
    lengths: LengthConfig | None = None,
    *,
    precision: str = "float32",
    on_window: Callable[[int, int], None] = lambda done, total: None,
) -> AnswerScores:
    """Return exact match and F1; arguments as `predict_logits`."""
    answers = predict_answers(model, encoded, lengths, precision=precision, on_window=on_window)
    named = {question.id: answer.text for question, answer in zip(encoded.questions, answers, strict=True)}
    return score_answers(encoded.questions, named)


def mean_window_macs(model: SpanModel, windows: Iterable[int], lengths: LengthConfig | None = None) -> float:
    """Return the mean MACs of windows of so many subwords each, at least one window."""
    counts = list(windows)
    return sum(model.count_macs(count, lengths) for count in counts) / len(counts)
