"""Utterances of different lengths as one batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pqrnn.augmentation.slot_swap import EncodedUtterance
from pqrnn.model.losses import IGNORED


class Batch(NamedTuple):
    """`words` int64[B, W] rows of the word table, `mask` float32[B, W, 1], `tags` int64[B, W], `intents` int64[B]."""

    words: Tensor
    mask: Tensor
    tags: Tensor
    intents: Tensor


def collate(utterances: Sequence[EncodedUtterance]) -> Batch:
    """Pad utterances to one batch, at least one word wide."""
    words, mask = pad_words([utterance.words for utterance in utterances])
    tags = torch.full(words.shape, IGNORED)
    for index, utterance in enumerate(utterances):
        if utterance.tags is not None:
            tags[index, : len(utterance.tags)] = torch.tensor(utterance.tags, dtype=torch.int64)
    return Batch(words, mask, tags, torch.tensor([each.intent if each.intent >= 0 else IGNORED for each in utterances]))


def pad_words(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Return words int64[B, W], zero past the end of a row, and mask float32[B, W, 1], one where a word is.

    W is at least 1.
    """
    width = max(1, max(len(row) for row in rows))
    words = torch.zeros((len(rows), width), dtype=torch.int64)
    mask = torch.zeros((len(rows), width, 1))
    for index, row in enumerate(rows):
        words[index, : len(row)] = torch.tensor(row, dtype=torch.int64)
        mask[index, : len(row)] = 1.0
    return words, mask
