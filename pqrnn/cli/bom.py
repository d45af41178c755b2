"""`pqrnn bom`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.output import print_json, say


@app.command(epilog="Example:  `pqrnn bom home.pqrnn --data-set home --out home.cdx.json`")
def bom(
    package: Annotated[Path, typer.Argument(help="A compiled package.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write; by default it is printed.", show_default=False)
    ] = None,
    data_set: Annotated[
        list[str] | None,
        typer.Option(
            "--data-set",
            help="A data set that it learned from, by its name in `pqrnn/zoo/data_sets.toml`; parsers of the zoo know.",
        ),
    ] = None,
    licence: Annotated[
        str,
        typer.Option("--licence", help="Licence of the weights; by default the strictest of the data sets."),
    ] = "",
) -> None:
    """Write the bill of materials of a package: data sets, licences, digests, versions, scores (CycloneDX 1.6)."""
    from pqrnn.bom import make_bom

    document = make_bom(package, data_set or (), licence)
    if out is None:
        print_json(document)
        return
    import msgspec

    from runtime_py.atomic_files import write_atomic

    write_atomic(out, msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
    say(f"{out}: {len(document['components'])} components of {package}")
