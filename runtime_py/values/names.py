"""From the text of a slot to one of the names that a house knows: "the kitchen lamp" is light.kitchen.

A name is found as it is written, then folded (case, accents, marks, spaces and joining words do not count), then
without an article, then by edit distance. What is left says so, with the nearest names. Words with digits in them are
never guessed: "room 12a" is not nearly "room 12b".
"""

import functools
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Id = str | int | float
How = Literal["exact", "folded", "near", "unresolved"]

LEAST = 0.75  # similarity of a name that counts as near
LEAD = 0.08  # by which it has to be ahead of the next one that is another's
_NEAREST = 3  # that an unresolved text is told

# What joins two names is one word, however it is written.
_JOINING = {"&", "+", "and", "und", "y", "e", "et", "और", "และ", "n"}
_ARTICLES = {
    "the", "a", "an", "my", "our", "der", "die", "das", "den", "dem", "ein", "eine", "mein", "meine", "im", "el", "la",
    "los", "las", "mi", "un", "una", "le", "les", "une", "mon", "ma", "mes", "l", "मेरे", "मेरा", "मेरी",
}  # fmt: skip
_POSSESSIVE = re.compile(r"['’ʼ]s\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Value:
    """What a slot's text was resolved to.

    Attributes:
        id: What the name stands for; None where it is unresolved.
        name: The name that was found; "" where none was.
        how: How it was found: as it is written, folded, near by edit distance, or not at all.
        nearest: Names that are most like an unresolved text, the nearest first.
    """

    id: Id | None
    name: str
    how: How
    nearest: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Show the id, or what is nearest."""
        nearest = f", nearest {', '.join(self.nearest)}" if self.nearest else ""
        return f"unresolved{nearest}" if self.id is None else str(self.id)

    def to_dict(self) -> dict[str, Any]:
        """Return plain types, ready for JSON."""
        said: dict[str, Any] = {"id": self.id, "name": self.name, "how": self.how}
        return said | {"nearest": list(self.nearest)} if self.how == "unresolved" else said


def fold_words(text: str) -> tuple[str, ...]:
    """Return the words of a text without what does not count.

    Letters are small, compatible forms are one, accents of Latin, Greek and Cyrillic letters are left out, joining
    words are ``&``, and an English possessive loses its *s*. Vowel signs of other scripts stay: there they are letters.
    """
    plain = unicodedata.normalize("NFKC", _POSSESSIVE.sub("", text)).casefold()
    # An accent belongs to the letter before it, and counts where that letter's script has vowel signs.
    kept = []
    for character in unicodedata.normalize("NFD", plain):
        if unicodedata.category(character) == "Mn" and "\u0300" <= character <= "\u036f":
            continue
        kept.append(character)
    return tuple("&" if word in _JOINING else word for word in _words("".join(kept)))


def _words(text: str) -> list[str]:
    """Cut a text into words, a mark of other scripts being part of its word."""
    shown = "".join(c if c.isalnum() or c in "&+" or unicodedata.category(c)[0] == "M" else " " for c in text)
    return shown.replace("&", " & ").replace("+", " + ").split()


def fold(text: str) -> str:
    """Return the words of a text in one, so that ``kid-2``, ``kid 2`` and ``Kid2`` are the same."""
    return "".join(fold_words(text))


class Names:
    """The names of one slot."""

    __slots__ = ("_exact", "_folded", "_keys")

    def __init__(self, names: Iterable[str] | Mapping[Any, Iterable[str]]) -> None:
        """Take the names.

        Args:
            names: A list of names, each of which stands for itself; or for each id its names.
        """
        pairs = (
            [(id, name) for id, own in names.items() for name in ([own] if isinstance(own, str) else own)]
            if isinstance(names, Mapping)
            else [(name, name) for name in names]
        )
        self._exact: dict[str, tuple[Id, str]] = {}
        self._folded: dict[str, dict[Id, str]] = {}  # for each folded name, ids and the name of each
        for id, name in pairs:
            self._exact.setdefault(name, (id, name))
            if key := fold(name):
                self._folded.setdefault(key, {}).setdefault(id, name)
        self._keys = tuple(self._folded)

    @property
    def keys(self) -> tuple[str, ...]:
        """The names as `fold` writes them."""
        return self._keys

    def resolve(self, text: str, near: bool = True) -> Value:
        """Return what a slot's text stands for; one that is nearly a name, if such are wanted."""
        if text in self._exact:
            return Value(*self._exact[text], "exact")
        words = fold_words(text)
        keys = ["".join(words)]
        while len(words) > 1 and words[0] in _ARTICLES:
            words = words[1:]
            keys.append("".join(words))
        for key in keys:
            owners = self._folded.get(key, {})
            if len(owners) == 1:
                return Value(*next(iter(owners.items())), "folded")
            if owners:  # two have the same name
                return Value(None, "", "unresolved", tuple(owners.values())[:_NEAREST])
        return self._resolve_near(keys) if near else Value(None, "", "unresolved")

    def _resolve_near(self, keys: list[str]) -> Value:
        ranked = sorted(
            ((max(similarity(key, each) for key in keys), each) for each in self._keys),
            key=lambda pair: (-pair[0], pair[1]),
        )
        names = [name for _, each in ranked[:_NEAREST] for name in self._folded[each].values()]
        unresolved = Value(None, "", "unresolved", tuple(dict.fromkeys(names))[:_NEAREST])
        if not ranked or ranked[0][0] < LEAST:
            return unresolved
        owners = self._folded[ranked[0][1]]
        others = [score for score, each in ranked[1:] if set(self._folded[each]) - set(owners)]
        if len(owners) > 1 or (others and ranked[0][0] - others[0] < LEAD):
            return unresolved
        if _digits(keys[0]) != _digits(ranked[0][1]):
            return unresolved
        return Value(*next(iter(owners.items())), "near")


def similarity(one: str, other: str) -> float:
    """Return how alike two texts are: 1 less their edit distance over the length of the longer one.

    An exchange of neighbours is one edit (optimal string alignment).
    """
    longer = max(len(one), len(other))
    return 1.0 - choose_distance()(one, other) / longer if longer else 1.0


def edit_distance(one: str, other: str) -> int:
    """Return the least number of letters to put in, leave out or change, or of neighbours to exchange."""
    earlier: list[int] = []
    before = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        current = [row]
        for column, second in enumerate(other, 1):
            cost = min(before[column] + 1, current[-1] + 1, before[column - 1] + (letter != second))
            if row > 1 and column > 1 and letter == other[column - 2] and one[row - 2] == second:
                cost = min(cost, earlier[column - 2] + 1)
            current.append(cost)
        earlier, before = before, current
    return before[-1]


def _digits(text: str) -> list[str]:
    """Return the parts of a text that have to be the same: numbers, each with a single letter behind it."""
    return re.findall(r"\d+(?:[^\W\d_](?![^\W\d_]))?", text)


@functools.cache
def choose_distance() -> Callable[[str, str], int]:
    """Return the quicker function of the library rapidfuzz where that is installed, which gives the same numbers."""
    try:
        from rapidfuzz.distance import OSA
    except ImportError:
        return edit_distance
    distance: Callable[[str, str], int] = OSA.distance
    return distance
