"""`pqrnn average`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.learning import load_data
from pqrnn.cli.locate import find_run
from pqrnn.cli.options import DataOption, DevOption, JsonOption, LangOption
from pqrnn.cli.output import print_json, require_extra


@app.command(
    epilog="Example:  `pqrnn average runs/en-a runs/en-b runs/en-c --data mtop:DATA/mtop/spans --lang en --out runs/en`"
)
def average(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Folders of trained parsers that went on learning from the same weights (`--initial`).",
            metavar="RUN...",
        ),
    ],
    data: DataOption,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the parser.")],
    lang: LangOption = None,
    dev: DevOption = None,
    json: JsonOption = False,
) -> None:
    """Average the weights of parsers into one that is as small, and often better than any of them.

    They must have begun from the same trained parser, with other seeds or settings; parsers that began apart do not
    average. The result is scored on the development data, so that you see what it bought.
    """
    require_extra("train", "torch", "safetensors")
    from pqrnn.training.weight_averaging import average_checkpoints

    _, development = load_data(data, dev, lang)
    metrics = average_checkpoints([find_run(run) for run in runs], development, out)
    if json:
        print_json({"folder": str(out), "metrics": metrics})
    else:
        typer.echo(f"done: development exact match {metrics['dev']['exact_match']['value']:.2%}, in {out}")
