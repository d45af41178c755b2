"""The errors that this package raises on purpose."""

from __future__ import annotations

import os

from runtime_py.terminal import printable


class PqrnnError(Exception):
    """Base of every error that pqrnn raises on purpose; its text is meant for the person at the command line.

    It may quote files of others, so nothing in it is obeyed by a terminal.
    """

    def __str__(self) -> str:
        """Return the message with escapes for what a terminal would obey."""
        return printable(super().__str__(), lines=True)


class DataError(PqrnnError):
    """Something is wrong with the data that was asked for."""


class DataNotFoundError(DataError):
    """No data, or more than one answer, for a specification, a split and a locale."""


class DataFormatError(DataError):
    """A file that does not hold what its format promises.

    Attributes:
        file: The file as the user named it.
        line: The line, counted from 1, or None where the whole file is meant.
        found: What stands there.
        expected: What should stand there.
        hint: What to do about it, or an empty string.
    """

    def __init__(
        self, file: str | os.PathLike[str], line: int | None, found: str, expected: str, hint: str = ""
    ) -> None:
        """Keep the parts; the message is built from them."""
        super().__init__(file, line, found, expected, hint)
        self.file = os.fspath(file)
        self.line = line
        self.found = found
        self.expected = expected
        self.hint = hint

    def __str__(self) -> str:
        """Return ``file:line: found; expected ... (hint)``."""
        location = self.file if self.line is None else f"{self.file}:{self.line}"
        hint = f" ({self.hint})" if self.hint else ""
        return printable(f"{location}: {self.found}; expected {self.expected}{hint}", lines=True)


class CheckpointError(PqrnnError):
    """A folder does not hold a trained parser that this version can read."""


class TrainingError(PqrnnError):
    """A training run cannot be started or taken up again."""


class DivergenceError(TrainingError):
    """The loss of a training run, or its gradient, is no finite number any more."""


class TeamError(TrainingError):
    """The processes that learn together cannot reach each other."""


class TeacherError(PqrnnError):
    """A teacher cannot be loaded, or its answers cannot be used."""


class QuantizationError(PqrnnError):
    """A parser cannot be quantized."""


class ExtensionError(PqrnnError):
    """A parser cannot learn further commands, or not these."""


class BudgetError(PqrnnError):
    """A parser has no parts that could serve smaller budgets, or they may not be stored with it."""


class CalibrationError(PqrnnError):
    """A calibration cannot be fitted, or does not fit its parser."""


class AveragingError(PqrnnError):
    """Parsers cannot be averaged."""


class ZooError(PqrnnError):
    """A trained parser is not in the zoo, or cannot be put there."""


class RecipeError(PqrnnError):
    """A recipe or a setting that is not there, or that does not take the value given."""


class BuildError(PqrnnError):
    """A build cannot go on."""


class MissingExtraError(PqrnnError):
    """A verb needs packages that are not installed."""
