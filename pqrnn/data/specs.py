"""What users write to say where data are and how they are read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, quote

from pqrnn.data import formats
from pqrnn.data.reading import DEFAULTS, ReadOptions
from pqrnn.errors import DataNotFoundError

GRAMMAR = "grammar"
BUILT_IN = "home"
HASSIL = "hassil"
MADE = frozenset({GRAMMAR, BUILT_IN, HASSIL})  # drawn, not read: they have every split
_NAMES = {"skip-bad-rows": "skip_bad_rows", "text-column": "text_column", "intent-column": "intent_column"}


@dataclass(frozen=True, slots=True)
class DataSpec:
    """Where data are: ``PATH``, ``format:PATH``, ``grammar:FILE``, ``home[:locale]`` or ``hassil:SOURCE``, taken apart.

    Attributes:
        format: The name of a format, ``grammar``, ``home``, ``hassil``, or ``""`` where it is to be guessed.
        path: The path, or for ``home`` the locale or ``""``, or what ``hassil`` reads (`pqrnn.data.hassil`).
        options: What stands after a question mark.
    """

    format: str
    path: str
    options: ReadOptions = DEFAULTS


def parse_spec(spec: str) -> DataSpec:
    """Take a specification apart.

    A path that exists is a path, even with a colon or a question mark in it; the built-in set is meant by ``home`` (a
    folder of that name is ``./home``).

    Raises:
        DataNotFoundError: The specification is empty, has an unknown format before its colon, or an unknown option
            after its question mark.
    """
    place, options = _take_options(spec)
    prefix, colon, rest = place.partition(":")
    if not place:
        raise DataNotFoundError("no data named; give a path, format:PATH, or `home` for the built-in set")
    if prefix == BUILT_IN or (prefix == HASSIL and (colon or not Path(place).exists())):
        return DataSpec(prefix, rest, options)
    if colon and (prefix in formats.BY_NAME or prefix == GRAMMAR) and rest:
        return DataSpec(prefix, rest, options)
    if colon and len(prefix) > 1 and "/" not in prefix and "\\" not in prefix and not Path(place).exists():
        names = ", ".join((*formats.BY_NAME, GRAMMAR, BUILT_IN, HASSIL))
        raise DataNotFoundError(
            f"{place}: {prefix!r} is no data format, and there is no such path; formats are {names}"
        )
    return DataSpec(GRAMMAR if place.lower().endswith(".toml") else "", place, options)


def add_options(spec: str, options: ReadOptions) -> str:
    """Return a specification with further options; a name that it has already is replaced."""
    if options == DEFAULTS or not spec:
        return spec
    place, before = _take_options(spec)
    skip = options.skip_bad_rows or before.skip_bad_rows
    text, intent = options.text_column or before.text_column, options.intent_column or before.intent_column
    pieces = ["skip-bad-rows"] if skip else []
    pieces += [f"{name}={quote(value)}" for name, value in (("text-column", text), ("intent-column", intent)) if value]
    return f"{place}?{'&'.join(pieces)}"


def _take_options(spec: str) -> tuple[str, ReadOptions]:
    """Return what stands before the options, and these."""
    place, mark, written = spec.rpartition("?")
    if not mark or _is_path(spec):
        return spec, DEFAULTS
    found: dict[str, str] = {}
    for name, value in parse_qsl(written, keep_blank_values=True):
        flag = name == "skip-bad-rows"
        if name not in _NAMES or flag != (value == ""):
            expected = "skip-bad-rows, text-column=NAME and intent-column=NAME"
            raise DataNotFoundError(
                f"{spec}: there is no such path, and {name!r} is no option of data; expected {expected} with & between"
            )
        found[_NAMES[name]] = value
    return place, ReadOptions("skip_bad_rows" in found, found.get("text_column", ""), found.get("intent_column", ""))


def _is_path(spec: str) -> bool:
    """Say whether a specification is a path that exists, with or without a format before it."""
    rest = spec.partition(":")[2]
    try:
        return Path(spec).exists() or bool(rest and Path(rest).exists())
    except (OSError, ValueError):  # a name that is too long, or has a NUL
        return False
