"""`pqrnn parse`."""

from __future__ import annotations

from typing import Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.locate import find_package
from pqrnn.cli.options import DeviceOption, JsonOption, PackageArgument, VariantOption


@app.command(
    epilog="""Examples:  `pqrnn parse home.pqrnn "dim the bedroom lamp"`  or, a text a line,
`pqrnn parse home.pqrnn --json < commands.txt`"""
)
def parse(
    package: PackageArgument,
    text: Annotated[
        list[str] | None,
        typer.Argument(help="Texts; none, or `-`: one a line from standard input, which need not be valid UTF-8."),
    ] = None,
    variant: VariantOption = None,
    device: DeviceOption = "auto",
    truncate: Annotated[
        bool,
        typer.Option(
            "--truncate", help="Read what fits of a text that is too long, and say so, instead of refusing it."
        ),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Parse texts with a compiled package: intent and slots, with --json one JSON object a line.

    A text that is too long is named and left out (with --json an object with `error` stands in its place), and the exit
    code is 2.
    """
    from runtime_py import Parser
    from runtime_py.streams import texts_to_parse
    from runtime_py.tools.parse_texts import parse_texts

    with Parser.load(
        find_package(package), variant=variant, device=device, on_long="truncate" if truncate else "error"
    ) as parser:
        code = parse_texts(parser, texts_to_parse(text), json)
    if code:
        raise typer.Exit(code)
