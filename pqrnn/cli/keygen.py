"""`pqrnn keygen`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from pqrnn.cli.app import app
from pqrnn.cli.options import JsonOption
from pqrnn.cli.output import print_json, say


@app.command(epilog="Example:  `pqrnn keygen ~/keys/home`")
def keygen(
    name: Annotated[Path, typer.Argument(help="Path of the new keys without an ending.")],
    kind: Annotated[
        Literal["ed25519", "ecdsa"],
        typer.Option("--kind", help="`ecdsa` (P-256) is what OpenSSF's own `model_signing` verifies, too."),
    ] = "ed25519",
    json: JsonOption = False,
) -> None:
    """Make a pair of keys: NAME.key, which signs and stays secret, and NAME.pub, which verifies and goes to the boards.

    Nothing is written over. Whoever has NAME.key signs in your name: keep it off the boards, and in a safe place.
    """
    from runtime_py.trust.keys import make_keys

    key = make_keys(name.expanduser(), kind)
    if json:
        print_json({"secret": f"{name}.key", "public": f"{name}.pub", "fingerprint": key.fingerprint})
    else:
        say(f"{name}.key: the secret key, for `pqrnn sign`\n{name}.pub: the public key, {key.fingerprint[:16]}")
