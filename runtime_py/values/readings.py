"""What a normalised value is: the kinds that there are, and what can be read from the text of a slot."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args

Kind = Literal["number", "ordinal", "percent", "time", "date", "date_time", "duration", "temperature", "money"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_DIGITS = re.compile(r"([+-]?\d+(?:[.,]\d+)?)\s*(?:%|°\s*[CF]?)?")

# Slots whose names say what they hold, as folded by `fold_slot`. What is not here is declared by the user.
_NAMES: dict[Kind, tuple[str, ...]] = {
    "number": ("number", "count", "amount", "quantity", "rating_value", "best_rating", "party_size_number"),
    "ordinal": ("ordinal",),
    "percent": ("percent", "percentage", "brightness", "level", "position", "volume", "humidity", "change_amount"),
    "time": ("time", "start_time", "end_time", "time_of_day"),
    "date": ("date", "day", "start_date", "end_date"),
    "date_time": ("date_time", "datetime", "date_time_new", "date_time_recurring", "time_range", "timerange"),
    "duration": ("duration", "short_duration", "time_duration"),
    "temperature": ("temperature",),
    "money": ("money", "price", "currency_amount", "amount_of_money"),
}
KIND_OF_NAME: Mapping[str, Kind] = MappingProxyType({name: kind for kind, names in _NAMES.items() for name in names})


def fold_slot(label: str) -> str:
    """Return the name of a slot as the table of well-known names has it: ``SL:DATE_TIME`` is ``date_time``."""
    return label.lower().removeprefix("sl:").replace("-", "_").replace(".", "_").replace(" ", "_")


@dataclass(frozen=True, slots=True)
class Reading:
    """One of the values that a text may stand for.

    Attributes:
        kind: What it is; a slot of moments may hold a duration.
        value: A number; or in ISO 8601 a time of day, date, moment or duration.
        unit: ``°C`` or ``°F`` of a temperature, the ISO 4217 code of money; else empty.
        grain: ``minute``, ``day``, ``weekend``, ``week``, ``month`` or ``year``: how exact a
            date or a time is; else empty.
        part: Part of the day that was said without a time, such as ``morning``; else empty.
    """

    kind: Kind
    value: int | float | str
    unit: str = ""
    grain: str = ""
    part: str = ""

    def __str__(self) -> str:
        """Show value and unit, as ``21.5 °C``."""
        shown = f"{self.value:.15g}" if isinstance(self.value, float) else str(self.value)
        return " ".join(each for each in (shown, self.unit, self.part) if each)

    def to_dict(self) -> dict[str, Any]:
        """Return plain types, ready for JSON."""
        said: dict[str, Any] = {"kind": self.kind, "value": self.value}
        return said | {key: value for key in ("unit", "grain", "part") if (value := getattr(self, key))}


@dataclass(frozen=True, slots=True)
class Normalised:
    """What the text of a slot was read as.

    Attributes:
        kind: What the slot holds.
        readings: What the text may stand for, the likeliest first: several where it is ambiguous ("at seven" is in the
            morning or in the evening), none where it could not be read.
    """

    kind: Kind
    readings: tuple[Reading, ...]

    def __str__(self) -> str:
        """Show all readings."""
        return " or ".join(map(str, self.readings)) or f"no {self.kind.replace('_', ' ')} could be read"

    def to_dict(self) -> dict[str, Any]:
        """Return plain types, ready for JSON."""
        return {"kind": self.kind, "readings": [each.to_dict() for each in self.readings]}


def number_in_digits(text: str) -> int | float | None:
    """Return the number that is written in digits, with or without a sign of percent or degrees; else None.

    That needs no library: it is what a service tells of slots whose kind nobody has declared.
    """
    match = _DIGITS.fullmatch(text.strip())
    return None if match is None else tidy(float(match[1].replace(",", ".")))


def tidy(value: float) -> int | float:
    """Return a number without the noise of binary fractions, as an integer where it is one."""
    value = round(value, 9)
    return int(value) if value == int(value) else value
