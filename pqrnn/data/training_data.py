"""The two splits that every training needs, also from data that name no splits."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from pqrnn.data.examples import Example
from pqrnn.data.grammar.splits import split_key
from pqrnn.data.loader import available_splits, load_examples
from pqrnn.data.reading import ReadReport
from pqrnn.errors import DataNotFoundError

# Of a thousand buckets, where the held-out share begins: the default is the `dev` part of `pqrnn.data.grammar.splits`.
_FROM, _ALL = 800, 1000


class TrainingData(NamedTuple):
    """What is learned from and what is scored on.

    Attributes:
        training: The utterances that are learned.
        development: The utterances that decide which epoch, round or parser is kept.
        note: What a person has to know about the split and about rows that were not read, in lines, or "".
    """

    training: Sequence[Example]
    development: Sequence[Example]
    note: str = ""


def load_training_data(
    data: str, *, dev: str | None = None, lang: str | None = None, dev_share: float = 0.1, seed: int = 0
) -> TrainingData:
    """Load training and development utterances.

    Data without a development split get one: utterances are held out by a hash of their letters, so that the same text
    always falls on the same side, whatever is added to the data.

    Args:
        data: Labelled utterances, as `pqrnn.data.loader.load_examples` takes them.
        dev: Development data, if not the `dev` split of `data`.
        lang: Only these languages, as "en" or "en,de".
        dev_share: Share of the training utterances held out where there is no development split.
        seed: Which utterances these are.

    Raises:
        DataNotFoundError: There are no such data, or the hold-out is empty or everything.
        DataFormatError: A file does not hold what its format promises.
    """
    splits = available_splits(data, locale=lang)
    report = ReadReport()
    training = load_examples(data, split="train" if splits else "all", locale=lang, report=report)
    if dev is not None:
        named = "dev" if "dev" in available_splits(dev, locale=lang) else "all"
        held_out = load_examples(dev, split=named, locale=lang, report=report)
        return TrainingData(training, held_out, report.describe_rows())
    if "dev" in splits:
        held_out = load_examples(data, split="dev", locale=lang, report=report)
        return TrainingData(training, held_out, report.describe_rows())
    kept, held = hold_out(training, dev_share, seed)
    if not kept or not held:
        raise DataNotFoundError(
            f"{data}: no development split, and a share of {dev_share:g} of {len(training)} utterances leaves "
            f"{len(kept)} to learn and {len(held)} to score on; name development data with --dev, or choose another "
            "--dev-share"
        )
    what = "no development split" if splits else "no splits"
    note = (
        f"{data} has {what}: {len(held)} of {len(training)} utterances, chosen by a hash of their text, are held out "
        f"for development (--dev-share {dev_share:g})"
    )
    return TrainingData(kept, held, "\n".join(filter(None, (note, report.describe_rows()))))


def hold_out(examples: Sequence[Example], share: float, seed: int = 0) -> tuple[list[Example], list[Example]]:
    """Divide examples into those that are kept and those that are held out; both in the order given.

    Texts that differ in case, punctuation or white space alone fall on the same side.
    """
    parts: tuple[list[Example], list[Example]] = ([], [])
    for example in examples:
        parts[(_bucket(example.text, seed) - _FROM) % _ALL < share * _ALL].append(example)
    return parts


def _bucket(text: str, seed: int) -> int:
    """Return which of a thousand buckets a text falls into; seed 0 is what `split_of` uses."""
    key = split_key(text) if seed == 0 else f"{seed}\n{split_key(text)}"
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % _ALL
