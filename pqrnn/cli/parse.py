"""`pqrnn parse`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.locate import find_package
from pqrnn.cli.options import DeviceOption, EngineOption, JsonOption, PackageArgument, VariantOption, read_share


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
    engine: EngineOption = "auto",
    truncate: Annotated[
        bool,
        typer.Option(
            "--truncate", help="Read what fits of a text that is too long, and say so, instead of refusing it."
        ),
    ] = False,
    min_score: Annotated[
        str | None,
        typer.Option(
            help="Reject parses of a smaller probability: a number from 0 to 1, or `recommended` for the threshold of "
            "the package's calibration. A rejected parse is shown as the best guess.",
            show_default=False,
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="What an answer may cost (`pqrnn budget`): a share of the whole network's multiplications up to 1, "
            "more as their number, or the name of a budget. The most accurate part of the network within it answers.",
            show_default=False,
        ),
    ] = None,
    alternatives: Annotated[int, typer.Option(min=0, help="Also name so many of the most probable intents.")] = 0,
    several: Annotated[
        bool, typer.Option("--all", help="A text may hold several commands, as `lights off and lock the door`.")
    ] = False,
    normalise: Annotated[
        bool,
        typer.Option(
            "--normalise",
            help="Read numbers, times, durations, temperatures and money from slots with well-known names. "
            "Needs the extra `normalise`.",
        ),
    ] = False,
    values: Annotated[
        Path | None,
        typer.Option(
            help="Names of slots, texts with their values, and kinds of slots: TOML (also a grammar), or JSON as "
            "`pqrnn data values` writes it.",
            show_default=False,
        ),
    ] = None,
    locale: Annotated[
        str,
        typer.Option(
            help="Language of what is normalised, as `de` or `en-US`; by default that which the package's name ends "
            "with.",
            show_default=False,
        ),
    ] = "",
    zone: Annotated[
        str, typer.Option(help="Time zone of moments, as `Europe/Berlin`; by default none.", show_default=False)
    ] = "",
    now: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="The time from which *tomorrow* is counted, as `2026-11-25T10:00`; by default now.",
            show_default=False,
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Parse texts with a compiled package: intent and slots, with --json one JSON object a line.

    A text that is too long is named and left out (with --json an object with `error` stands in its place), and the exit
    code is 2.
    """
    from runtime_py import Parser
    from runtime_py.package_format.budgets import read_budget
    from runtime_py.streams import texts_to_parse
    from runtime_py.tools.parse_texts import parse_texts
    from runtime_py.values.files import add_values

    with Parser.load(
        find_package(package),
        engine=engine,
        variant=variant,
        device=device,
        on_long="truncate" if truncate else "error",
        min_score=read_share(min_score),
        budget=None if budget is None else read_budget(budget),
    ) as parser:
        told = add_values(parser, path=values, normalise=normalise, locale=locale, zone=zone, now=now)
        code = parse_texts(told, texts_to_parse(text), json, alternatives, several)
    if code:
        raise typer.Exit(code)
