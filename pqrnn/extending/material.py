"""Which texts a parser is extended with: the new rows, and texts that say what it knew."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from pqrnn.checkpoint import Facts
from pqrnn.data.examples import Example
from pqrnn.data.grammar.splits import split_key
from pqrnn.data.home import home_locales, load_home_examples
from pqrnn.data.loader import available_splits, load_examples
from pqrnn.data.locales import match_locale
from pqrnn.data.training_data import hold_out, load_training_data
from pqrnn.errors import DataError, ExtensionError

FEWEST_HELD = 50  # rows from which on some are held out
_MADE = 1500  # texts of the built-in set that are looked at
_ALIKE = 0.5  # share of the words of a made text that a new row has, from which on it is left out
_SHOWN = 3


class Material(NamedTuple):
    """Texts by what they are for.

    Attributes:
        new: New rows to learn.
        new_held: New rows to score on.
        old: Old texts to learn again; their labels are not used.
        old_held: Old texts to score on, with gold labels where `gold`.
        gold: Whether there are labelled old texts; otherwise the old ones were made.
        known: Specifications of all data that the extended parser will have learned from.
        notes: What a person has to know.
    """

    new: list[Example]
    new_held: list[Example]
    old: list[Example]
    old_held: list[Example]
    gold: bool
    known: str
    notes: list[str]


def gather_material(
    facts: Facts[Any],
    data: str,
    old_data: Sequence[str],
    *,
    lang: str | None,
    dev: str | None,
    dev_share: float,
    new_wins: bool = False,
) -> Material:
    """Read new rows and old texts.

    Old texts are those of `old_data`; else of the data that the run names, where these are there; else made.

    Raises:
        DataError: There are no such data, or a file is wrong.
        ExtensionError: New rows contradict old ones and do not win.
    """
    new, new_held, notes = _load_new(data, lang, dev, dev_share)
    given = list(old_data)
    old: list[Example] = []
    old_held: list[Example] = []
    known = [spec for spec in str(facts.data.get("known") or facts.data.get("spec") or "").split(",") if spec]
    locale = str(facts.data.get("locale") or "") or None
    if given:
        for spec in given:
            loaded = load_training_data(spec, lang=lang or locale, dev_share=dev_share)
            old += loaded.training
            old_held += loaded.development
    else:
        old, old_held = _load_known(known, locale, dev_share)
        if old:
            notes.append(f"old texts: those of {', '.join(known)}, which the run was trained on")
    gold = bool(old)
    if gold and not new_wins:
        _refuse_contradictions(new, old)
    if not gold:
        made = _make_old(facts, locale, new)
        old, old_held = hold_out(made, 0.2)
        if not old or not old_held:
            raise ExtensionError("there are no old texts, and none could be made: name the old data with --old-data")
        notes.append(
            f"the data of the run are not at hand, so {len(made)} texts were made that say what it knew: its own "
            "examples and general commands. With --old-data it keeps more"
        )
    taken = {split_key(row.text) for row in [*new, *new_held]}
    old, old_held = ([row for row in rows if split_key(row.text) not in taken] for rows in (old, old_held))
    return Material(new, new_held, old, old_held, gold, ",".join(dict.fromkeys([*(given or known), data])), notes)


def _load_new(
    data: str, lang: str | None, dev: str | None, dev_share: float
) -> tuple[list[Example], list[Example], list[str]]:
    if dev is not None or "dev" in available_splits(data, locale=lang):
        loaded = load_training_data(data, dev=dev, lang=lang)
        return list(loaded.training), list(loaded.development), [loaded.note] if loaded.note else []
    rows = load_examples(data, split="train" if available_splits(data, locale=lang) else "all", locale=lang)
    if not rows:
        raise ExtensionError(f"{data}: no rows to learn")
    kept, held = hold_out(rows, dev_share)
    if len(rows) < FEWEST_HELD or not kept or not held:
        return (
            rows,
            rows,
            [f"{data}: {len(rows)} new rows, too few to hold some out: what is scored was learned, too"],
        )
    return kept, held, [f"{data}: {len(held)} of {len(rows)} new rows are held out (--dev-share {dev_share:g})"]


def _load_known(specs: Sequence[str], locale: str | None, dev_share: float) -> tuple[list[Example], list[Example]]:
    """Return the data that a run says it was trained on, nothing where they are not all there."""
    training: list[Example] = []
    development: list[Example] = []
    try:
        for spec in specs:
            loaded = load_training_data(spec, lang=locale, dev_share=dev_share)
            training += loaded.training
            development += loaded.development
    except DataError:
        return [], []
    return training, development


def _make_old(facts: Facts[Any], locale: str | None, new: Sequence[Example]) -> list[Example]:
    """Return the texts that a checkpoint keeps, and general commands in its languages that are not like new rows."""
    languages = [name for name in home_locales() if any(match_locale(each, name) for each in (locale or "").split(","))]
    made = [Example(text, "", (), locale if locale and "," not in locale else "") for text in facts.golden_texts]
    with suppress(DataError):
        made += load_home_examples("train", ",".join(languages) or "en", count=_MADE // max(len(languages), 1))
    said = [set(split_key(row.text).split()) for row in new]

    def is_alike(text: str) -> bool:
        words = set(split_key(text).split())
        return not words or any(len(words & other) > _ALIKE * len(words) for other in said)

    return [row for row in {row.text: row for row in made}.values() if not is_alike(row.text)]


def _refuse_contradictions(new: Sequence[Example], old: Sequence[Example]) -> None:
    """Refuse texts that have one intent in the new data and another in the old ones.

    Raises:
        ExtensionError: With the first of them.
    """
    known: dict[str, Example] = {split_key(row.text): row for row in old}
    found = [
        f"{row.text!r} is {row.intent} in {row.source or 'the new data'} and {other.intent} in "
        f"{other.source or 'the old data'}"
        for row in new
        if (other := known.get(split_key(row.text))) is not None and other.intent != row.intent
    ]
    if found:
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise ExtensionError(
            f"new rows contradict old ones: {'; '.join(found[:_SHOWN])}{more}. Correct the rows that are wrong, or let "
            "the new ones win with --new-wins"
        )


def take_evenly(rows: Sequence[Example], most: int) -> list[Example]:
    """Return an even part of rows, all of them where they are no more than that."""
    count = min(len(rows), most)
    return [rows[number * len(rows) // count] for number in range(count)]
