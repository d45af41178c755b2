"""`pqrnn sign`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.options import JsonOption
from pqrnn.cli.output import print_json, say


@app.command(epilog="Example:  `pqrnn sign home.pqrnn --key ~/keys/home.key`")
def sign(
    package: Annotated[Path, typer.Argument(help="A compiled package.")],
    key: Annotated[Path, typer.Option("--key", help="The secret key, with mode 0600 (`pqrnn keygen`).")],
    json: JsonOption = False,
) -> None:
    """Sign a package: whoever has your public key can then tell that it comes from you and was not changed.

    The signature is a file in the package, beside those of others. It covers the manifest and every file that this
    lists, so sign last; certificates that boards add later do not break it. A password of the key is taken from
    $PQRNN_KEY_PASSWORD.
    """
    from runtime_py.trust.signatures import sign_package

    signed = sign_package(package, key.expanduser())
    if json:
        print_json(signed)
    else:
        say(f"{package}: signed by {signed.fingerprint[:16]}, in {signed.file}")
