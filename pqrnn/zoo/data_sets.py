"""The data sets that parsers learn from: titles and licences, from `data_sets.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from pqrnn.errors import ZooError

# From the freest to the strictest: what is derived from several carries the last of theirs.
_LICENCES = ("CC0 1.0", "Apache-2.0", "CC BY 3.0", "CC BY 4.0", "CC BY-SA 4.0")


class DataSet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A data set: its title with the authors, its licence, where to read of it, and what is in it."""

    title: str
    licence: str
    link: str
    about: str


def read_data_sets() -> dict[str, DataSet]:
    """Return all data sets by their short names."""
    with Path(__file__).with_name("data_sets.toml").open("rb") as file:
        return msgspec.convert(tomllib.load(file), dict[str, DataSet])


def choose_data_sets(names: Sequence[str]) -> dict[str, DataSet]:
    """Look data sets up.

    Raises:
        ZooError: none is named, or one is unknown.
    """
    known = read_data_sets()
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise ZooError(
            f"{unknown[0] if unknown else 'no name'} is no data set; expected some of {', '.join(known)} "
            "(pqrnn/zoo/data_sets.toml)"
        )
    return {name: known[name] for name in names}


def strictest_licence(sets: Sequence[DataSet]) -> str:
    """Return the licence that weights learned from all of these carry."""
    return max((each.licence for each in sets), key=_LICENCES.index)
