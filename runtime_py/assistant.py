"""What a parser does for an assistant beyond parsing one text as one command."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, cast

from runtime_py.decode.answers import Parse, encode_text
from runtime_py.errors import CalibrationMissingError

# What a start that only parses does without is imported where it is used, the manifest's decoder among it.
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime, tzinfo

    from runtime_py.package_format.manifest import Manifest
    from runtime_py.parser import Parser
    from runtime_py.streaming import Partial
    from runtime_py.values.parsing import Texts, ValueParser, Values
    from runtime_py.values.readings import Kind


class Assistant(ABC):
    """Several commands in a sentence, texts that are not over yet, names and values, on top of a parser of one text."""

    @property
    @abstractmethod
    def manifest(self) -> Manifest:
        """The package's manifest."""

    @property
    def name(self) -> str:
        """Name of the package, for people."""
        return self.manifest.name

    @abstractmethod
    def __call__(self, text: str | bytes, *, alternatives: int = 0) -> Parse:
        """Parse one text."""

    def parse_all(self, text: str | bytes, *, alternatives: int = 0) -> list[Parse]:
        """Parse a sentence that may hold several commands, such as "turn off the lights and lock the door".

        It is cut where the parts are more probable as commands than the whole is as one (`runtime_py.commands`), which
        takes three parses where there is one place to cut, and 28 at most. Every parse has its own piece of the
        sentence as ``text``, at ``offset``.

        Args:
            text: The sentence.
            alternatives: How many of the most probable intents to name in each parse.

        Returns:
            The parses from left to right; one where the sentence is a single command.

        Raises:
            CalibrationMissingError: The package has no calibration, so that scores cannot be compared.
            InputTooLongError: The sentence does not fit and the policy is ``error``.
            ParserClosedError: The parser was closed.
        """
        from runtime_py.commands import split_commands

        def parse(part: str) -> Parse:
            found = self(part, alternatives=alternatives)
            if not found.calibrated:
                raise CalibrationMissingError(
                    f"{self.name}: has no calibration, and without one a sentence cannot be told from two. "
                    "Calibrate the parser (`pqrnn calibrate`) and compile it again."
                )
            return found

        return split_commands(encode_text(text)[0], parse)

    def partial(self, text: str) -> Partial:
        """Say what is already certain of the beginning of a text: which intents can still win, and whether one has won.

        Ask again with each text that a recogniser of speech has so far; nothing is remembered in between. It is a rule
        that was chosen on development data, not a promise, and costs as much as four parses; `runtime_py.streaming`
        has it with its two numbers as arguments.

        Raises:
            InputTooLongError: The text does not fit and the policy is ``error``.
            ParserClosedError: The parser was closed.
        """
        from runtime_py.streaming import read_partial

        return read_partial(self._plain, text)

    def with_values(
        self,
        values: Values | None = None,
        *,
        texts: Texts | None = None,
        normalise: bool | Mapping[str, Kind | None] = False,
        locale: str = "",
        now: datetime | Callable[[], datetime] | None = None,
        zone: str | tzinfo | None = None,
    ) -> ValueParser:
        """Return a parser whose slots say what they stand for; this one stays as it is.

        With names, a slot's text is resolved to one of them as it is written, folded (case, accents, marks and spaces
        do not count), or near by edit distance; ``Slot.value`` says which, or what is nearest. A known name also makes
        its slot more probable, where the parse is close (`runtime_py.values`).

        Normalised, a slot's text is read as a number, a time, a duration, a temperature and so on: ``Slot.value`` is a
        `Normalised` with all that it may mean. That needs the extra ``normalise``.

        Args:
            values: For each slot a list of names, or for each id its names: ``{"area": ["kitchen", "attic"], "device":
                {"light.k1": ["lamp", "reading light"]}}``. The prefix ``SL:`` of a slot may be left out.
            texts: For each slot texts, and what each stands for, as ``{"level": {"full blast": 100}}``: they are found
                as they are written or folded, and make nothing more probable.
            normalise: Whether slots of well-known names (`runtime_py.values.readings`) are normalised; or the kinds of
                further slots, as ``{"level": "percent"}``, and None for a slot that is not.
            locale: Language of what is normalised, with or without a country: ``de``, ``en-US``. By default that which
                the package's name ends with, as that of ``mtop-de`` does.
            now: The time from which *tomorrow* is counted, or a function that tells it; by default the time of each
                call.
            zone: Time zone of moments, as ``Europe/Berlin``; by default that of `now`, else moments have no offset.

        Raises:
            ValuesError: The parser has no such slot, names are no texts, the language cannot be read or is not known,
                or a library is missing.
        """
        from runtime_py.decode.tags import TagScheme
        from runtime_py.values.parsing import ValueParser, choose_kinds, make_normaliser

        kinds = choose_kinds(normalise, TagScheme(self.manifest.labels.tags).slots)
        normaliser = None if normalise is False else make_normaliser(locale, self.name, now, zone)
        return ValueParser(self._plain, values or {}, normaliser=normaliser, kinds=kinds, texts=texts)

    @property
    def _plain(self) -> Parser:
        """The parser without names: itself, but for one that has names."""
        return cast("Parser", self)
