"""A parser whose slots say what they stand for: names that are known at run time, and values such as times.

A known name also makes its slot more probable; a value is read once the slots are there.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runtime_py.assistant import Assistant
from runtime_py.decode.answers import Parse, Slot, encode_text
from runtime_py.decode.tags import TagScheme
from runtime_py.errors import ValuesError
from runtime_py.values.names import Id, Names, Value, fold
from runtime_py.values.readings import KIND_OF_NAME, Kind, Normalised, fold_slot

if TYPE_CHECKING:
    from runtime_py.package_format.manifest import Manifest
    from runtime_py.parser import Parser
    from runtime_py.values.normalising import Normaliser

Values = Mapping[str, Iterable[str] | Mapping[Any, Iterable[str]]]

Texts = Mapping[str, Mapping[str, Id]]

BONUS = 3.0  # logits that a known name adds to the tags of its slot: more than between parses that are close
_LONGEST = 8  # words of a name that is looked for


def find_slot(label: str, slots: Sequence[str]) -> str:
    """Return the slot of a parser that a name means; case and the prefix ``SL:`` make no difference.

    Raises:
        ValuesError: There is none.
    """
    for slot in slots:
        if label == slot or fold_slot(label) == fold_slot(slot):
            return slot
    known = ", ".join(slots[:12]) or "none"
    raise ValuesError(f"{label!r} is no slot of this parser, which has {known}")


def choose_kinds(normalise: bool | Mapping[str, Kind | None], slots: Sequence[str]) -> dict[str, Kind]:
    """Return what each slot holds that is normalised.

    Args:
        normalise: Whether slots with well-known names are; or kinds of further slots, and None for those that are not.
        slots: The slots of the parser.

    Raises:
        ValuesError: The parser has no such slot.
    """
    if normalise is False:
        return {}
    kinds = {slot: KIND_OF_NAME[name] for slot in slots if (name := fold_slot(slot)) in KIND_OF_NAME}
    if isinstance(normalise, Mapping):
        for label, kind in normalise.items():
            slot = find_slot(label, slots)
            kinds.pop(slot, None)
            if kind is not None:
                kinds[slot] = kind
    return kinds


def make_normaliser(
    locale: str, name: str, now: datetime | Callable[[], datetime] | None, zone: str | tzinfo | None
) -> "Normaliser":
    """Return what reads texts of a language; that of a package's name, if none is given.

    Raises:
        ValuesError: No language is known, or the normaliser cannot be made.
    """
    from runtime_py.values.normalising import Normaliser
    from runtime_py.values.scanning import LANGUAGES

    language = locale or name.rpartition("-")[2]
    if not locale and language not in LANGUAGES:
        raise ValuesError(
            f"{name}: its name does not end with a language, and none was given: say locale='en' or --locale en "
            f"(languages are {', '.join(LANGUAGES)})"
        )
    return Normaliser(language, now=now, zone=zone)


class KnownNames:
    """The names of several slots, and where a text has them."""

    __slots__ = ("_inside", "_scheme", "names", "texts")

    def __init__(self, values: Values, tags: Sequence[str], texts: Texts | None = None) -> None:
        """Take the names.

        Args:
            values: For each slot, with or without its prefix ``SL:``, a list of names, or for each id its names.
            tags: The tags of the parser.
            texts: For each slot texts, and what each stands for: they are no names, so nothing is more probable for
                them, and what is nearly such a text is none. Slots that the parser lacks are passed over.

        Raises:
            ValuesError: The parser has no such slot, or names are no texts.
        """
        self._scheme = TagScheme(tags)
        self.names: dict[str, Names] = {}
        for label, given in values.items():
            slot = find_slot(label, self._scheme.slots)
            if isinstance(given, str):
                raise ValuesError(f"{label!r}: the names are {given!r}, expected a list of names, or ids with names")
            self.names[slot] = Names(given)
        self.texts: dict[str, Names] = {}
        for label, table in (texts or {}).items():
            with suppress(ValuesError):  # such a table has all slots that its data have
                by_value: dict[Id, list[str]] = {}
                for text, value in table.items():
                    by_value.setdefault(value, []).append(text)
                self.texts[find_slot(label, self._scheme.slots)] = Names(by_value)
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
        return replace(parse, slots=tuple(map(self._resolve, parse.slots)))

    def _resolve(self, slot: Slot) -> Slot:
        value: Value | None = None
        if slot.label in self.names:
            value = self.names[slot.label].resolve(slot.text)
        if (value is None or value.id is None) and slot.label in self.texts:
            stated = self.texts[slot.label].resolve(slot.text, near=False)
            value = stated if stated.id is not None else value
        return slot if value is None else replace(slot, value=value)


class ValueParser(Assistant):
    """A parser with names that are known at run time, and with normalised values; made by `Parser.with_values`."""

    def __init__(
        self,
        parser: "Parser",
        values: Values,
        bonus: float = BONUS,
        normaliser: "Normaliser | None" = None,
        kinds: Mapping[str, Kind] | None = None,
        texts: Texts | None = None,
    ) -> None:
        """Take a parser, which stays as it is and may be used beside this one, the names, and what is normalised."""
        self.parser = parser
        self.bonus = bonus
        self.known = KnownNames(values, parser.manifest.labels.tags, texts)
        self.normaliser = normaliser
        self.kinds: Mapping[str, Kind] = kinds or {}

    @property
    def manifest(self) -> "Manifest":
        """The package's manifest."""
        return self.parser.manifest

    @property
    def _plain(self) -> "Parser":
        return self.parser

    def __call__(self, text: str | bytes, *, alternatives: int = 0) -> Parse:
        """Parse one text, as the parser does; slots whose names or kinds are known have a ``value``."""
        if not self.known.names:
            return self.resolve(self.parser(text, alternatives=alternatives))
        shown, raw = encode_text(text)
        logits = self.parser.logits(text)
        tags = self.known.favour(logits.tags, logits.spans, raw, self.bonus)
        return self.resolve(self.parser.decide_logits(shown, raw, logits._replace(tags=tags), alternatives))

    def parse_batch(self, texts: Iterable[str | bytes], *, alternatives: int = 0) -> list[Parse]:
        """Parse several texts, one after another."""
        return [self(text, alternatives=alternatives) for text in texts]

    def resolve(self, parse: Parse) -> Parse:
        """Return a parse whose slots say what they stand for: a name that is known, else what can be read."""
        parse = self.known.resolve(parse)
        if self.normaliser is None or self.kinds.keys().isdisjoint(slot.label for slot in parse.slots):
            return parse
        return replace(parse, slots=tuple(self._normalise(slot) for slot in parse.slots))

    def _normalise(self, slot: Slot) -> Slot:
        kind = self.kinds.get(slot.label)
        if kind is None or self.normaliser is None or (isinstance(slot.value, Value) and slot.value.id is not None):
            return slot
        read: Normalised = self.normaliser.read(slot.text, kind)
        return replace(slot, value=read) if read.readings or slot.value is None else slot
