"""Labelled utterances as numbers for training, and the facts about them that later stages need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

from pqrnn.data.alignment import AlignmentReport, align_examples
from pqrnn.data.examples import Example
from pqrnn.dataset.segmented import SegmentedExamples, Spans, segment_examples
from pqrnn.model.network import WordTable


class EncodedUtterance(NamedTuple):
    """One utterance as numbers.

    Attributes:
        words: Rows of the word table.
        tags: Tags of the words, `None` where they cannot be represented or are not known.
        intent: -1 where unknown.
        logit_index: Index of a teacher's answer in the logit store, -1 where there is none.
        language: Language, such as "en"; empty where the data do not say.
        origins: Where a rewritten text has a teacher's answer: for each word the one of the text that the teacher read
            that it stands for, -1 for a word that was added; `None` where the words are those that the teacher read.
    """

    words: list[int]
    tags: list[int] | None
    intent: int
    logit_index: int = -1
    language: str = ""
    origins: list[int] | None = None


class EncodedDataset(NamedTuple):
    """Examples beside what the model sees of them.

    Attributes:
        examples: The examples as loaded, none left out, with their words.
        utterances: The numbers; `tags` is None where slots cannot be represented, `intent` is -1 where it is unknown.
        report: How many utterances could not be represented, and why.
    """

    examples: SegmentedExamples
    utterances: list[EncodedUtterance]
    report: AlignmentReport

    @property
    def spans(self) -> list[Spans]:
        """Byte start and end of each word of each text."""
        return self.examples.spans


def encode_examples(
    examples: Sequence[Example], table: WordTable, intents: Sequence[str], tags: Sequence[str]
) -> EncodedDataset:
    """Align and number examples, segmented where they are not yet; new words are added to `table`."""
    segmented = segment_examples(examples)
    tagged, report = align_examples(examples, segmented.spans, frozenset(tags))
    intent_index = {name: i for i, name in enumerate(intents)}
    tag_index = {name: i for i, name in enumerate(tags)}
    table.index(dict.fromkeys(chain.from_iterable(segmented.words)))  # all at once: a table that grows is copied
    utterances = []
    for example, words, names in zip(examples, segmented.words, tagged, strict=True):
        known = names is not None and all(name in tag_index for name in names)
        utterances.append(
            EncodedUtterance(
                table.index(words),
                [tag_index[name] for name in names] if names is not None and known else None,
                intent_index.get(example.intent, -1),
                language=example.locale.partition("-")[0],
            )
        )
    return EncodedDataset(segmented, utterances, report)


def measure_lengths(dataset: EncodedDataset) -> list[tuple[int, int, int]]:
    """Count texts by length: sorted (words, bytes, texts)."""
    counts = Counter((len(spans), len(text)) for text, spans in zip(dataset.examples.texts, dataset.spans, strict=True))
    return sorted((words, size, n) for (words, size), n in counts.items())
