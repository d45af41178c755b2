"""A file that says what slots hold: names of a house, texts with their values, kinds that are normalised."""

import tomllib
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from runtime_py.bounded_files import read_bounded
from runtime_py.errors import ValuesError
from runtime_py.json_errors import JSON_ERRORS
from runtime_py.values.readings import Kind

if TYPE_CHECKING:
    from runtime_py.assistant import Assistant
    from runtime_py.values.parsing import ValueParser

Texts = dict[str, str | int | float]
_LARGEST = 16 << 20  # bytes
_OF_GRAMMARS = ("lists", "rules", "intents")


class ValuesFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a file of values says.

    Attributes:
        locale: Language of what is normalised.
        zone: Time zone of moments.
        kinds: What slots hold, for those that are normalised.
        names: For each slot a list of names, or for each id its names.
        texts: For each slot texts, and the value that each stands for.
    """

    locale: str = ""
    zone: str = ""
    kinds: dict[str, Kind] = {}
    names: dict[str, list[str] | dict[str, Annotated[list[str], msgspec.Meta(min_length=1)]]] = {}
    texts: dict[str, Texts] = {}

    def give(
        self,
        parser: "Assistant",
        *,
        normalise: bool = False,
        locale: str = "",
        zone: str = "",
        now: datetime | None = None,
    ) -> "ValueParser":
        """Return a parser that knows what the file says.

        Args:
            parser: The parser.
            normalise: Whether slots of well-known names are normalised, too.
            locale: Language, before that of the file.
            zone: Time zone, before that of the file.
            now: The time from which *tomorrow* is counted.

        Raises:
            ValuesError: As `Assistant.with_values`.
        """
        kinds: dict[str, Kind | None] = {**self.kinds}
        return parser.with_values(
            self.names,
            texts=self.texts,
            normalise=kinds or normalise,
            locale=locale or self.locale,
            zone=zone or self.zone or None,
            now=now,
        )


def load_values(path: str | Path) -> ValuesFile:
    """Read a file of values.

    Args:
        path: A TOML file with tables ``names``, ``texts``, ``kinds`` and the keys ``locale`` and ``zone``, which may be
            a grammar, too; or JSON of the form ``{"slot": {"text": value}}``, as `pqrnn data values` writes it.

    Raises:
        ValuesError: It cannot be read, or is not of this form.
    """
    try:
        raw = read_bounded(path, _LARGEST, pipes=True)
        if raw.lstrip()[:1] == b"{":
            return ValuesFile(texts=msgspec.json.decode(raw, type=dict[str, Texts]))
        document: dict[str, Any] = tomllib.loads(raw.decode())
        return msgspec.convert({key: value for key, value in document.items() if key not in _OF_GRAMMARS}, ValuesFile)
    except OSError as error:
        raise ValuesError(f"{path}: cannot be read ({error.strerror}).") from error
    except (tomllib.TOMLDecodeError, *JSON_ERRORS) as error:
        raise ValuesError(
            f"{path}: {error}. Expected TOML with tables such as [names], [texts] and [kinds], or JSON of the form "
            '{"slot": {"text": value}}.'
        ) from error


def read_now(text: str | None) -> datetime | None:
    """Return a reference time that is given in ISO 8601.

    Raises:
        ValuesError: It is none.
    """
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise ValuesError(
            f"{text!r} is no time; expected one such as 2026-11-25T10:00 or 2026-11-25T10:00+01:00"
        ) from error


def add_values(
    parser: "Assistant",
    *,
    path: str | Path | None = None,
    normalise: bool = False,
    locale: str = "",
    zone: str = "",
    now: str | None = None,
) -> "Assistant":
    """Return a parser with the names of a file, and with normalised values, as command lines ask for them.

    Args:
        parser: The parser.
        path: The file, or None.
        normalise: Whether slots of well-known names are normalised; those whose kind the file says always are.
        locale: Language, before that of the file.
        zone: Time zone, before that of the file.
        now: The time from which *tomorrow* is counted, in ISO 8601.

    Raises:
        ValuesError: Something of it cannot be read, or the parser has no such slot.
    """
    if path is None and not normalise:
        if locale or zone or now is not None:
            raise ValuesError("a language, time zone or time is of use with --normalise or --values alone")
        return parser
    file = load_values(path) if path is not None else ValuesFile()
    return file.give(parser, normalise=normalise, locale=locale, zone=zone, now=read_now(now))
