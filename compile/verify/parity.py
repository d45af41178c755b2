"""Decisions: where a compiled parser answers differently from PyTorch, over a whole set of texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from compile.support.errors import VerificationError
from pqrnn.evaluation.prediction import Prediction, compute_logits
from runtime_py.decode.answers import Parse, encode_text
from runtime_py.package_format.label_differences import describe_differences

if TYPE_CHECKING:
    from compile.subwords.program import SubwordSource
    from pqrnn.checkpoint import Checkpoint
    from runtime_py.decode.labels import Labels
    from runtime_py.parser import Parser

_WORST = 20


@dataclass(frozen=True, slots=True)
class DecisionDifference:
    """A text on which PyTorch and the compiled parser differ, with the answers of both."""

    text: str
    framework: Parse
    compiled: Parse


@dataclass(frozen=True, slots=True)
class Decisions:
    """Outcome of a comparison.

    Attributes:
        framework: PyTorch's parses, text by text.
        compiled: The compiled parser's parses, text by text.
        words: Number of words that were compared.
        intent_flips: Number of texts with different intents.
        tag_flips: Number of words with different tags.
        slot_flips: Number of texts with different slots.
        word_mismatches: Number of texts whose words have different spans, including those that the parser had to cut.
        largest_difference: Largest difference of a logit, over texts with the same words.
        differences: The first texts with any difference.
    """

    framework: list[Parse]
    compiled: list[Parse]
    words: int
    intent_flips: int
    tag_flips: int
    slot_flips: int
    word_mismatches: int
    largest_difference: float
    differences: list[DecisionDifference]

    @property
    def equal(self) -> bool:
        """Whether no decision differs."""
        return not (self.intent_flips or self.tag_flips or self.slot_flips or self.word_mismatches)


def compare_decisions(
    checkpoint: Checkpoint | SubwordSource,
    parser: Parser,
    texts: Sequence[str | bytes],
    on_text: Callable[[int], None] = lambda _: None,
) -> Decisions:
    """Parse texts with PyTorch and with the compiled parser, and compare the answers.

    Args:
        checkpoint: The trained parser; PyTorch never cuts a text.
        parser: The compiled parser. If it may cut a text that is too long (`on_long="truncate"`), that counts as a
            difference in words.
        texts: Texts to parse.
        on_text: Called with the number of texts done.

    Raises:
        InputTooLongError: A text does not fit the package, and the parser may not cut it.
        VerificationError: The labels of the two differ.
    """
    check_labels(checkpoint, parser.manifest.labels)
    compiled = []
    for done, text in enumerate(texts, start=1):
        logits = parser.logits(text)
        compiled.append(Prediction(logits.intent, logits.tags, logits.spans))
        on_text(done)
    return compare_answers(checkpoint, texts, compute_logits(checkpoint.model, texts), compiled)


def check_labels(checkpoint: Checkpoint | SubwordSource, labels: Labels) -> None:
    """Refuse a package that was compiled from another checkpoint.

    Raises:
        VerificationError: The labels differ, or the slots that go with each intent do; it says how.
    """
    if found := describe_differences(labels, checkpoint.facts.labels, "the package", "the checkpoint"):
        raise VerificationError(
            "the package was not compiled from this checkpoint, or was changed since", "\n".join(found)
        )


def compare_answers(
    checkpoint: Checkpoint | SubwordSource,
    texts: Sequence[str | bytes],
    framework: Sequence[Prediction],
    compiled: Sequence[Prediction],
) -> Decisions:
    """Compare the answers of both, text by text; the compiled ones may come from another machine."""
    decoder = checkpoint.facts.labels.decoder()
    said, parses, differences = [], [], []
    words = intent_flips = tag_flips = slot_flips = word_mismatches = 0
    largest = 0.0
    for text, expected, got in zip(texts, framework, compiled, strict=True):
        shown, raw = encode_text(text)
        wanted = decoder.parse(shown, raw, expected.intent, expected.tags, expected.spans)
        parse = decoder.parse(shown, raw, got.intent, got.tags, got.spans)
        same_words = np.array_equal(got.spans, expected.spans)
        flips = int((got.tags.argmax(-1) != expected.tags.argmax(-1)).sum()) if same_words else 0
        if same_words:
            largest = max(largest, _largest(got, expected))
        words += len(expected.spans)
        tag_flips += flips
        word_mismatches += not same_words
        intent_flips += wanted.intent != parse.intent
        slot_flips += wanted.slots != parse.slots
        if (wanted.intent, wanted.slots) != (parse.intent, parse.slots) or flips or not same_words:
            differences.append(DecisionDifference(shown, wanted, parse))
        said.append(wanted)
        parses.append(parse)
    return Decisions(
        said, parses, words, intent_flips, tag_flips, slot_flips, word_mismatches, largest, differences[:_WORST]
    )


def _largest(got: Prediction, expected: Prediction) -> float:
    return max(
        float(np.abs(a - b).max(initial=0.0)) for a, b in ((got.intent, expected.intent), (got.tags, expected.tags))
    )
