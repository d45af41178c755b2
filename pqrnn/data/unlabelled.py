"""Texts of further data whose labels are of no use, for a teacher to answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pqrnn.data.examples import Example
from pqrnn.data.loader import available_splits, load_examples


def load_unlabelled(specs: Sequence[str], data: str, locale: str | None, development: Iterable[Example]) -> list[str]:
    """Return the training texts of further data.

    None comes twice, and none that is to be evaluated on comes at all, not even without its label.

    Args:
        specs: Specifications of the further data.
        data: The labelled data; texts of its test split are left out.
        locale: Languages of both.
        development: Utterances whose texts are left out, too.

    Raises:
        DataNotFoundError: there are no such data.
        DataFormatError: a file does not hold what its format promises.
    """
    if not specs:
        return []
    held = {example.text.lower() for example in development}
    if "test" in available_splits(data, locale=locale):
        held |= {example.text.lower() for example in load_examples(data, split="test", locale=locale)}
    found = [
        example.text
        for spec in specs
        for example in load_examples(spec, split="train" if available_splits(spec) else "all", locale=locale)
    ]
    return [text for text in dict.fromkeys(found) if text.lower() not in held]
