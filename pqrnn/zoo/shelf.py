"""Which trained parsers there are.

Reads small files only, so that a parser that was compiled before is found without PyTorch.

A parser is a folder on a shelf: `checkpoint.json` and `model.safetensors` (`pqrnn.checkpoint`), `entry.json` with what
is known of it, and `card.md`, the same for people. Shelves are the folders of `$PQRNN_ZOO` and the one of this package;
of two parsers of one name the first is taken.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import msgspec

from pqrnn.errors import ZooError
from pqrnn.evaluation.results import ResultRow
from pqrnn.zoo.shipped import ENTRIES
from runtime_py.bounded_files import read_bounded, shorten
from runtime_py.json_errors import JSON_ERRORS
from runtime_py.package_format.file_entry import FileEntry, describe_file

FORMAT = 1
_LARGEST_ENTRY = 4 << 20  # bytes
VARIABLE = "PQRNN_ZOO"
SHIPPED = Path(__file__).with_name("checkpoints")
ENTRY, CARD = "entry.json", "card.md"


class ZooEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is known of a trained parser.

    Attributes:
        format: Format of this file.
        name: Name that `pqrnn parse` takes.
        summary: One line for tables.
        languages: Languages that it was trained on, such as `en`.
        licence: Licence of the weights.
        data: Names of the data sets (`pqrnn.zoo.data_sets`) that it learned from.
        parameters: Number of parameters of the model as it ships.
        precision: Precision of the weights, "int8", "4 bits" or "float32".
        work: Name under which its own figures are kept.
        figures: Kept results, its own and its teacher's.
        files: Files of the checkpoint.
        revision: Commit of the code that trained it.
    """

    format: int = FORMAT
    name: str
    summary: str
    languages: tuple[str, ...]
    licence: str
    data: tuple[str, ...]
    parameters: int
    precision: str
    work: str
    figures: tuple[ResultRow, ...]
    files: dict[str, FileEntry]
    revision: str

    @property
    def bytes(self) -> int:
        """Size of the checkpoint."""
        return sum(each.bytes for each in self.files.values())

    def figure(self, metric: str) -> ResultRow | None:
        """Return one of its own figures."""
        return next((each for each in self.figures if each.work == self.work and each.metric == metric), None)


class Shelved(NamedTuple):
    """An entry and the folder that it describes."""

    folder: Path
    entry: ZooEntry


def shelves() -> list[Path]:
    """Return the folders that hold parsers: those of $PQRNN_ZOO, divided as in $PATH, then the shipped one."""
    return [*(Path(each) for each in os.environ.get(VARIABLE, "").split(os.pathsep) if each), SHIPPED]


def list_parsers() -> list[Shelved]:
    """Return every parser, by name.

    Raises:
        ZooError: an entry cannot be read.
    """
    found: dict[str, Shelved] = {}
    for shelf in shelves():
        for path in sorted(shelf.glob(f"*/{ENTRY}")):
            found.setdefault(path.parent.name, Shelved(path.parent, read_entry(path.parent)))
    return [found[name] for name in sorted(found)]


def find_parser(name: str) -> Shelved:
    """Look a parser up by its name.

    Raises:
        ZooError: there is none, or its entry cannot be read.
    """
    for shelf in shelves():
        if (shelf / name / ENTRY).is_file():
            return Shelved(shelf / name, read_entry(shelf / name))
    names = sorted({path.parent.name for shelf in shelves() for path in shelf.glob(f"*/{ENTRY}")})
    raise ZooError(
        f"{name}: neither a file here nor a parser of the zoo, which has: {', '.join(names) or 'none'} "
        "(`pqrnn zoo list`)"
    )


def is_name(text: str) -> bool:
    """Say whether a text may be the name of a parser, which a path with folders or a suffix is not."""
    return text.isascii() and text.replace("-", "").replace("_", "").isalnum() and text == text.lower()


def read_entry(folder: Path) -> ZooEntry:
    """Read `entry.json`.

    Raises:
        ZooError: it is missing, not of this format, or of the shipped shelf and not what came with pqrnn.
    """
    path = folder / ENTRY
    try:
        content = read_bounded(path, _LARGEST_ENTRY)
        entry = msgspec.json.decode(content, type=ZooEntry)
    except (OSError, *JSON_ERRORS) as error:
        raise ZooError(f"{path}: {shorten(error)}; `pqrnn zoo add` writes this file") from error
    if folder.parent == SHIPPED and hashlib.sha256(content).hexdigest() != ENTRIES.get(folder.name):
        raise ZooError(
            f"{path}: was changed or damaged: it is not what came with pqrnn (`pqrnn.zoo.shipped`). Install it again"
        )
    if entry.format != FORMAT or entry.name != folder.name:
        raise ZooError(
            f"{path}: format {entry.format}, name {entry.name!r}; expected format {FORMAT} and the name of its "
            "folder. Add the parser again"
        )
    return entry


def check_files(parser: Shelved) -> None:
    """Compare the files of a checkpoint with their digests.

    Raises:
        ZooError: one is missing, or not what the entry says.
    """
    for name, fact in parser.entry.files.items():
        path = parser.folder / name
        if not path.is_file() or describe_file(path) != fact:
            raise ZooError(
                f"{path}: missing or not what its entry says; install pqrnn again, or add the parser again (`pqrnn "
                f"zoo add`)"
            )
