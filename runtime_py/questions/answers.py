"""From logits to an answer: the best span over all windows, as a piece of the context with a score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_py.questions.limits import LONGEST_ANSWER
from runtime_py.questions.pairs import Pair
from runtime_py.questions.windows import find_span


@dataclass(frozen=True, slots=True)
class Answer:
    """A span of a context that answers a question.

    Attributes:
        text: The span.
        start: Its first code point in the context.
        end: The code point after its last one.
        score: Softmax probability of its first subword times that of its last one, over the subwords of all windows. It
            is not calibrated, and a text that holds no answer gets one, too.
    """

    text: str
    start: int
    end: int
    score: float


def find_answer(
    pair: Pair,
    context: str,
    starts: Sequence[NDArray[Any]],
    ends: Sequence[NDArray[Any]],
    longest: int = LONGEST_ANSWER,
) -> Answer:
    """Return the answer with the largest sum of logits (`runtime_py.questions.windows.find_span`).

    Args:
        pair: Question and context.
        context: The context.
        starts: For each window, the logits of its subwords to begin the answer, float[length].
        ends: The same for the end.
        longest: Subwords of an answer, at most.

    Raises:
        ValueError: Logits are not those of these windows.
    """
    span = find_span(starts, ends, pair.windows, longest)
    if span is None:
        raise ValueError("a context without subwords has no answer")
    start, end = pair.offsets[span.first][0], pair.offsets[span.last][1]
    total = _log_sum(starts) + _log_sum(ends)
    return Answer(context[start:end], start, end, math.exp(span.score - total))


def context_logits(pair: Pair, window: int, logits: NDArray[Any]) -> NDArray[Any]:
    """Return those of a window's logits that are of the context: [T] to [length]; padding and question are left out."""
    first = len(pair.head)
    return logits[first : first + pair.windows[window].length]


def _log_sum(logits: Sequence[NDArray[Any]]) -> float:
    """Return the logarithm of the sum of all exponentials."""
    joined = np.concatenate([each.astype(np.float64) for each in logits])
    largest = float(joined.max())
    return largest + math.log(float(np.exp(joined - largest).sum()))
