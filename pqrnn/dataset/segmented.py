"""Labelled utterances beside the words of their texts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import overload

import torch

from pqrnn.data.examples import Example
from pqrnn.features.projection import Projection
from pqrnn.features.segmentation import segment_texts
from pqrnn.recipes.settings import PROJECTION_VERSION, ProjectionConfig

Spans = list[tuple[int, int]]


class SegmentedExamples(Sequence[Example]):
    """A sequence of examples that knows the words of their texts.

    Segmenting thousands of texts takes seconds, and labels, encoding, transfer sets and quantization all need the
    words. Whoever needs several of them makes this once and passes it wherever examples are taken. The texts are
    segmented when the words are asked for the first time.

    Attributes:
        examples: The examples.
        version: Version of the projection that says what a word is.
    """

    def __init__(self, examples: Sequence[Example], version: int = PROJECTION_VERSION) -> None:
        """Keep the examples; nothing is computed yet."""
        self.examples, self.version = list(examples), version

    def __len__(self) -> int:
        """Return how many examples there are."""
        return len(self.examples)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> list[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | list[Example]:
        """Return an example, or a list of them."""
        return self.examples[index]

    @cached_property
    def texts(self) -> list[bytes]:
        """The texts in UTF-8."""
        return [example.text.encode() for example in self.examples]

    @cached_property
    def spans(self) -> list[Spans]:
        """The byte start and end of each word of each text, the same for every model of this version."""
        with torch.inference_mode():
            return segment_texts(Projection(ProjectionConfig(version=self.version)), self.texts)

    @cached_property
    def words(self) -> list[list[bytes]]:
        """The words of each text."""
        return [[text[start:end] for start, end in spans] for text, spans in zip(self.texts, self.spans, strict=True)]


def segment_examples(examples: Sequence[Example], version: int | None = None) -> SegmentedExamples:
    """Return examples with their words; those that have them already are returned as they are.

    Args:
        examples: The examples.
        version: Version of the projection that says what a word is; None for that of the examples if they have words,
            and for the present one otherwise.
    """
    if isinstance(examples, SegmentedExamples):
        return examples if version in (None, examples.version) else SegmentedExamples(examples.examples, version)
    return SegmentedExamples(examples, version or PROJECTION_VERSION)
