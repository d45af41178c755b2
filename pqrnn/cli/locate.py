"""What an argument means: a path, or the name of a parser in the zoo."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pqrnn.cli.output import require_extra
from pqrnn.errors import ZooError

if TYPE_CHECKING:
    from pqrnn.zoo.shelf import Shelved


def find_run(place: Path) -> Path:
    """Return the folder of a trained parser: the path, or where the zoo has the parser of that name.

    Raises:
        ZooError: it is no path and no name of the zoo.
    """
    from pqrnn.zoo.shelf import find_parser, is_name

    return place if place.exists() or not is_name(str(place)) else find_parser(str(place)).folder


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
    from pqrnn.zoo.compiled import package_path
    from runtime_py.package_format.manifest import MANIFEST_NAME

    package = package_path(parser)
    if not (package / MANIFEST_NAME).is_file():
        _compile(parser, package)
    return package


def _compile(parser: Shelved, package: Path) -> None:
    require_extra("compile", "torch", "safetensors", "iree.compiler", "iree.turbine")
    for name, fact in parser.entry.files.items():
        path = parser.folder / name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != fact.sha256:
            raise ZooError(
                f"{path}: missing or not what its entry says; install pqrnn again, or add the parser again (`pqrnn "
                f"zoo add`)"
            )
    from pqrnn.cli.progress import show_progress

    typer.echo(
        f"{parser.entry.name}: compiling it for this machine and checking that it answers like PyTorch; this happens "
        f"once",
        err=True,
    )
    with show_progress(quiet=False) as tell:
        from compile.options import CompileOptions
        from compile.pipeline import compile_checkpoint

        options = CompileOptions(replace=True)
        outcome = compile_checkpoint(parser.folder, package, options=options, on_progress=tell)
    typer.echo(f"{parser.entry.name}: compiled in {sum(outcome.seconds.values()):.0f} s, kept in {package}", err=True)
