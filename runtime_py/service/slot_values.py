"""What the texts of slots stand for: a table that the training data give, and numbers that are written in digits."""

import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path

import msgspec

from runtime_py.errors import ServiceError

Value = str | int | float
_NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)?(?=\s*(?:%|°|$))")


def fold_text(text: str) -> str:
    """Return what two ways to write a value have in common: letters and digits without case, and single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


class SlotValues:
    """Values by slot and text."""

    def __init__(self, table: Mapping[str, Mapping[str, Value]]) -> None:
        """Take a table of slots, texts and values."""
        self._table = {slot: {fold_text(text): value for text, value in texts.items()} for slot, texts in table.items()}

    @classmethod
    def load(cls, path: str | Path) -> "SlotValues":
        """Read a table: ``{"slot": {"text": value}}``, as `pqrnn data values` writes it.

        Raises:
            ServiceError: It cannot be read, or is not of this form.
        """
        try:
            return cls(msgspec.json.decode(Path(path).read_bytes(), type=dict[str, dict[str, Value]]))
        except OSError as error:
            raise ServiceError(f"{path}: cannot be read ({error.strerror}).") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ServiceError(f'{path}: {error}. Expected JSON of the form {{"slot": {{"text": value}}}}.') from error

    def resolve(self, slot: str, text: str) -> Value:
        """Return what the text of a slot stands for: its value, else a number in digits, else the text itself."""
        value = self._table.get(slot, {}).get(fold_text(text))
        if value is not None:
            return value
        match = _NUMBER.match(text.strip())
        if match is None or match.end() < len(text.strip().rstrip("%°CF ")):
            return text
        number = float(match[0].replace(",", "."))
        return int(number) if number == int(number) else number
