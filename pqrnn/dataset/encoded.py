"""Labelled utterances as numbers for training, and the facts about them that later stages need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor

from pqrnn.augmentation.slot_swap import EncodedUtterance
from pqrnn.checkpoint import Labels
from pqrnn.data.alignment import AlignmentReport, align_examples, list_intents, list_tags
from pqrnn.data.examples import Example
from pqrnn.features.projection import Projection, ProjectionConfig
from pqrnn.features.word_table import segment_texts
from pqrnn.model.losses import IGNORED
from pqrnn.model.network import WordTable
from runtime_py.decode.frame_search import LONGEST
from runtime_py.decode.tags import TagScheme

Spans = list[tuple[int, int]]


class EncodedDataset(NamedTuple):
    """Examples beside what the model sees of them.

    Attributes:
        examples: as loaded, none left out.
        spans: byte start and end of each word of each text.
        rows: the numbers; `tags` is None where slots cannot be represented, `intent` is -1 where it is unknown.
        report: how many rows could not be represented, and why.
    """

    examples: list[Example]
    spans: list[Spans]
    rows: list[EncodedUtterance]
    report: AlignmentReport


class Batch(NamedTuple):
    """`words` int64[B, W] rows of the word table, `mask` float32[B, W, 1], `tags` int64[B, W], `intents` int64[B]."""

    words: Tensor
    mask: Tensor
    tags: Tensor
    intents: Tensor


def list_labels(training: Sequence[Example]) -> Labels:
    """Return the names of the outputs of whatever is trained on these utterances."""
    slotted = [example for example in training if example.slots]
    words = segment_texts(Projection(ProjectionConfig()), [example.text.encode() for example in slotted])
    intents, tags = list_intents(training), list_tags(slotted, words)
    places = {label: place for place, label in enumerate(TagScheme(tags).slots)}
    counts = _count_frames(training, intents, places)
    return Labels(intents, tags, tuple(_join(each) for each in counts), tuple(_sort(each) for each in counts) if places else ())


def _count_frames(training: Sequence[Example], intents: Sequence[str], places: Mapping[str, int]) -> list[Counter[tuple[int, ...]]]:
    """Return for each intent how often it comes with which slots, as growing places."""
    seen: dict[str, Counter[tuple[int, ...]]] = {intent: Counter() for intent in intents}
    for example in training:
        if example.intent in seen:
            seen[example.intent][tuple(sorted(places[slot.label] for slot in example.slots if slot.label in places))] += 1
    return [seen[intent] for intent in intents]


def _join(counts: Counter[tuple[int, ...]]) -> tuple[int, ...]:
    """Return all slots that an intent comes with."""
    return tuple(sorted(set(chain.from_iterable(counts))))


def _sort(counts: Counter[tuple[int, ...]]) -> tuple[tuple[int, ...], ...]:
    """Return the counts of frames that are not too long to be counted."""
    return tuple((times, *slots) for slots, times in sorted(counts.items()) if len(slots) <= LONGEST)


def encode_examples(examples: Sequence[Example], projection: Projection, table: WordTable, intents: Sequence[str], tags: Sequence[str]) -> EncodedDataset:
    """Segment, align and number examples; new words are added to `table`."""
    raw = [example.text.encode() for example in examples]
    spans = segment_texts(projection, raw)
    tagged, report = align_examples(examples, spans, frozenset(tags))
    intent_numbers = {name: i for i, name in enumerate(intents)}
    tag_numbers = {name: i for i, name in enumerate(tags)}
    words = [[text[start:end] for start, end in places] for text, places in zip(raw, spans, strict=True)]
    table.index(dict.fromkeys(chain.from_iterable(words)))  # all at once: a table that grows is copied
    rows = []
    for example, mine, names in zip(examples, words, tagged, strict=True):
        known = names is not None and all(name in tag_numbers for name in names)
        numbers = [tag_numbers[name] for name in names] if names is not None and known else None
        rows.append(EncodedUtterance(table.index(mine), numbers, intent_numbers.get(example.intent, -1), language=example.locale.partition("-")[0]))
    return EncodedDataset(list(examples), spans, rows, report)


def collate(rows: Sequence[EncodedUtterance]) -> Batch:
    """Pad rows to one batch, at least one word wide."""
    words, mask = pad_words([row.words for row in rows])
    tags = torch.full(words.shape, IGNORED)
    for place, row in enumerate(rows):
        if row.tags is not None:
            tags[place, : len(row.tags)] = torch.tensor(row.tags, dtype=torch.int64)
    return Batch(words, mask, tags, torch.tensor([row.intent if row.intent >= 0 else IGNORED for row in rows]))


def pad_words(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Return words int64[B, W], zero past the end of a row, and mask float32[B, W, 1], one where a word is; W is at least 1."""
    width = max(1, max(len(row) for row in rows))
    words = torch.zeros((len(rows), width), dtype=torch.int64)
    mask = torch.zeros((len(rows), width, 1))
    for place, row in enumerate(rows):
        words[place, : len(row)] = torch.tensor(row, dtype=torch.int64)
        mask[place, : len(row)] = 1.0
    return words, mask


def measure_lengths(corpus: EncodedDataset) -> list[tuple[int, int, int]]:
    """Count texts by length: sorted (words, bytes, texts)."""
    counts = Counter((len(spans), len(example.text.encode())) for example, spans in zip(corpus.examples, corpus.spans, strict=True))
    return sorted((words, size, n) for (words, size), n in counts.items())
