"""`pqrnn deploy`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.options import JsonOption
from pqrnn.cli.output import print_json, require_extra, say, show_table
from pqrnn.errors import PqrnnError


@app.command(epilog="Example:  `pqrnn deploy home.pqrnn --target raspberry-pi-4 --out home-for-the-pi --archive`")
def deploy(
    package: Annotated[Path, typer.Argument(help="A compiled package.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Bundle to write, a folder.")],
    target: Annotated[
        list[str] | None,
        typer.Option("--target", "-t", help="A variant to ship, as often as you like; by default all but `host`."),
    ] = None,
    archive: Annotated[bool, typer.Option("--archive", help="Write the folder as one `OUT.tar.gz`, too.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a bundle that is there, and its archive with it.")
    ] = False,
    python: Annotated[
        str,
        typer.Option(
            "--python",
            metavar="X.Y",
            help="The board's Python, as `python3 --version` says there, for the commands in the README.",
            show_default=False,
        ),
    ] = "",
    sign_key: Annotated[
        Path | None,
        typer.Option(
            "--sign-key", help="Secret key that signs the bundle's package (`pqrnn keygen`).", show_default=False
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Make a bundle for a board: the package with the chosen variants, a wheel that runs it, and a page that says how.

    `pip install` of that wheel fetches NumPy, iree-base-runtime and msgspec: no compiler, no PyTorch.
    """
    require_extra("compile", "hatchling")
    _check_package(package)
    from compile.packaging.bundle import deploy as make_bundle

    bundle = make_bundle(package, out, target or (), archive, replace, python, sign_key)
    for name, reason in bundle.unverified.items():
        say(f"unverified: {name}: {reason}", color="yellow", error=True)
    if bundle.unsigned:
        say(
            f"unsigned: {', '.join(each[:16] for each in bundle.unsigned)} signed the whole package, and variants are "
            "left out here; sign this one: --sign-key",
            color="yellow",
            error=True,
        )
    if json:
        print_json(
            {
                "bundle": str(out),
                "archive": f"{out}.tar.gz" if archive else None,
                **{name: getattr(bundle, name) for name in bundle.__struct_fields__},
            }
        )
        return
    rows = [
        ("package", f"{bundle.package}: {', '.join(bundle.variants)}"),
        ("wheel", bundle.wheel),
        ("conformance file", bundle.conformance),
        ("size", f"{bundle.bytes:,} bytes"),
        ("signed by", ", ".join(each[:16] for each in bundle.signers) or "nobody"),
        ("next", f"copy {f'{out}.tar.gz' if archive else out} to the board and follow README.txt in it"),
    ]
    show_table(str(out), ("part", "what"), rows)


def _check_package(package: Path) -> None:
    """Say what to do where a parser of the zoo is named, which is compiled for this machine and not for boards."""
    from pqrnn.zoo.shelf import find_parser, is_name

    if not package.exists() and is_name(str(package)):
        name = find_parser(str(package)).entry.name
        raise PqrnnError(
            f"{name} is a parser of the zoo, and a bundle is made from a package for the board: "
            f"pqrnn compile {name} --target raspberry-pi-4 --out {name}.pqrnn ('pqrnn targets' lists all)"
        )
