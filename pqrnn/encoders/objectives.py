"""The objectives of task-agnostic distillation: pure functions of what two networks say of the same text.

All follow Udagawa et al. 2023 (arXiv:2310.08797), which compares them. Every loss is a mean over the tokens of a batch,
or over its words where the student reads words; padding has no part in any.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from torch import Tensor
from torch.nn import functional

from pqrnn.model.transformer import HIDDEN, Relatives

LARGEST_HEADS = 48  # relation heads of MiniLMv2 for teachers of 12 heads


def output_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean over hidden tokens of `-sum_v p_T(v) log p_S(v)`, for logits float32[N, V] each."""
    return -(functional.softmax(teacher, -1) * functional.log_softmax(student, -1)).sum(-1).mean()


def hidden_loss(student: Sequence[Tensor], teacher: Sequence[Tensor], mask: Tensor) -> Tensor:
    """Return the sum over pairs of layers of the mean squared difference of their states.

    Args:
        student: States of the student's layer of each pair, float32[B, T, d], projected to the teacher's width d.
        teacher: States of the teacher's layer of each pair, of the same shapes.
        mask: One where a token is, float32[B, T, 1].
    """
    parts = [
        ((mine - its).square() * mask).sum() / (mask.sum() * its.shape[-1])
        for mine, its in zip(student, teacher, strict=True)
    ]
    return sum(parts[1:], parts[0])


def relation_loss(student: Relatives, teacher: Relatives, mask: Tensor, heads: int) -> Tensor:
    """Return the mean over queries, keys and values, relation heads and tokens of `KL(R_T || R_S)`.

    `R = softmax(A A^T / sqrt(d_r))` for the share A of a head, d_r wide, in all queries (keys, values). Widths may
    differ, and so may the networks' own heads.

    Args:
        student: Queries, keys and values of the student, float32[B, T, d_S] each.
        teacher: Those of the teacher, float32[B, T, d_T] each.
        mask: One where a token is, float32[B, T, 1].
        heads: Relation heads, a divisor of both widths.
    """
    total = mask.new_zeros(())
    for mine, its in zip(student, teacher, strict=True):
        found, wanted = (log_relations(part, mask, heads) for part in (mine, its))
        distance = (wanted.exp() * (wanted - found)).sum(-1).mean(1)  # [B, T]
        total = total + (distance * mask[..., 0]).sum() / mask.sum()
    return total / len(student)


def log_relations(value: Tensor, mask: Tensor, heads: int) -> Tensor:
    """Return `log softmax_j(a_i . a_j / sqrt(d_r))` of every head, float32[B, heads, T, T]; padding has no share."""
    parts = value.unflatten(-1, (heads, -1)).transpose(1, 2)
    logits = parts @ parts.transpose(2, 3) * parts.shape[-1] ** -0.5
    return functional.log_softmax(logits + ((mask - 1.0) * HIDDEN).reshape(mask.shape[0], 1, 1, -1), -1)


def choose_heads(student: int, teacher: int, wanted: int = 0) -> int:
    """Return the relation heads for two widths: those wanted, or the most that divide both, up to `LARGEST_HEADS`.

    Raises:
        ValueError: Those wanted do not divide both widths.
    """
    if wanted and (student % wanted or teacher % wanted):
        raise ValueError(
            f"{wanted} relation heads do not divide the widths of student and teacher, {student} and {teacher}"
        )
    divisors = (heads for heads in range(LARGEST_HEADS, 0, -1) if student % heads == 0 and teacher % heads == 0)
    return wanted or next(divisors)


class Objective(NamedTuple):
    """An objective.

    Attributes:
        name: Name on the command line.
        title: What is learned.
        formula: The loss.
        source: Where it comes from.
        loss: The function.
    """

    name: str
    title: str
    formula: str
    source: str
    loss: Callable[..., Any]


OBJECTIVES = {
    objective.name: objective
    for objective in (
        Objective(
            "od",
            "output distribution: the teacher's guesses of hidden words",
            "- sum_v p_T(v) log p_S(v)",
            "Sanh et al. 2019, arXiv:1910.01108, section 3",
            output_loss,
        ),
        Objective(
            "hs",
            "hidden states of mapped layers",
            "sum_i sum_(j in phi(i)) MSE(H_S,i W_i, H_T,j)",
            "Jiao et al. 2020, arXiv:1909.10351, section 3.1",
            hidden_loss,
        ),
        Objective(
            "mha",
            "relations of queries, keys and values",
            "1/3 sum_(A in Q, K, V) mean KL(R_T || R_S), R = softmax(A A^T / sqrt(d_r))",
            "Wang et al. 2021 (MiniLMv2), arXiv:2012.15828, section 3",
            relation_loss,
        ),
    )
}
