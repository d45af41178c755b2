"""Dropping the words that got least attention between two layers, and restoring them behind the last one.

Everything has fixed shapes and is built from comparisons, sums and look-ups, which compile for every target: a word's
rank is the number of words before it, so ties go to the word that comes first, on every device alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from pqrnn.model.length_config import FEWEST, WHOLE, count_kept

_LEAST = -1.0  # the significance of padding, less than that of any word


class Selection(NamedTuple):
    """Which words go on.

    Attributes:
        indices: Rows of the words that go on, the most significant first, int32[B, K].
        ranks: Rank of every word before, from 0, int32[B, W].
        mask: One where a word goes on, float[B, K, 1].
    """

    indices: Tensor
    ranks: Tensor
    mask: Tensor


class Choice(NamedTuple):
    """What words were chosen from.

    Attributes:
        share: Percent of the words of each text that go on.
        significance: Significance of the words that were left, float[B, W], -1 for padding.
    """

    share: int
    significance: Tensor


_choices: ContextVar[list[Choice] | None] = ContextVar("choices", default=None)


@contextmanager
def watch_choices() -> Iterator[list[Choice]]:
    """Collect what words are chosen from while the block lasts: on a close call devices may choose others."""
    seen: list[Choice] = []
    token = _choices.set(seen)
    try:
        yield seen
    finally:
        _choices.reset(token)


def measure_significance(attention: Tensor, mask: Tensor) -> Tensor:
    """Return how much attention each word receives, float[B, W], -1 for padding.

    That is the sum of its probabilities over all heads and all words that ask (Goyal et al. 2020, arXiv:2001.08950,
    section 3.2).

    Args:
        attention: Probabilities, float[B, H, W, W]: of the word in the last dimension for the one before it.
        mask: One where a word is, float[B, W, 1].
    """
    # One dimension after the other: IREE 3.13 has no code for both at once where W is no multiple of 4.
    return mark_padding((attention.sum(1) * mask).sum(1), mask)


def mark_padding(received: Tensor, mask: Tensor) -> Tensor:
    """Return what words receive, float[B, W], with -1 for padding; `mask` is one where a word is, float[B, W, 1]."""
    present = mask[..., 0]
    return received * present + (1.0 - present) * _LEAST


def rank_words(significance: Tensor) -> Tensor:
    """Return the rank of each word, int32[B, W]: 0 for the most significant one, and among equals for the first."""
    positions = torch.arange(significance.shape[1], dtype=torch.int32, device=significance.device)
    one, other = significance[:, :, None], significance[:, None, :]
    before = (one > other) | ((one == other) & (positions[:, None] < positions))
    return before.sum(1, dtype=torch.int32)


def select_words(significance: Tensor, words: Tensor, share: int, rows: int) -> Selection:
    """Choose the most significant words.

    Args:
        significance: Significance of the words that are left, float[B, W].
        words: Number of words of each text before any was dropped, int32[B].
        share: Percent of these that go on.
        rows: Rows of the result: at least what `share` leaves of the longest text.
    """
    if (seen := _choices.get()) is not None:
        seen.append(Choice(share, significance))
    ranks = rank_words(significance)
    row = torch.arange(rows, dtype=torch.int32, device=ranks.device)
    position = torch.arange(ranks.shape[1], dtype=torch.int32, device=ranks.device)
    indices = ((ranks[:, None, :] == row[:, None]) * position).sum(-1, dtype=torch.int32)
    kept = torch.div(words * share + (WHOLE - 1), WHOLE, rounding_mode="floor").to(torch.int32)
    kept = torch.minimum(torch.clamp(kept, min=FEWEST), words)
    return Selection(indices, ranks, (row < kept[:, None]).to(significance.dtype)[..., None])


def gather_rows(value: Tensor, indices: Tensor) -> Tensor:
    """Return rows of each text: [B, W, d] and int32[B, K] to [B, K, d]."""
    batch, rows = value.shape[:2]
    first = torch.arange(batch, dtype=torch.int32, device=indices.device)[:, None] * rows
    return functional.embedding(indices + first, value.flatten(0, 1))


def restore_words(dropped: Sequence[tuple[Tensor, Selection]], value: Tensor) -> Tensor:
    """Return the states of all words: of those that were dropped, the last that they had.

    Args:
        dropped: For each selection, in order, the states before it, float[B, W, d], and the selection.
        value: States of the words that are left, float[B, K, d].
    """
    for before, selection in reversed(dropped):
        rows = value.shape[1]
        again = gather_rows(value, torch.clamp(selection.ranks, max=rows - 1))
        goes_on = (selection.ranks < selection.mask.sum((1, 2), dtype=torch.int32)[:, None])[..., None]
        value = torch.where(goes_on, again, before)
    return value


def drops_nothing(share: int, before: int, words: int) -> bool:
    """Say whether, of texts of up to `words` words, a share leaves as many as the one before it did."""
    return all(count_kept(count, share) == count_kept(count, before) for count in range(1, words + 1))
