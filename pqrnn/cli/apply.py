"""`pqrnn apply`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.options import JsonOption
from pqrnn.cli.output import print_json, say
from pqrnn.errors import PqrnnError


@app.command(epilog="Example:  `pqrnn apply home.pqrnn home-1-2.pqdelta --key home.pub`")
def apply(
    package: Annotated[Path, typer.Argument(help="The package to update, in its place.")],
    update: Annotated[Path | None, typer.Argument(help="The update, from `pqrnn diff`.", show_default=False)] = None,
    key: Annotated[
        list[Path] | None,
        typer.Option("--key", help="A public key that has to have signed it; by default $PQRNN_REQUIRE_SIGNATURE."),
    ] = None,
    back: Annotated[bool, typer.Option("--back", help="Go back to the package before, PACKAGE.previous.")] = False,
    json: JsonOption = False,
) -> None:
    """Apply an update to a package: verified before and after, and checked on this machine before it takes the name.

    If anything is wrong, the package stays what it is. The one before is kept beside it.
    """
    from runtime_py.update.apply import apply_update, go_back

    if (update is None) != back:
        raise PqrnnError("name an update to apply, or say --back to go back to the package before; not both")
    applied = apply_update(package, update, key or None) if update is not None else go_back(package, key or None)
    if json:
        print_json(applied)
    else:
        say(str(applied))
