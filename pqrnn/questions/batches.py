"""What a span model learns from: windows of contexts that hold the whole answer, in batches."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pqrnn.data.questions.squad import Question
from pqrnn.encoders.batches import order_batches
from pqrnn.errors import DataError
from pqrnn.seeding import make_random
from runtime_py.questions.pairs import PairReader, find_tokens


class TrainingWindow(NamedTuple):
    """A question with a window that holds its answer.

    Attributes:
        row: Ids of all subwords.
        head: Subwords before the context.
        tail: Subwords after it.
        first: Position of the first subword of the answer.
        last: Position of its last one.
    """

    row: tuple[int, ...]
    head: int
    tail: int
    first: int
    last: int


class SpanBatch(NamedTuple):
    """Windows side by side.

    Attributes:
        tokens: Ids, int64[B, T].
        heads: Subwords before the context, int64[B].
        counts: Subwords that are no padding, int64[B].
        inside: Whether a subword is of the context, bool[B, T].
        first: Position of the first subword of the answer, int64[B].
        last: Position of its last one, int64[B].
    """

    tokens: Tensor
    heads: Tensor
    counts: Tensor
    inside: Tensor
    first: Tensor
    last: Tensor


def cut_training(questions: Iterable[Question], reader: PairReader) -> list[TrainingWindow]:
    """Return the windows that hold the first gold answer of their question as a whole; others teach nothing.

    Raises:
        DataError: There is none.
    """
    windows = []
    for question in questions:
        answer = question.answers[0]
        pair = reader.read(question.text, question.context, cut_question=True)
        found = find_tokens(pair.offsets, answer.start, answer.end)
        if found is None:
            continue
        head, tail = len(pair.head), len(pair.tail)
        for window in pair.windows:
            first, last = (head + token - window.start for token in found)
            if first >= head and last < head + window.length:
                windows.append(TrainingWindow(tuple(pair.row(window)), head, tail, first, last))
    if not windows:
        raise DataError("no answer lies within a window of its context: there is nothing to learn from")
    return windows


def collate_spans(windows: Sequence[TrainingWindow], padding: int) -> SpanBatch:
    """Put windows side by side."""
    counts = [len(window.row) for window in windows]
    width = max(counts)
    tokens = torch.tensor([[*window.row, *[padding] * (width - len(window.row))] for window in windows])
    head, tail = (torch.tensor([getattr(window, name) for window in windows]) for name in ("head", "tail"))
    count, positions = torch.tensor(counts), torch.arange(width)
    inside = (positions >= head[:, None]) & (positions < (count - tail)[:, None])
    first, last = (torch.tensor([getattr(window, name) for window in windows]) for name in ("first", "last"))
    return SpanBatch(tokens, head, count, inside, first, last)


def count_steps(windows: int, size: int, epochs: int) -> int:
    """Return the steps of a run."""
    return math.ceil(windows / size) * epochs


def read_steps(
    windows: Sequence[TrainingWindow], padding: int, *, seed: int, size: int, first: int, last: int
) -> Iterator[tuple[int, SpanBatch]]:
    """Yield the number and the batch of the steps from `first` up to but without `last`; each draws its dice anew.

    Args:
        windows: What is learned.
        padding: Id that fills a batch up.
        seed: Seed of the run.
        size: Windows of a step.
        first: Number of the first step.
        last: Number behind the last one.
    """
    per_epoch = count_steps(len(windows), size, 1)
    epoch, batches = -1, list[list[int]]()
    for step in range(first, last):
        if step // per_epoch != epoch:
            epoch = step // per_epoch
            batches = order_batches([len(window.row) for window in windows], size, make_random(seed, "epoch", epoch))
        torch.manual_seed(make_random(seed, "step", step).getrandbits(48))
        yield step, collate_spans([windows[index] for index in batches[step % per_epoch]], padding)
