"""Utterances as they are really written, with their labels: what a parser must not mind.

Every change is made character by character, so that the slots of the changed text are known exactly. Where a change
joins the word of a slot with its neighbour ("mom's" to "moms", "l'entrée" to "lentrée"), the slot is the joined word,
as it is in training: a label stands for whole words. Utterances in which two slots would share a word are left out.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from itertools import combinations
from typing import NamedTuple

from pqrnn.augmentation.spelling import leave_accents
from pqrnn.data.examples import Example, SlotSpan

_MARKS = ".?!…。？！؟।॥"
_THANKS = {"en": "thanks", "de": "danke", "fr": "merci", "es": "gracias", "hi": "धन्यवाद", "th": "ขอบคุณ"}
_UMLAUTS = {"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss"}


class Perturbation(NamedTuple):
    """A change of texts.

    Attributes:
        name: Name of the change.
        change: What a character becomes, given the character before it (empty at the start).
        after: What the text has behind it, given its language.
        applies: Whether a text may be changed so.
    """

    name: str
    change: Callable[[str, str], str] = lambda character, before: character
    after: Callable[[str], str] = lambda language: ""
    applies: Callable[[str], bool] = lambda text: True


def _raise(character: str, before: str) -> str:
    return character.upper() if not before or not (before.isalpha() or before in "'’") else character


def _widen(character: str, before: str) -> str:
    return "\u3000" if character == " " else chr(ord(character) + 0xFEE0) if "!" <= character <= "~" else character


def _has_no_mark(text: str) -> bool:
    return text.rstrip()[-1:] not in _MARKS


PERTURBATIONS = (
    Perturbation("final full stop", after=lambda language: ".", applies=_has_no_mark),
    Perturbation("final question mark", after=lambda language: "?", applies=_has_no_mark),
    Perturbation("final exclamation mark", after=lambda language: "!", applies=_has_no_mark),
    Perturbation("thanks", after=lambda language: f" {_THANKS.get(language, 'thanks')}"),
    Perturbation("final emoji", after=lambda language: " 🙂"),
    Perturbation("title case", change=_raise),
    Perturbation("upper case", change=lambda character, before: character.upper()),
    Perturbation("decomposed", change=lambda character, before: unicodedata.normalize("NFD", character)),
    Perturbation("invisible mark", after=lambda language: "\u2069"),
    Perturbation("curly apostrophe", change=lambda character, before: "’" if character == "'" else character),
    Perturbation("no apostrophe", change=lambda character, before: "" if character in "'’" else character),
    Perturbation("full width", change=_widen),
    Perturbation("no accents", change=lambda character, before: leave_accents(character)),
    Perturbation("umlauts as two letters", change=lambda character, before: _UMLAUTS.get(character, character)),
    Perturbation("hyphens as spaces", change=lambda character, before: " " if character == "-" else character),
)


def perturb(example: Example, perturbation: Perturbation) -> Example | None:
    """Return the changed utterance, its slots where they are in it.

    Returns None where the change changes nothing, or joins words of two slots.
    """
    if not perturbation.applies(example.text):
        return None
    pieces = [
        perturbation.change(character, before)
        for before, character in zip(["", *example.text], example.text, strict=False)
    ]
    language = example.locale.partition("-")[0] or "en"
    text = "".join(pieces) + perturbation.after(language)
    if text == example.text:
        return None
    offsets = _sum_up(map(len, pieces))
    # Edges of slots beside a character that is gone: what stood apart there may be one word now.
    gaps = {edge for index, piece in enumerate(pieces) if not piece for edge in (index, index + 1)}
    slots = tuple(
        SlotSpan(
            slot.label,
            _extend(text, offsets[slot.start], -1) if slot.start in gaps else offsets[slot.start],
            _extend(text, offsets[slot.end], 1) if slot.end in gaps else offsets[slot.end],
        )
        for slot in example.slots
    )
    if any(one.start < other.end and other.start < one.end for one, other in combinations(slots, 2)):
        return None
    return Example(text, example.intent, slots, example.locale, example.source)


def _extend(text: str, edge: int, step: int) -> int:
    """Return where the word ends that an edge of a slot lies in, to the right (``step`` 1) or to the left (-1)."""
    while 0 < edge < len(text) and _is_of_word(text[edge - 1]) and _is_of_word(text[edge]):
        edge += step
    return edge


def _is_of_word(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN"


def _sum_up(lengths: Iterable[int]) -> list[int]:
    offsets = [0]
    for length in lengths:
        offsets.append(offsets[-1] + length)
    return offsets
