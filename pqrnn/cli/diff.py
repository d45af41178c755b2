"""`pqrnn diff`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.options import JsonOption
from pqrnn.cli.output import print_json, say


@app.command(epilog="Example:  `pqrnn diff home-1.pqrnn home-2.pqrnn --out home-1-2.pqdelta`")
def diff(
    old: Annotated[Path, typer.Argument(help="The package that is on the boards, as it is there.")],
    new: Annotated[Path, typer.Argument(help="The package that is to be there; sign it before.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write, `NAME.pqdelta`.")],
    json: JsonOption = False,
) -> None:
    """Write an update: what turns one package into another, for boards that have the first (`pqrnn apply`).

    It is small where the parsers are of one shape: a few kB for another compiler, the heads for a new intent.
    """
    from runtime_py.update.apply import make_update

    made = make_update(old, new, out)
    if json:
        print_json(made)
    else:
        say(f"{out}: {made.bytes:,} bytes, where the whole package has {made.package_bytes:,}")
