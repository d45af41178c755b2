"""What an argument means: a path, or the name of a parser in the zoo."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pqrnn.cli.output import require_extra, say
from pqrnn.errors import ZooError

if TYPE_CHECKING:
    from pqrnn.zoo.shelf import Shelved


def find_run(place: Path) -> Path:
    """Return the folder of a trained parser: the path, or where the zoo has the parser of that name.

    Raises:
        ZooError: it is no path and no name of the zoo, or the parser is damaged.
    """
    from pqrnn.zoo.shelf import check_files, find_parser, is_name

    if place.exists() or not is_name(str(place)):
        return place
    parser = find_parser(str(place))
    check_files(parser)
    return parser.folder


def find_package(place: Path) -> Path:
    """Return the folder of a package: the path, or that of a parser of the zoo.

    The latter is compiled for this machine now if it was not before.

    Raises:
        ZooError: it is no path and no name of the zoo, or the parser is damaged.
        MissingExtraError: it has to be compiled, and nothing is installed for that.
        CompileError: it cannot be compiled.
    """
    from pqrnn.zoo.shelf import find_parser, is_name

    if place.exists() or not is_name(str(place)):
        return place
    parser = find_parser(str(place))
    from pqrnn.zoo.compiled import clear_kept, find_kept, keep_folder, package_name, record_origin
    from runtime_py.cache import check_writable
    from runtime_py.errors import CacheError

    name = package_name(parser)
    try:
        found, problem = find_kept(parser)
        if found is not None:
            return found
        _check_compilable(parser)
        folder = keep_folder()
        check_writable(folder)
        if problem:
            say(f"{parser.entry.name}: what was kept is not used. {problem}", color="yellow", error=True)
            clear_kept(folder / name)
        kept = True
    except CacheError as error:
        _check_compilable(parser)
        folder, kept = _temporary_folder(parser.entry.name, str(error)), False
    _compile(parser, folder / name, kept)
    if kept:
        record_origin(parser, folder / name)
    return folder / name


def _temporary_folder(name: str, problem: str) -> Path:
    """Make a folder that goes when this process ends, and say so."""
    try:
        folder = tempfile.mkdtemp(prefix="pqrnn-zoo-")
    except OSError as error:
        raise ZooError(f"{problem} A temporary folder cannot be made either: {error.strerror or error}") from error
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    typer.secho(f"{name}: compiled for this call alone. {problem}", fg="yellow", err=True)
    return Path(folder)


def _check_compilable(parser: Shelved) -> None:
    from pqrnn.zoo.shelf import check_files

    require_extra("compile", "torch", "safetensors", "iree.compiler", "iree.turbine")
    check_files(parser)


def _compile(parser: Shelved, package: Path, kept: bool) -> None:
    from pqrnn.cli.progress import show_progress

    typer.echo(
        f"{parser.entry.name}: compiling it for this machine and checking that it answers like PyTorch"
        f"{'; this happens once' if kept else ''}",
        err=True,
    )
    with show_progress(quiet=False) as tell:
        from compile.options import CompileOptions
        from compile.pipeline import compile_checkpoint

        options = CompileOptions(replace=True)
        outcome = compile_checkpoint(parser.folder, package, options=options, on_progress=tell)
    where = f", kept in {package}" if kept else ""
    typer.echo(f"{parser.entry.name}: compiled in {sum(outcome.seconds.values()):.0f} s{where}", err=True)
