"""How data files lie in folders: which file is which split in which language."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from pqrnn.data.formats.base import DataFormat
from pqrnn.data.locales import find_locale
from pqrnn.data.splits import find_split
from pqrnn.errors import DataNotFoundError

_SUFFIXES = frozenset(
    {"", ".txt", ".tsv", ".tab", ".csv", ".jsonl", ".json", ".ndjson", ".conll", ".conllu", ".bio", ".iob", ".in"}
    | {".yml", ".yaml", ".md"}
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that may hold data.

    Attributes:
        path: The file.
        split: The split that its name, or the nearest folder with such a name, says, or ``""``.
        locale: The locale, found in the same way, or ``""``.
        format: Its format, once known.
    """

    path: Path
    split: str = ""
    locale: str = ""
    format: DataFormat | None = None

    def with_format(self, found: DataFormat) -> Candidate:
        """Return the same file with its format, and with its folder's split where the format has it there."""
        split = self.split or (find_split(self.path.resolve().parent.name) if found.split_is_folder else "")
        return replace(self, format=found, split=split)


def list_files(root: Path) -> list[Path]:
    """Return the files at or below ``root`` that are not hidden, in the order of their names."""
    if root.is_file():
        return [root]
    below = (path for path in sorted(root.rglob("*")) if path.is_file())
    return [path for path in below if not any(part.startswith(".") for part in path.relative_to(root).parts)]


def may_hold_data(path: Path) -> bool:
    """Say whether a file in a folder is looked at, judged by the end of its name."""
    return Path(path.name.removesuffix(".gz")).suffix.lower() in _SUFFIXES


def list_candidates(root: Path) -> list[Candidate]:
    """Return the files at or below ``root`` that may hold data, in the order of their names.

    Splits are told by the path below ``root``, locales also by the name of ``root`` itself: what lies above is not
    about the data.

    Raises:
        DataNotFoundError: ``root`` does not exist.
    """
    if root.is_file():
        return [Candidate(root, find_split(root.name), find_locale(root.name) or find_locale(root.parent.name))]
    if not root.is_dir():
        raise DataNotFoundError(f"{root}: no such file or folder")
    found = []
    for path in filter(may_hold_data, list_files(root)):
        names = tuple(reversed(path.relative_to(root).parts))
        split = next(filter(None, map(find_split, names)), "")
        found.append(Candidate(path, split, next(filter(None, map(find_locale, (*names, root.resolve().name))), "")))
    return found
