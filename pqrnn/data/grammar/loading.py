"""A grammar file as a data set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from pqrnn.data.examples import LONGEST_TEXT, Example
from pqrnn.data.grammar.errors import GrammarError
from pqrnn.data.grammar.generator import FEWEST_TO_SPLIT
from pqrnn.data.grammar.reader import load_grammar
from pqrnn.data.grammar.splits import SplitName, find_splits
from pqrnn.data.locales import match_locale

DEFAULT_SIZES: Mapping[SplitName, int] = MappingProxyType({"train": 10000, "dev": 1000, "test": 1000})


def load_examples_from_grammar(
    path: Path | str, split: str, locale: str | None = None, count: int | None = None, seed: int = 0
) -> list[Example]:
    """Draw one split of a data set from a grammar file.

    Args:
        path: The grammar file.
        split: ``train``, ``dev`` or ``test`` (also by their usual other names), or ``all`` for the three of them one
            after the other. No text is in two of them, case and punctuation aside.
        locale: The languages that are asked for (``en``, or ``en,de``), or ``None`` for whatever the file holds.
        count: How many examples in a split, or ``None`` for :data:`DEFAULT_SIZES`; fewer come if the grammar makes
            fewer.
        seed: The same seed gives the same examples on every machine and Python version.

    Returns:
        Different texts in random order.

    Raises:
        DataNotFoundError: There is no such split.
        GrammarError: The file is wrong, is of another language, or makes no sentence for the split.
    """
    splits = find_splits(split)
    if count is not None and count < 1:
        raise GrammarError(f"{path}: {count} examples were asked for; expected 1 or more")
    grammar = load_grammar(path)
    wanted = [name for name in (locale or "").split(",") if name]
    if wanted and grammar.locale and not any(match_locale(name, grammar.locale) for name in wanted):
        raise GrammarError(f"{path}: the file's locale is {grammar.locale!r}; expected {locale!r}, as was asked for")
    examples = [
        example
        for part in splits
        for example in grammar.sample(DEFAULT_SIZES[part] if count is None else count, seed, split=part)
    ]
    long = next((each for each in examples if len(each.text.encode()) > LONGEST_TEXT), None)
    if long is not None:
        raise GrammarError(
            f"{path}: {long.source} makes a sentence of {len(long.text.encode()):,} bytes, {long.text[:20]!r}...; "
            f"expected at most {LONGEST_TEXT:,}"
        )
    if not examples:
        raise GrammarError(
            f"{path}: makes {grammar.count()} sentences, none of which falls into {split!r}; expected at least one "
            f"intent with {FEWEST_TO_SPLIT} sentences or more (smaller ones go to 'train' whole): add templates or "
            "list values"
        )
    return examples
