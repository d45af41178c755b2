"""A parser that knows names: its slots say what they stand for, and a known name makes a slot more probable."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from runtime_py.assistant import Assistant
from runtime_py.decode.answers import Parse, encode_text
from runtime_py.decode.tags import TagScheme
from runtime_py.errors import ValuesError
from runtime_py.values.names import Names, fold

if TYPE_CHECKING:
    from runtime_py.package_format.manifest import Manifest
    from runtime_py.parser import Parser

Values = Mapping[str, Iterable[str] | Mapping[str, Iterable[str]]]

BONUS = 3.0  # logits that a known name adds to the tags of its slot: more than between parses that are close
_LONGEST = 8  # words of a name that is looked for


class KnownNames:
    """The names of several slots, and where a text has them."""

    __slots__ = ("_inside", "_scheme", "names")

    def __init__(self, values: Values, tags: Sequence[str]) -> None:
        """Take the names.

        Args:
            values: For each slot, with or without its prefix ``SL:``, a list of names, or for each id its names.
            tags: The tags of the parser.

        Raises:
            ValuesError: The parser has no such slot, or names are no texts.
        """
        self._scheme = TagScheme(tags)
        slots = {slot.lower(): slot for slot in self._scheme.slots}
        self.names: dict[str, Names] = {}
        for label, given in values.items():
            slot = slots.get(label.lower()) or slots.get(f"sl:{label.lower()}")
            if slot is None:
                known = ", ".join(self._scheme.slots[:12]) or "none"
                raise ValuesError(f"{label!r} is no slot of this parser, which has {known}")
            if isinstance(given, str):
                raise ValuesError(f"{label!r}: the names are {given!r}, expected a list of names, or ids with names")
            self.names[slot] = Names(given)
        self._inside: dict[str, set[str]] = {}  # for each folded name, its slots
        for slot, names in self.names.items():
            for key in names.keys:
                self._inside.setdefault(key, set()).add(slot)

    def favour(
        self, tags: NDArray[np.float32], spans: NDArray[np.int32], raw: bytes, bonus: float = BONUS
    ) -> NDArray[np.float32]:
        """Return the logits of tags, with a bonus for those of known names where a text has them.

        Of names that overlap the longest counts.

        Args:
            tags: Logits, float32 [words, tags].
            spans: Start and end byte of each word, int32 [words, 2].
            raw: The bytes of the text.
            bonus: What is added.
        """
        favoured = tags.copy()
        bounds = spans.tolist()
        taken = 0
        for first in range(len(bounds)):
            if first < taken:
                continue
            for last in range(min(first + _LONGEST, len(bounds)) - 1, first - 1, -1):
                text = raw[bounds[first][0] : bounds[last][1]].decode("utf-8", "replace")
                slots = self._inside.get(fold(text))
                if not slots:
                    continue
                for tag, (label, begins) in enumerate(zip(self._scheme.labels, self._scheme.begins, strict=True)):
                    if label in slots:
                        rows = slice(first, first + 1) if begins else slice(first + 1, last + 1)
                        if not self._scheme.tails[tag]:
                            favoured[rows, tag] += bonus
                taken = last + 1
                break
        return favoured

    def resolve(self, parse: Parse) -> Parse:
        """Return a parse whose slots say what they stand for, as far as names of theirs are known."""
        slots = tuple(
            replace(slot, value=self.names[slot.label].resolve(slot.text)) if slot.label in self.names else slot
            for slot in parse.slots
        )
        return replace(parse, slots=slots)


class ValueParser(Assistant):
    """A parser with names that are known at run time; made by `Parser.with_values`."""

    def __init__(self, parser: "Parser", values: Values, bonus: float = BONUS) -> None:
        """Take a parser, which stays as it is and may be used beside this one, and the names."""
        self.parser = parser
        self.bonus = bonus
        self.known = KnownNames(values, parser.manifest.labels.tags)

    @property
    def manifest(self) -> "Manifest":
        """The package's manifest."""
        return self.parser.manifest

    @property
    def _plain(self) -> "Parser":
        return self.parser

    def __call__(self, text: str | bytes, *, alternatives: int = 0) -> Parse:
        """Parse one text, as the parser does; slots with known names have a ``value``."""
        shown, raw = encode_text(text)
        logits = self.parser.logits(text)
        tags = self.known.favour(logits.tags, logits.spans, raw, self.bonus)
        return self.known.resolve(self.parser.decide_logits(shown, raw, logits._replace(tags=tags), alternatives))

    def parse_batch(self, texts: Iterable[str | bytes], *, alternatives: int = 0) -> list[Parse]:
        """Parse several texts, one after another."""
        return [self(text, alternatives=alternatives) for text in texts]
