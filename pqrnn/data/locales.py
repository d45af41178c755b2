"""Names of languages and regions, as files, folders and rows write them."""

from __future__ import annotations

import re

_LOCALE = re.compile(r"([a-z]{2,3})(?:[-_]([a-z0-9]{2,8}))?", re.IGNORECASE)
# In a file name only the usual spellings count, or every ``my_data`` would be Burmese; of the three-letter codes only
# those of languages without two letters that such data exist in.
_NAMED_LOCALE = re.compile(r"[a-z]{2}|ckb|fil|gsw|lij|nap|yue|[a-z]{2,3}[-_][A-Z]{2}|[a-z]{2,3}-[a-z]{2}")
_NOT_LANGUAGES = frozenset({"in", "gz"})


def normalise_locale(name: str) -> str:
    """Return ``name`` as ``en`` or ``en-US``: ``en_XX`` (any region) becomes ``en``, ``en_us`` becomes ``en-US``."""
    found = _LOCALE.fullmatch(name.strip())
    if found is None:
        return name.strip()
    language, region = found[1].lower(), found[2]
    if region is None or region.upper() == "XX":
        return language
    return f"{language}-{region.upper() if len(region) == 2 else region.lower()}"


def match_locale(wanted: str, name: str) -> bool:
    """Say whether data of the locale ``name`` serve a user who asked for ``wanted``.

    A language alone stands for each of its regions, on either side; two regions must be equal.
    """
    first, second = normalise_locale(wanted).split("-", 1), normalise_locale(name).split("-", 1)
    return first[0] == second[0] and (len(first) == 1 or len(second) == 1 or first[1] == second[1])


def find_locale(name: str) -> str:
    """Return the locale that a file or folder name carries (``en``, ``en-US.jsonl``, ``de.test.conll``), or ``""``.

    Only a whole piece between dots, or the last piece after an underscore, counts: in ``official_8col_en`` it is
    ``en``, in ``my_data`` there is none.
    """
    for piece in (*name.split("."), name.rpartition("_")[2]):
        if _NAMED_LOCALE.fullmatch(piece) and piece not in _NOT_LANGUAGES:
            return normalise_locale(piece)
    return ""
