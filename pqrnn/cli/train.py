"""`pqrnn train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.data_options import reads_data
from pqrnn.cli.learning import report_training
from pqrnn.cli.locate import find_run
from pqrnn.cli.options import DataOption, DevOption, DevShareOption, FinishOption, JsonOption, LangOption, RestartOption
from pqrnn.cli.output import require_extra
from pqrnn.cli.recipe_options import takes_recipe
from pqrnn.recipes.recipes import TrainRecipe


@app.command(epilog="Example:  `pqrnn train --data mtop:DATA/mtop/spans --lang en --out runs/mtop-en`")
@takes_recipe(TrainRecipe())
@reads_data
def train(
    data: DataOption,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="Folder for checkpoint, log and learning curves. An unfinished run in it is taken up again.",
        ),
    ],
    recipe: TrainRecipe,
    lang: LangOption = None,
    dev: DevOption = None,
    dev_share: DevShareOption = 0.1,
    initial: Annotated[
        Path | None,
        typer.Option(
            help="An encoder of words to begin with (`pqrnn distill-encoder`), or a trained parser of the same shape "
            "and labels."
        ),
    ] = None,
    restart: RestartOption = False,
    finish: FinishOption = False,
    json: JsonOption = False,
) -> None:
    """Train a parser on labelled utterances.

    Stop it whenever you like (Ctrl-C, power cut): the same command goes on where it was and ends in the same weights.
    `--finish`, or `kill -USR1` while it goes on, ends it early and keeps the best epoch.
    """
    require_extra("train", "torch", "safetensors", "matplotlib")
    import pqrnn

    with report_training(out, json) as (reporter, tell):
        tell(
            pqrnn.train(
                data,
                out,
                recipe=recipe,
                initial=find_run(initial) if initial is not None else None,
                lang=lang,
                dev=dev,
                dev_share=dev_share,
                restart=restart,
                finish=finish,
                reporter=reporter,
            )
        )
