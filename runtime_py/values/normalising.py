"""What the text of a slot means as a number, a time, a duration, a temperature or money, in six languages.

Numbers in words come from `unicode-rbnf`, calendar dates from `dateparser` (the extra ``normalise``); what is said
around them is in `runtime_py/values/words`, a file a language.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from importlib.util import find_spec

from runtime_py.errors import ValuesError
from runtime_py.values.moments import MomentReader
from runtime_py.values.quantities import (
    read_duration,
    read_money,
    read_number,
    read_ordinal,
    read_percent,
    read_temperature,
)
from runtime_py.values.readings import KINDS, Kind, Normalised, Reading
from runtime_py.values.scanning import Language, Token, load_language

NEEDS = {"dateparser": "dateparser", "unicode_rbnf": "unicode-rbnf"}
_SIMPLE: Mapping[str, Callable[[tuple[Token, ...], Language], list[Reading]]] = {
    "number": read_number,
    "ordinal": read_ordinal,
    "percent": read_percent,
    "duration": read_duration,
    "money": read_money,
}


class Normaliser:
    """Reads texts of one language."""

    def __init__(
        self, locale: str, *, now: datetime | Callable[[], datetime] | None = None, zone: str | tzinfo | None = None
    ) -> None:
        """Load what the language needs, which takes some tenths of a second the first time.

        Args:
            locale: The language, with or without a country: ``de``, ``en-US``.
            now: The time from which *tomorrow* is counted, or a function that tells it; by default the time of each
                call. One with a time zone is taken to `zone`.
            zone: The time zone in which texts are meant, as ``Europe/Berlin``; by default that of `now`, else none, and
                moments are told without an offset.

        Raises:
            ValuesError: The language has no words here, a library is not installed, or there is no such time zone.
        """
        missing = [name for module, name in NEEDS.items() if find_spec(module) is None]
        if missing:
            raise ValuesError(
                f"normalising values needs {', '.join(missing)}, which the base install leaves out: "
                "pip install 'pqrnn[normalise]', or 'pqrnn-runtime[normalise]' on a board"
            )
        code, _, region = locale.replace("_", "-").lower().partition("-")
        self.locale = locale
        self._language = load_language(code)
        self._region = region
        self._now = now
        self._zone = read_zone(zone)

    def read(self, text: str, kind: Kind) -> Normalised:
        """Return what a text may stand for; nothing where it cannot be read as a whole.

        Raises:
            ValuesError: There is no such kind.
        """
        if kind not in KINDS:
            raise ValuesError(f"{kind!r} is no kind of value; kinds are {', '.join(KINDS)}")
        for ordinals_first in (kind == "ordinal", True):
            tokens = self._language.scan(text, ordinals_first)
            if tokens and (readings := self._read(tokens, kind)):
                return Normalised(kind, tuple(readings))
        return Normalised(kind, ())

    def _read(self, tokens: tuple[Token, ...], kind: Kind) -> list[Reading]:
        if (simple := _SIMPLE.get(kind)) is not None:
            return simple(tokens, self._language)
        if kind == "temperature":
            return read_temperature(tokens, self._language, self._region)
        now, zone = self._reference()
        readings = MomentReader(self._language, self._region, now, zone).read(tokens, kind)
        return readings or (read_duration(tokens, self._language) if kind == "date_time" else [])

    def _reference(self) -> tuple[datetime, tzinfo | None]:
        now = self._now() if callable(self._now) else self._now
        if now is None:
            return datetime.now(self._zone), self._zone
        if now.tzinfo is None:
            return now, self._zone
        zone = self._zone or now.tzinfo
        return now.astimezone(zone), zone


def read_zone(zone: str | tzinfo | None) -> tzinfo | None:
    """Return a time zone by its name.

    Raises:
        ValuesError: There is none of this name.
    """
    if not isinstance(zone, str):
        return zone
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValuesError(
            f"{zone!r} is no time zone that this machine knows; expected a name such as 'Europe/Berlin'. Where the "
            "system has none, install the package tzdata."
        ) from error
