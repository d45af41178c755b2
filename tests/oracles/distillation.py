"""The objectives of task-agnostic distillation in NumPy and double precision: one token, head and pair at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def output_loss(student: Array, teacher: Array) -> float:
    """Mean cross-entropy of rows of logits."""
    total = 0.0
    for mine, its in zip(student, teacher, strict=True):
        total -= sum(math.exp(p) * q for p, q in zip(_log_softmax(its), _log_softmax(mine), strict=True))
    return total / len(student)


def hidden_loss(student: Sequence[Array], teacher: Sequence[Array], lengths: Sequence[int]) -> float:
    """Sum over pairs of the mean squared difference over all numbers of all tokens."""
    total = 0.0
    for mine, its in zip(student, teacher, strict=True):
        squares = [
            (mine[text, token, channel] - its[text, token, channel]) ** 2
            for text, length in enumerate(lengths)
            for token in range(length)
            for channel in range(its.shape[2])
        ]
        total += sum(squares) / len(squares)
    return total


def relation_loss(student: Sequence[Array], teacher: Sequence[Array], lengths: Sequence[int], heads: int) -> float:
    """Mean over kinds, heads and tokens of KL(teacher's relations || student's)."""
    found = []
    for mine, its in zip(student, teacher, strict=True):
        for text, length in enumerate(lengths):
            for head in range(heads):
                for token in range(length):
                    p, q = (_relations(part[text, :length], token, head, heads) for part in (its, mine))
                    found.append(sum(math.exp(a) * (a - b) for a, b in zip(p, q, strict=True)))
    return sum(found) / len(found)


def _relations(value: Array, token: int, head: int, heads: int) -> list[float]:
    size = value.shape[1] // heads
    span = slice(head * size, (head + 1) * size)
    return _log_softmax(np.array([float(value[token, span] @ other[span]) / math.sqrt(size) for other in value]))


def _log_softmax(logits: Array) -> list[float]:
    shifted = logits - logits.max()
    return [float(each) for each in shifted - math.log(sum(math.exp(each) for each in shifted))]
