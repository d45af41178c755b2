"""What a parser does for an assistant beyond parsing one text as one command."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, cast

from runtime_py.commands import split_commands
from runtime_py.decode.answers import Parse, encode_text
from runtime_py.errors import CalibrationMissingError
from runtime_py.package_format.manifest import Manifest

if TYPE_CHECKING:
    from runtime_py.parser import Parser
    from runtime_py.values.parsing import ValueParser


class Assistant(ABC):
    """Several commands in a sentence, and names that are known at run time, on top of a parser of one text."""

    @property
    @abstractmethod
    def manifest(self) -> Manifest:
        """The package's manifest."""

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
        if self.manifest.calibration is None:
            raise CalibrationMissingError(
                f"{self.manifest.name}: has no calibration, and without one a sentence cannot be told from two. "
                "Calibrate the parser (`pqrnn calibrate`) and compile it again."
            )
        return split_commands(encode_text(text)[0], lambda part: self(part, alternatives=alternatives))

    def with_values(self, values: Mapping[str, Iterable[str] | Mapping[str, Iterable[str]]]) -> "ValueParser":
        """Return a parser that knows the names of a house; this one stays as it is.

        A slot's text is resolved to a name as it is written, folded (case, accents, marks and spaces do not count), or
        near by edit distance; ``Slot.value`` says which, or what is nearest. A known name also makes its slot more
        probable, where the parse is close (`runtime_py.values`).

        Args:
            values: For each slot a list of names, or for each id its names: ``{"area": ["kitchen", "attic"], "device":
                {"light.k1": ["lamp", "reading light"]}}``. The prefix ``SL:`` of a slot may be left out.

        Raises:
            ValuesError: The parser has no such slot, or names are no texts.
        """
        from runtime_py.values.parsing import ValueParser

        return ValueParser(self._plain, values)

    @property
    def _plain(self) -> "Parser":
        """The parser without names: itself, but for one that has names."""
        return cast("Parser", self)
