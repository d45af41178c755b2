"""How data are to be read, and the account of what was left out while reading."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from pqrnn.errors import DataFormatError

SKIP_OPTION = "--skip-bad-rows"
_SHOWN_REASONS, _SHOWN_NAMES = 5, 12
_VARYING = re.compile(r"\d+|'[^']*'|\"[^\"]*\"")


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What a user says about data beyond where they are; part of a specification (`pqrnn.data.specs`).

    Attributes:
        skip_bad_rows: Leave out rows that are wrong, and count them, instead of refusing the file.
        text_column: Name of the column or key that holds the texts, or its number from 1 where there are no names.
        intent_column: The same for the intents.
    """

    skip_bad_rows: bool = False
    text_column: str = ""
    intent_column: str = ""


DEFAULTS = ReadOptions()


@dataclass(slots=True)
class ReadReport:
    """What was left out while data were read.

    Several readings of the same data may share one: nothing is counted twice.

    Attributes:
        problems: The first wrong row of each kind, by what was expected there.
        counts: How many rows were wrong, by the same.
        keys: Keys and columns that mean nothing to the formats, and the rows that have them.
        unlabelled: Rows left out because they say no language where others do and one was asked for.
        files: The files at the place named, with the reason why one of them is not read, "" where there is none.
        read: The files that were read.
        counting: Whether the file that is being read is read for the first time, so that its keys count.
    """

    problems: dict[str, DataFormatError] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    keys: Counter[str] = field(default_factory=Counter)
    unlabelled: int = 0
    files: dict[Path, str] = field(default_factory=dict)
    read: set[Path] = field(default_factory=set)
    counting: bool = True
    _seen: set[tuple[str, int | None]] = field(default_factory=set)

    @property
    def wrong(self) -> int:
        """How many rows were wrong."""
        return self.counts.total()

    def add(self, problem: DataFormatError) -> None:
        """Count a row that is wrong."""
        position = problem.file, problem.line
        if position not in self._seen:
            self._seen.add(position)
            kind = _VARYING.sub("…", problem.expected)
            self.problems.setdefault(kind, problem)
            self.counts[kind] += 1

    def first_problem(self) -> DataFormatError | None:
        """Return the first wrong row as an error that also says how many more there are, or None."""
        if not self.problems:
            return None
        first, *others = self.problems.values()
        if self.wrong == 1:
            more = f"{SKIP_OPTION} leaves the row out"
        else:
            further = [_locate(each) for each in others[:_SHOWN_REASONS]]
            kinds = f", first of other kinds at {'; '.join(further)}" if further else ""
            rows = "more row is" if self.wrong == 2 else "more rows are"
            more = f"{self.wrong - 1:,} {rows} wrong{kinds}; {SKIP_OPTION} leaves such rows out"
        hint = f"{first.hint}; {more}" if first.hint else more
        return DataFormatError(first.file, first.line, first.found, first.expected, hint)

    def describe_problems(self) -> str:
        """Return how many rows were left out, and why, or ""."""
        if not self.problems:
            return ""
        rows = "1 wrong row is" if self.wrong == 1 else f"{self.wrong:,} wrong rows are"
        lines = [f"{rows} left out ({SKIP_OPTION}):"]
        shown = self.counts.most_common(_SHOWN_REASONS)
        for kind, count in shown:
            problem = self.problems[kind]
            lines.append(f"  {count:,}, the first at {_locate(problem)}; expected {problem.expected}")
        rest = self.wrong - sum(count for _, count in shown)
        return "\n".join([*lines, f"  {rest:,} for other reasons"] if rest else lines)

    def describe_rest(self) -> str:
        """Return what else of the rows was not used, or ""."""
        lines = []
        if self.keys:
            names = [f"{key!r} ({count:,} rows)" for key, count in self.keys.most_common(_SHOWN_NAMES)]
            more = f" and {len(self.keys) - _SHOWN_NAMES} more" if len(self.keys) > _SHOWN_NAMES else ""
            lines.append(f"keys that mean nothing here and are not read: {', '.join(names)}{more}")
        if self.unlabelled:
            lines.append(f"{self.unlabelled:,} rows say no language, as others do, and are not among those asked for")
        return "\n".join(lines)

    def describe_rows(self) -> str:
        """Return what was not read of the rows, in lines, or ""."""
        return "\n".join(filter(None, (self.describe_problems(), self.describe_rest())))

    def describe_files(self) -> str:
        """Return which files at the place named were not read, or ""."""
        left = [(path, why) for path, why in self.files.items() if path not in self.read]
        if not left:
            return ""
        shown = ", ".join(f"{path} ({why})" if why else str(path) for path, why in left[:_SHOWN_NAMES])
        more = f" and {len(left) - _SHOWN_NAMES:,} more" if len(left) > _SHOWN_NAMES else ""
        return f"not looked at: {shown}{more}"


def _locate(problem: DataFormatError) -> str:
    location = problem.file if problem.line is None else f"{problem.file}:{problem.line}"
    return f"{location}: {problem.found}"
