"""Errors of the sentence grammar: where in which file, what was found, what was expected."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from pqrnn.errors import DataError


class GrammarError(DataError):
    """A grammar file cannot be used as it stands; the message says where and what to write instead."""


@dataclass(frozen=True, slots=True)
class SourcePosition:
    """Where a template stands: the file, its line if it could be found, and the entry it belongs to."""

    file: str
    line: int | None
    entry: str

    def __str__(self) -> str:
        """Return ``file:line: entry``."""
        line = "" if self.line is None else f":{self.line}"
        return f"{self.file}{line}: {self.entry}"


def template_error(
    position: SourcePosition, template: str, start: int, end: int, problem: str, expected: str = ""
) -> GrammarError:
    """Build the error for the piece ``template[start:end]``, shown with carets below it.

    Args:
        position: Where the template stands.
        template: The template as written.
        start: First character of the offending piece (a code point index).
        end: One past its last character.
        problem: What is wrong.
        expected: What would have been right; left out when empty.
    """
    carets = " " * _columns(template[:start]) + "^" * max(1, _columns(template[start:end]))
    lines = [f"{position}, column {start + 1}: {problem}", f"    {_one_line(template)}", f"    {carets}"]
    if expected:
        lines.append(f"  expected {expected}")
    return GrammarError("\n".join(lines))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the nearest known name, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _one_line(text: str) -> str:
    return "".join(" " if char in "\n\r\t" else char for char in text)


def _columns(text: str) -> int:
    """Terminal columns of a text: marks take none, East Asian wide characters two, so that carets line up."""
    columns = 0
    for char in text:
        if unicodedata.category(char) in ("Mn", "Me", "Cf"):
            continue
        columns += 2 if unicodedata.east_asian_width(char) in "WF" else 1
    return columns
