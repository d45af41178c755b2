"""How people, and recognisers of speech, say a sentence otherwise: fillers, order, missing articles, wrong letters.

Changes are made on words, each of which knows its slot, so that the slots of the changed text are known exactly.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from pqrnn.data.examples import Example, SlotSpan


class Word(NamedTuple):
    """A piece of text.

    Attributes:
        text: The piece.
        slot: Index of its slot, or -1.
        space: Whether a space stands before it.
    """

    text: str
    slot: int
    space: bool


class Wording(NamedTuple):
    """The words of a language that changes need.

    Attributes:
        fillers: What is said before or behind a sentence and means nothing.
        articles: Words that are left out.
    """

    fillers: Sequence[str]
    articles: frozenset[str]


Change = Callable[[list[Word], Wording, random.Random], list[Word]]


def split_words(example: Example) -> list[Word]:
    """Cut a text at spaces and at the bounds of slots."""
    owner = [-1] * len(example.text)
    for index, slot in enumerate(example.slots):
        owner[slot.start : slot.end] = [index] * (slot.end - slot.start)
    words: list[Word] = []
    start, space = 0, False
    for at in range(len(example.text) + 1):
        ends = at == len(example.text) or example.text[at] == " "
        if at > start and (ends or owner[at] != owner[at - 1]):
            words.append(Word(example.text[start:at], owner[start], space))
            start, space = at, False
        if ends:
            start, space = at + 1, True
    return words


def join_words(words: Sequence[Word], example: Example) -> Example:
    """Put words together again; slots whose words are gone, or are not together any more, are gone, too."""
    text = ""
    spans: dict[int, tuple[int, int]] = {}
    torn: set[int] = set()
    before = -1
    for word in words:
        text += (" " if word.space and text else "") + word.text
        if word.slot >= 0:
            first, last = spans.get(word.slot, (len(text) - len(word.text), 0))
            if last and before != word.slot:
                torn.add(word.slot)
            spans[word.slot] = first, len(text)
        before = word.slot
    slots = sorted(
        (SlotSpan(example.slots[index].label, *span) for index, span in spans.items() if index not in torn),
        key=lambda slot: slot.start,
    )
    return Example(text, example.intent, tuple(slots), example.locale, example.source)


def add_filler(words: list[Word], wording: Wording, dice: random.Random) -> list[Word]:
    """Say something before or behind it."""
    if not wording.fillers:
        return words
    filler = [Word(piece, -1, True) for piece in dice.choice(wording.fillers).split()]
    return [*filler, words[0]._replace(space=True), *words[1:]] if dice.random() < 0.6 else [*words, *filler]


def drop_article(words: list[Word], wording: Wording, dice: random.Random) -> list[Word]:
    """Leave articles and short prepositions out."""
    kept = [word for word in words if word.slot >= 0 or word.text.casefold() not in wording.articles]
    return kept or words


def change_order(words: list[Word], wording: Wording, dice: random.Random) -> list[Word]:
    """Say the end first: the sentence is turned at a slot, or at any word outside of slots."""
    bounds = [n for n in range(1, len(words)) if words[n].space and words[n].slot != words[n - 1].slot]
    bounds = bounds or [n for n in range(1, len(words)) if words[n].space and words[n].slot < 0]
    if not bounds:
        return words
    at = dice.choice(bounds)
    return [*words[at:], words[0]._replace(space=True), *words[1:at]]


def misspell(words: list[Word], wording: Wording, dice: random.Random) -> list[Word]:
    """Write one word wrongly: a letter twice, missing, or exchanged with the next one."""
    long = [n for n, word in enumerate(words) if len(word.text) >= 4 and word.text.isalpha()]
    if not long:
        return words
    chosen = dice.choice(long)
    text = words[chosen].text
    at = dice.randrange(1, len(text) - 1)
    kind = dice.randrange(3)
    if kind == 0:
        text = text[:at] + text[at] + text[at:]
    elif kind == 1:
        text = text[:at] + text[at + 1 :]
    else:
        text = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    return [*words[:chosen], words[chosen]._replace(text=text), *words[chosen + 1 :]]


def mishear(words: list[Word], wording: Wording, dice: random.Random) -> list[Word]:
    """Hear as a recogniser does: without capitals and marks, two words as one, a short word lost or said twice."""
    words = [
        word._replace(text="".join(c for c in word.text.lower() if c not in ",.?!'’-") or word.text) for word in words
    ]
    kind = dice.randrange(3)
    spaces = [n for n in range(1, len(words)) if words[n].space and words[n].slot == words[n - 1].slot]
    short = [n for n, word in enumerate(words) if word.slot < 0 and len(word.text) <= 3]
    if kind == 0 and spaces:
        at = dice.choice(spaces)
        return [*words[:at], words[at]._replace(space=False), *words[at + 1 :]]
    if kind == 1 and len(words) > 3 and short:
        at = dice.choice(short)
        return [*words[:at], *words[at + 1 :]]
    at = dice.randrange(len(words))
    if words[at].slot < 0:
        return [*words[: at + 1], words[at]._replace(space=True), *words[at + 1 :]]
    return words


CHANGES: dict[str, Change] = {
    "filler": add_filler,
    "missing articles": drop_article,
    "other order": change_order,
    "misspelling": misspell,
    "recogniser": mishear,
}


def change_sentence(example: Example, change: Change, wording: Wording, dice: random.Random) -> Example | None:
    """Return the changed sentence, or None where the change changes nothing or tears a slot apart."""
    words = split_words(example)
    if not words:
        return None
    changed = join_words(change(words, wording, dice), example)
    if changed.text == example.text or len(changed.slots) != len(example.slots):
        return None
    return changed
