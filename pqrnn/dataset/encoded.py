"""Labelled utterances as numbers for training, and the facts about them that later stages need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

from pqrnn.data.alignment import AlignmentReport, align_examples
from pqrnn.data.examples import Example
from pqrnn.features.projection import Projection
from pqrnn.features.segmentation import segment_texts
from pqrnn.model.network import WordTable

Spans = list[tuple[int, int]]


class EncodedUtterance(NamedTuple):
    """One utterance as numbers.

    Attributes:
        words: rows of the word table.
        tags: of the words, `None` where they cannot be represented or are not known.
        intent: -1 where unknown.
        logit_index: index into the logit store of a teacher's answer, -1 where there is none.
        language: as "en"; empty where the data do not say.
    """

    words: list[int]
    tags: list[int] | None
    intent: int
    logit_index: int = -1
    language: str = ""


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


def encode_examples(
    examples: Sequence[Example], projection: Projection, table: WordTable, intents: Sequence[str], tags: Sequence[str]
) -> EncodedDataset:
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
        rows.append(
            EncodedUtterance(
                table.index(mine),
                numbers,
                intent_numbers.get(example.intent, -1),
                language=example.locale.partition("-")[0],
            )
        )
    return EncodedDataset(list(examples), spans, rows, report)


def measure_lengths(corpus: EncodedDataset) -> list[tuple[int, int, int]]:
    """Count texts by length: sorted (words, bytes, texts)."""
    counts = Counter(
        (len(spans), len(example.text.encode())) for example, spans in zip(corpus.examples, corpus.spans, strict=True)
    )
    return sorted((words, size, n) for (words, size), n in counts.items())
