"""Spellings that people use for others: what training rewrites utterances to, and what evaluation changes them to."""

from __future__ import annotations

import unicodedata

_ACCENTS = range(0x300, 0x370)  # what is left out by those who type without accents


def leave_accents(text: str) -> str:
    """Return a text without its accents; the very text where it has none, or would be empty."""
    decomposed = unicodedata.normalize("NFD", text)
    bare = "".join(each for each in decomposed if ord(each) not in _ACCENTS)
    return text if bare == decomposed or not bare else unicodedata.normalize("NFC", bare)
