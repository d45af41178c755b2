"""What a parser does for an assistant beyond parsing one text as one command."""

from abc import ABC, abstractmethod

from runtime_py.commands import split_commands
from runtime_py.decode.decoder import Parse, encode_text
from runtime_py.errors import CalibrationMissingError
from runtime_py.package_format.manifest import Manifest


class Assistant(ABC):
    """Several commands in a sentence, on top of a parser of one."""

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
