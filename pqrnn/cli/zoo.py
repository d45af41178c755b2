"""`pqrnn zoo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.options import JsonOption
from pqrnn.cli.output import print_json, require_extra, show_table

zoo_app = typer.Typer(no_args_is_help=True, help="Trained parsers that come with pqrnn.")
app.add_typer(zoo_app, name="zoo")


@zoo_app.callback(
    epilog="""Examples:  `pqrnn zoo list`  ·  `pqrnn zoo show mtop-en`  ·  `pqrnn parse mtop-en "wake me at seven"`

Folders of your own parsers are named in $PQRNN_ZOO, divided as in $PATH; they come before the shipped ones."""
)
def _zoo() -> None:
    pass


@zoo_app.command("list", epilog="Example:  `pqrnn zoo list --json`")
def list_zoo(json: JsonOption = False) -> None:
    """List the trained parsers: `pqrnn parse NAME` compiles one for this machine, once, and answers."""
    from pqrnn.zoo.shelf import list_parsers

    found = list_parsers()
    if json:
        print_json([{"folder": str(each.folder), "bytes": each.entry.bytes, "entry": each.entry} for each in found])
        return
    rows = []
    for each in found:
        entry = each.entry
        score = entry.figure("exact match")
        shown = f"{score.value:.1%}" if score is not None else "-"
        rows.append(
            (
                entry.name,
                entry.summary,
                " ".join(entry.languages),
                f"{entry.bytes:,}",
                entry.precision,
                shown,
                entry.licence,
            )
        )
    show_table("zoo", ("name", "for", "languages", "bytes", "weights", "exact match, test", "licence"), rows)


@zoo_app.command(epilog="Example:  `pqrnn zoo show mtop-en`")
def show(name: Annotated[str, typer.Argument(help="A parser by its name.")], json: JsonOption = False) -> None:
    """Show the card of a parser: numbers, data, licence, teacher, how it was made, limits."""
    from pqrnn.zoo.shelf import CARD, find_parser
    from runtime_py.terminal import printable

    parser = find_parser(name)
    if json:
        print_json({"folder": str(parser.folder), "bytes": parser.entry.bytes, "entry": parser.entry})
        return
    typer.echo(printable((parser.folder / CARD).read_text(encoding="utf-8"), lines=True), nl=False)


@zoo_app.command(
    epilog="""Example:
`pqrnn zoo add runs/mtop-en-int8 --name mtop-en --into pqrnn/zoo/checkpoints --data-set mtop
--summary "English voice commands" --results benchmarks/results/quality.json --work "mtop-en distilled int8"
--beside "mtop-en teacher" --teacher "..." --command "pqrnn distill ..."`"""
)
def add(
    run: Annotated[Path, typer.Argument(help="Folder of a trained parser, in int8: it has to be small.")],
    name: Annotated[str, typer.Option(help="That it will be called by: small letters, digits, '-' and '_'.")],
    into: Annotated[Path, typer.Option(help="Folder to put it in; name it in $PQRNN_ZOO.")],
    data_set: Annotated[
        list[str],
        typer.Option(
            "--data-set",
            help="What it learned from: mtop, massive, snips, facebook_multilingual, clinc150, home, home-assistant.",
        ),
    ],
    summary: Annotated[str, typer.Option(help="What it is for, one line.")],
    lang: Annotated[
        str | None, typer.Option(help="Languages it was trained on, as `en,de`, where the checkpoint does not say.")
    ] = None,
    results: Annotated[Path | None, typer.Option(help="File of kept results to take figures from.")] = None,
    work: Annotated[str, typer.Option(help="Its name in that file.")] = "",
    beside: Annotated[
        list[str] | None, typer.Option(help="Another name there to show beside it, as its teacher's.")
    ] = None,
    teacher: Annotated[str, typer.Option(help="Who taught it, in words.")] = "",
    command: Annotated[list[str] | None, typer.Option(help="A command that made it; again for more, in order.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a parser of that name.")] = False,
    json: JsonOption = False,
) -> None:
    """Put a trained parser into a zoo, with a card made from its checkpoint and from kept results.

    Nothing of it is compiled.
    """
    require_extra("train", "torch", "safetensors")
    from pqrnn.zoo.adding import add_parser
    from pqrnn.zoo.card import Story

    added = add_parser(
        run,
        into,
        name,
        data=data_set,
        story=Story(summary=summary, teacher=teacher, commands=tuple(command or ())),
        languages=tuple(filter(None, (lang or "").split(","))),
        results=results,
        work=work,
        beside=beside or (),
        replace=replace,
    )
    if json:
        print_json({"folder": str(added.folder), "bytes": added.entry.bytes, "entry": added.entry})
    else:
        typer.echo(
            f"{added.folder}: {added.entry.bytes:,} bytes, {added.entry.precision}, {len(added.entry.figures)} kept "
            f"figures, {added.entry.licence}"
        )
