"""What is probably wrong with labelled utterances that are well formed."""

from __future__ import annotations

import itertools
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pqrnn.data.alignment import Reason, Spans, write_tags
from pqrnn.data.examples import Example
from pqrnn.data.grammar.generator import Grammar

FEWEST_ROWS = 10
"""Rows of an intent below which a parser can hardly learn it."""
MOST_SENTENCES = 50_000
"""Sentences of a grammar that are compared with each other: all of a smaller one, so many drawn of a larger one."""

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is probably wrong.

    Attributes:
        kind: What it is, in a word or two with hyphens.
        count: How many texts, labels or intents it concerns.
        text: The whole of it, with the first few cases, in one line.
    """

    kind: str
    count: int
    text: str


def lint_examples(
    splits: Mapping[str, Sequence[Example]], words: Mapping[str, Iterable[Spans]] | None = None
) -> list[Finding]:
    """Return what is probably wrong with a data set, the gravest first.

    Args:
        splits: The rows of each split; one that is neither `dev` nor `test` is learned from.
        words: The words of the texts of each split; without them no slot is compared with words.
    """
    learned = [row for split, rows in splits.items() if split not in ("dev", "test") for row in rows]
    scored = [row for split in ("dev", "test") for row in splits.get(split, ())]
    everything = [*learned, *scored]
    found = [_find_contradictions(everything)]
    if learned and scored:
        found += _find_labels_never_learned(learned, scored)
    found += [
        _find_near_labels("intents", {row.intent for row in everything}),
        _find_near_labels("slots", {slot.label for row in everything for slot in row.slots}),
    ]
    if words is not None:
        found.append(_find_slots_off_words(splits, words))
    found.append(_find_small_intents(learned))
    return [each for each in found if each is not None]


def lint_grammar(grammar: Grammar) -> list[Finding]:
    """Return what is probably wrong with a grammar: sentences that it makes under two intents."""
    total = grammar.count()
    made = grammar.expand() if total <= MOST_SENTENCES else itertools.islice(grammar.draw(), MOST_SENTENCES)
    finding = _find_contradictions(list(made))
    if finding is None:
        return []
    how = "" if total <= MOST_SENTENCES else f" of {MOST_SENTENCES:,} drawn"
    return [Finding("two-intents", finding.count, f"{grammar.name}{how}: {finding.text}")]


def _find_contradictions(rows: Sequence[Example]) -> Finding | None:
    """Find texts that have several intents: of these a parser can learn one at most."""
    intents: dict[str, dict[str, str]] = defaultdict(dict)
    for row in rows:
        intents[_plain(row.text)].setdefault(row.intent, row.source)
    several = {text: found for text, found in intents.items() if len(found) > 1}
    shown = (
        f"{text!r} is {' and '.join(f'{intent} ({source})' if source else intent for intent, source in found.items())}"
        for text, found in several.items()
    )
    return _make("two-intents", len(several), "the same text under several intents", shown)


def _find_labels_never_learned(learned: Sequence[Example], scored: Sequence[Example]) -> list[Finding | None]:
    """Find labels that only development or test rows have: every such row counts as wrong."""
    found = []
    for what, known, asked in (
        ("intents", {row.intent for row in learned}, Counter(row.intent for row in scored)),
        (
            "slots",
            {slot.label for row in learned for slot in row.slots},
            Counter(slot.label for row in scored for slot in row.slots),
        ),
    ):
        new = {label: count for label, count in sorted(asked.items()) if label not in known}
        shown = (f"{label!r} ({count:,} rows)" for label, count in new.items())
        found.append(_make("never-learned", len(new), f"{what} in dev or test that no training row has", shown))
    return found


def _find_near_labels(what: str, labels: Iterable[str]) -> Finding | None:
    """Find labels that are one but for capitals, spaces, hyphens, or how their letters are composed."""
    groups: dict[str, list[str]] = defaultdict(list)
    for label in sorted(labels):
        plain = unicodedata.normalize("NFKC", label).casefold()
        groups["".join(char for char in plain if not char.isspace() and char not in "-_")].append(label)
    near = [group for group in groups.values() if len(group) > 1]
    what = f"{what} that differ in space, capitals or composition alone"
    return _make("near-labels", len(near), what, (" and ".join(map(_show_label, group)) for group in near))


def _show_label(label: str) -> str:
    """Return a label as Python writes it; with its code points where people could not see how it is composed."""
    return repr(label) if unicodedata.is_normalized("NFC", label) else ascii(label)


def _find_slots_off_words(
    splits: Mapping[str, Sequence[Example]], words: Mapping[str, Iterable[Spans]]
) -> Finding | None:
    """Find slots that are a run of words in no row: no parser can answer with them."""
    totals: Counter[str] = Counter()
    fitting: set[str] = set()
    for split, rows in splits.items():
        for row, spans in zip(rows, words[split], strict=True):
            for slot in row.slots:
                totals[slot.label] += 1
                if slot.label not in fitting and not isinstance(write_tags(row.text, (slot,), spans), Reason):
                    fitting.add(slot.label)
    never = {label: count for label, count in sorted(totals.items()) if label not in fitting}
    shown = (f"{label!r} ({count:,} times)" for label, count in never.items())
    return _make("never-words", len(never), "slots that are never a run of words", shown)


def _find_small_intents(rows: Sequence[Example]) -> Finding | None:
    counts = Counter(row.intent for row in rows)
    small = [(intent, count) for intent, count in reversed(counts.most_common()) if count < FEWEST_ROWS]
    shown = (f"{intent!r} ({count})" for intent, count in small)
    return _make("few-rows", len(small), f"intents with fewer than {FEWEST_ROWS} rows to learn from", shown)


def _make(kind: str, count: int, what: str, shown: Iterable[str]) -> Finding | None:
    if not count:
        return None
    first = ", ".join(itertools.islice(shown, _SHOWN))
    more = f" and {count - _SHOWN:,} more" if count > _SHOWN else ""
    return Finding(kind, count, f"{what}, {count:,}: {first}{more}")


def _plain(text: str) -> str:
    """Return what two texts have in common that are the same but for capitals, white space and composition."""
    text = text if text.isascii() else unicodedata.normalize("NFC", text)
    return " ".join(text.casefold().split())
