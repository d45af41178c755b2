"""Kept results: one JSON file a benchmark, written by the benchmark itself and by nothing else."""

from __future__ import annotations

import datetime
import json
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.environment import describe_environment
from pqrnn.checkpoint import read_revision
from pqrnn.evaluation.results import ResultRow
from runtime_py.atomic_files import write_atomic

FOLDER = Path(__file__).parent / "results"


class ResultFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A kept result: its rows, and what produced them.

    Attributes:
        name: Name of the result.
        date: Time of the last measurement (UTC).
        revision: Git commit of the code; "+" after it where the tree had changes.
        command: Commands that made the rows, one a line.
        environment: The machine and the versions of what ran.
        rows: The figures.
    """

    name: str
    date: str
    revision: str
    command: str
    environment: dict[str, Any]
    rows: list[ResultRow]


def load_results(name: str) -> ResultFile:
    """Read a kept result.

    Raises:
        FileNotFoundError: Nothing was kept under that name.
        msgspec.ValidationError: The file is not of this form.
    """
    return msgspec.json.decode((FOLDER / f"{name}.json").read_bytes(), type=ResultFile)


def tell_command(module: str) -> str:
    """Return the command of this process as others would type it, with the home folder as `~`."""
    home = f"{Path.home()}/"
    arguments = (
        f"~/{shlex.quote(argument.removeprefix(home))}" if argument.startswith(home) else shlex.quote(argument)
        for argument in sys.argv[1:]
    )
    return " ".join([f"python -m {module}", *arguments])


def keep_results(
    name: str, rows: Sequence[ResultRow], command: str, *, replace_works: Iterable[str] | None = None
) -> ResultFile:
    """Write rows under a name, atomically, and print them as one JSON line.

    Args:
        name: Name of the result, without a suffix.
        rows: The new figures.
        command: Command that reproduces them.
        replace_works: Works whose earlier rows are replaced, while those of others are kept; None replaces the whole
            file.
    """
    works = None if replace_works is None else set(replace_works)
    return _write(name, rows, command, lambda row: works is not None and row.work not in works, _named_work(command))


def merge_results(name: str, rows: Sequence[ResultRow], command: str, *, notes_tell_apart: bool = True) -> ResultFile:
    """Add rows to those that are kept, otherwise as `keep_results` does.

    A row replaces the kept one about the same work, metric, peer and, where `notes_tell_apart`, note.
    """

    def about(row: ResultRow) -> tuple[str | None, ...]:
        return row.work, row.metric, row.peer, row.note if notes_tell_apart else None

    new = {about(row) for row in rows}
    return _write(name, rows, command, lambda row: about(row) not in new)


def _write(
    name: str, rows: Sequence[ResultRow], command: str, stays: Callable[[ResultRow], bool], anew: str = ""
) -> ResultFile:
    """Write rows beside those that stay.

    Where all rows of the work `anew` are made anew, earlier commands for it have nothing left to show.
    """
    kept: list[ResultRow] = []
    commands = [command]
    if (FOLDER / f"{name}.json").is_file():
        earlier = load_results(name)
        kept = [row for row in earlier.rows if stays(row)]
        if kept:
            commands = [
                other
                for other in earlier.command.split("\n")
                if other != command and not (anew and _named_work(other) == anew)
            ] + [command]
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    result = ResultFile(
        name=name,
        date=date,
        revision=read_revision(),
        command="\n".join(commands),
        environment=describe_environment(),
        rows=[*kept, *rows],
    )
    write_atomic(FOLDER / f"{name}.json", msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
    print_rows(name, rows)
    return result


def _named_work(command: str) -> str:
    """Return what a command gives as `--work`, and as `--average` where it has that; empty where it has neither."""
    words = shlex.split(command)
    return " / ".join(value for option, value in pairwise(words) if option in ("--work", "--average"))


def print_rows(name: str, rows: Sequence[ResultRow]) -> None:
    """Print rows as one JSON line, which is the last of every benchmark."""
    print(json.dumps({"name": name, "rows": [msgspec.to_builtins(row) for row in rows]}))
