"""What is said where data are not there: what was looked for, what there is, and what to do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pqrnn.data import formats
from pqrnn.data.formats.table import list_columns
from pqrnn.data.layout import Candidate, list_files, may_hold_data
from pqrnn.data.locales import is_locale
from pqrnn.data.reading import ReadOptions
from pqrnn.data.specs import DataSpec
from pqrnn.data.splits import ALL
from pqrnn.data.textfile import read_head, split_lines

_LISTED = 12


class Situation(NamedTuple):
    """What there is at a place.

    Attributes:
        known: The files in a known format.
        unknown: Those in none.
        splits: The splits that rows name.
    """

    known: Sequence[Candidate]
    unknown: Sequence[Candidate]
    splits: set[str]


def explain_unknown(spec: DataSpec, root: Path, listed: Sequence[Candidate]) -> str:
    """Say that no file is in a known format."""
    others = [path for path in list_files(root) if not may_hold_data(path)]
    aside = f" Not looked at, for their names end as no data do: {_join(others)}." if others and root.is_dir() else ""
    if not listed:
        return f"{root}: holds no data files; expected files such as train.jsonl, dev.tsv.gz or test/seq.in.{aside}"
    what = f"in the format {spec.format!r}" if spec.format else "in a known format"
    names = "; ".join(f"{each.name}: {each.summary}" for each in formats.FORMATS)
    return (
        f"{root}: nothing there is {what}. Looked at {_join([each.path for each in listed])}.{aside}"
        f"{_name_columns(listed, spec.options)} Formats are {names}. Say which with format:PATH"
    )


def explain_nothing(spec: DataSpec, there: Situation, split: str, wanted: tuple[str, ...]) -> str:
    """Say that a split or a language is not there, and what is."""
    what = "no rows" if split == ALL else f"no {split} split"
    where = f" for the locale {', '.join(wanted)}" if wanted else ""
    splits = sorted({each.split for each in there.known if each.split} or there.splits)
    locales = sorted({each.locale for each in there.known if each.locale})
    parts = [f"{spec.path}: {what}{where}", f"found {_join([each.path for each in there.known])}"]
    parts.append(
        f"splits are {', '.join(splits)}"
        if splits
        else "no file or row there names a split: use the split `all`, or name the files train..., dev... and test..."
    )
    if locales:
        parts.append(f"locales are {', '.join(locales)}")
    strange = [name for name in wanted if not is_locale(name)]
    if strange:
        parts.append(f"{', '.join(map(repr, strange))} is no code of a language, as `en`, `de-AT` and `zh-Hant` are")
    unknown = [each.path for each in there.unknown if each.split == split]
    if unknown:
        parts.append(f"in no known format, say which with format:PATH: {_join(unknown)}")
    return "; ".join(parts)


def _name_columns(listed: Sequence[Candidate], options: ReadOptions) -> str:
    """Return the columns or keys of the first file that has some, for probably only their names are unusual."""
    for each in listed:
        head = [line for line in split_lines(read_head(each.path)) if line.strip()]
        if not head:
            continue
        columns = list_columns(head) if not head[0].lstrip().startswith(("{", "[")) else _list_keys(head[0])
        if len(columns) > 1:
            named = [name for name in (options.text_column, options.intent_column) if name and name not in columns]
            missing = f", but no {' and no '.join(map(repr, named))}" if named else ""
            return (
                f" {each.path} has {', '.join(map(repr, columns[:_LISTED]))}{missing}: say which are texts and intents "
                "with --text-column and --intent-column."
            )
    return ""


def _list_keys(line: str) -> tuple[str, ...]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return ()
    return tuple(row) if isinstance(row, dict) else ()


def _join(paths: Sequence[Path]) -> str:
    """Return the first few paths as one line."""
    shown = ", ".join(map(str, paths[:_LISTED]))
    return shown if len(paths) <= _LISTED else f"{shown} and {len(paths) - _LISTED} more"
