"""`pqrnn verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.options import JsonOption
from pqrnn.cli.output import print_json, say


@app.command(epilog="Example:  `pqrnn verify home.pqrnn --key home.pub`")
def verify(
    package: Annotated[Path, typer.Argument(help="A compiled package.")],
    key: Annotated[
        list[Path] | None,
        typer.Option("--key", help="A public key, as often as you like; by default $PQRNN_REQUIRE_SIGNATURE."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All of the keys have to have signed, not just one.")] = False,
    json: JsonOption = False,
) -> None:
    """Verify who signed a package, and that every file is as it was signed; exit code 1 if not.

    No code of the package is run. A signature says who made it, not that it is harmless or right.
    """
    from runtime_py.errors import PackageError
    from runtime_py.trust.verification import verify_package

    try:
        verified = verify_package(package, key or (), every)
    except PackageError as error:
        say(f"failed: {error}", color="red", error=True)
        raise typer.Exit(1) from error
    if json:
        print_json(verified)
    else:
        say(str(verified), color="green")
