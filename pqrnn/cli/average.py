"""`pqrnn average`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.data_options import reads_data
from pqrnn.cli.learning import report_training
from pqrnn.cli.locate import find_run
from pqrnn.cli.options import DataOption, DevOption, DevShareOption, JsonOption, LangOption
from pqrnn.cli.output import require_extra


@app.command(
    epilog="Example:  `pqrnn average runs/en-a runs/en-b runs/en-c --data mtop:DATA/mtop/spans --lang en --out runs/en`"
)
@reads_data
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
    dev_share: DevShareOption = 0.1,
    json: JsonOption = False,
) -> None:
    """Average the weights of parsers into one that is as small, and often better than any of them.

    They must have begun from the same trained parser, with other seeds or settings; parsers that began apart do not
    average. The result is scored on the development data, so that you see what it bought.
    """
    require_extra("train", "torch", "safetensors")
    import pqrnn

    with report_training(out, json) as (_, tell):
        tell(pqrnn.average([find_run(run) for run in runs], data, out, lang=lang, dev=dev, dev_share=dev_share))
