"""One walk through the templates makes one sentence; a chooser decides at every fork.

The same walk serves drawing at random (:class:`RandomChooser`) and listing everything (:class:`OdometerChooser`), so
the two cannot disagree about what the language is.
"""

from __future__ import annotations

import random
import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Protocol

from pqrnn.data.examples import SlotSpan
from pqrnn.data.grammar.nodes import Choice, ListRef, Node, Number, Permutation, RuleRef, Sequence, Text

# Only these collapse: a no-break space is there on purpose (French "20 °C").
SPACES = " \t\r\n"
_SPACE = Text(" ")
_SPACE_RUN = re.compile(f"[{SPACES}]+")
# Punctuation that stands alone at the start of a piece of template belongs to the word before it: in "now [{x}][?]" the
# space is meant for {x}. French "[ ?]", where both are written together, keeps it; so does ".NET".
_CLINGING = re.compile(r"[,.;:!?…।]+(?:\s|$)")


@dataclass(frozen=True, slots=True)
class Definitions:
    """What names stand for.

    Attributes:
        lists: List name to the choice between its values.
        rules: Rule name to its expansion.
    """

    lists: Mapping[str, Node]
    rules: Mapping[str, Node]


class Chooser(Protocol):
    """Decides at the forks of a walk."""

    def choose(self, options: int, weights: tuple[float, ...] | None) -> int:
        """Return a number from 0 to ``options - 1``; ``weights`` are relative likelihoods, ``None`` for equal ones."""


class RandomChooser:
    """Chooses at random.

    Only ``random.Random.random`` is used: it is the one method whose sequence Python promises to keep for a given
    integer seed, so that the same seed gives the same sentences on every Python version.
    """

    def __init__(self, seed: int) -> None:
        """Start the sequence that belongs to the seed."""
        self._random = random.Random(seed)

    def choose(self, options: int, weights: tuple[float, ...] | None) -> int:
        """Draw one option."""
        if weights is not None:
            return self.choose_cumulative(tuple(accumulate(weights)))
        return min(int(self._random.random() * options), options - 1)

    def choose_cumulative(self, cumulative: tuple[float, ...]) -> int:
        """Draw one option, whose weights are given as running totals."""
        return min(bisect_right(cumulative, self._random.random() * cumulative[-1]), len(cumulative) - 1)


class OdometerChooser:
    """Chooses so that repeated walks go through every combination once; call :meth:`advance` between walks."""

    def __init__(self) -> None:
        """Start at the first combination."""
        self._digits: list[int] = []
        self._sizes: list[int] = []
        self._next = 0

    def choose(self, options: int, weights: tuple[float, ...] | None) -> int:
        """Return the digit of the current combination; likelihoods play no part."""
        if self._next == len(self._digits):
            self._digits.append(0)
            self._sizes.append(options)
        self._next += 1
        return self._digits[self._next - 1]

    def advance(self) -> bool:
        """Go to the next combination; return whether there is one."""
        self._next = 0
        while self._digits and self._digits[-1] + 1 == self._sizes[-1]:
            self._digits.pop()
            self._sizes.pop()
        if not self._digits:
            return False
        self._digits[-1] += 1
        return True


@lru_cache(maxsize=1 << 14)
def _cut(text: str) -> tuple[bool, tuple[str, ...]]:
    """Return whether a piece clings to what precedes it, and what stands between its runs of white space."""
    return _CLINGING.match(text) is not None, tuple(_SPACE_RUN.split(text))


class _Sentence:
    """A sentence being written: collapses white space and keeps the slots exact while doing so."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._length = 0
        self._space_waits = False
        self._slots: list[SlotSpan] = []
        self._open = False
        self._start: int | None = None

    def write(self, text: str) -> None:
        clings, pieces = _cut(text)
        if clings:
            self._space_waits = False
        for index, piece in enumerate(pieces):
            self._space_waits |= index > 0
            if not piece:
                continue
            if self._space_waits and self._length:
                self._pieces.append(" ")
                self._length += 1
            self._space_waits = False
            if self._open and self._start is None:
                self._start = self._length
            self._pieces.append(piece)
            self._length += len(piece)

    def open_slot(self) -> bool:
        """Begin a slot; return whether this one counts (a slot inside a slot does not)."""
        if self._open:
            return False
        self._open = True
        self._start = None
        return True

    def close_slot(self, label: str) -> None:
        # A waiting space comes after the slot, so its end is the last visible character.
        if self._start is not None:
            self._slots.append(SlotSpan(label, self._start, self._length))
        self._open = False

    def finish(self) -> tuple[str, tuple[SlotSpan, ...]]:
        return "".join(self._pieces), tuple(self._slots)


def derive(node: Node, definitions: Definitions, chooser: Chooser) -> tuple[str, tuple[SlotSpan, ...]]:
    """Walk once from ``node`` to a sentence.

    Args:
        node: Where to start.
        definitions: What the names in it stand for; every reference must be known and none recursive.
        chooser: Decides at every fork.

    Returns:
        The text, with white space collapsed and stripped, and its slots in code points.
    """
    sentence = _Sentence()
    _walk(node, definitions, chooser, sentence)
    return sentence.finish()


def _walk(node: Node, definitions: Definitions, chooser: Chooser, sentence: _Sentence) -> None:
    match node:
        case Text(value):
            sentence.write(value)
        case Sequence(parts):
            for part in parts:
                _walk(part, definitions, chooser, sentence)
        case Choice(options, weights):
            _walk(options[chooser.choose(len(options), weights)], definitions, chooser, sentence)
        case Permutation(parts):
            _walk(_arrange(parts, chooser), definitions, chooser, sentence)
        case Number(first, step, size, pad, digits):
            sentence.write(write_number(first + step * chooser.choose(size, None), pad, digits))
        case ListRef(name, label):
            outermost = sentence.open_slot()
            _walk(definitions.lists[name], definitions, chooser, sentence)
            if outermost:
                sentence.close_slot(label)
        case RuleRef(name):
            _walk(definitions.rules[name], definitions, chooser, sentence)


def _arrange(parts: tuple[Node, ...], chooser: Chooser) -> Sequence:
    """Put the parts of a permutation into one order, with spaces between them."""
    left = list(parts)
    arranged: list[Node] = [_SPACE]
    while left:
        arranged += (left.pop(chooser.choose(len(left), None)), _SPACE)
    return Sequence(tuple(arranged))


def write_number(number: int, pad: int, digits: str) -> str:
    """Write a whole number with at least ``pad`` digits out of ``digits`` (ten characters for 0 to 9)."""
    plain = f"{number:0{pad}d}" if pad else str(number)
    return "".join(digits[ord(char) - 48] if "0" <= char <= "9" else char for char in plain)
