"""`pqrnn quantize`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.data_options import reads_data
from pqrnn.cli.learning import report_training
from pqrnn.cli.locate import find_run
from pqrnn.cli.options import (
    DataOption,
    DevOption,
    DevShareOption,
    FinishOption,
    JsonOption,
    LangOption,
    RestartOption,
    RunArgument,
)
from pqrnn.cli.output import require_extra
from pqrnn.cli.recipe_options import takes_recipe
from pqrnn.recipes.recipes import QuantizeRecipe

_EPILOG = """Examples:

`pqrnn quantize runs/en --data mtop:DATA/mtop/spans --lang en --out runs/en-int8`

`pqrnn quantize runs/en --data mtop:DATA/mtop/spans --lang en --lessons runs/en/lessons --epochs 3 -o runs/en-int8`

`pqrnn quantize runs/en --data mtop:DATA/mtop/spans --lang en --bits 4 -o runs/en-4bit`"""


@app.command("quantise", hidden=True)
@app.command("quantize", epilog=_EPILOG)
@takes_recipe(QuantizeRecipe())
@reads_data
def quantize(
    run: RunArgument,
    data: DataOption,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="Folder for the parser in 8 bits. An unfinished run in it is taken up again."),
    ],
    recipe: QuantizeRecipe,
    lang: LangOption = None,
    dev: DevOption = None,
    dev_share: DevShareOption = 0.1,
    lessons: Annotated[
        Path | None,
        typer.Option(
            help="A teacher's answers (`pqrnn distill` leaves them in OUT/lessons), to learn from as in distillation."
        ),
    ] = None,
    restart: RestartOption = False,
    finish: FinishOption = False,
    json: JsonOption = False,
) -> None:
    """Turn a trained parser into one in 8 bits: a quarter of the bytes, and faster.

    Weights and activations become int8, sums int32: what is evaluated, compiled and shipped computes in integers. Give
    the data that the parser was trained on: they say how large activations become. With `--bits 4` weights have 4 bits,
    two in a byte, rounded so that what each layer says of these data changes least. With `--epochs` the parser goes on
    learning under its roundings, with the settings of its own training.
    """
    require_extra("train", "torch", "safetensors", "matplotlib")
    import pqrnn

    source = find_run(run)
    with report_training(out, json) as (reporter, tell):
        outcome = pqrnn.quantize(
            source,
            data,
            out,
            recipe=recipe,
            logits=lessons,
            lang=lang,
            dev=dev,
            dev_share=dev_share,
            restart=restart,
            finish=finish,
            reporter=reporter,
        )
        before = pqrnn.load_checkpoint(source).facts.metrics["dev"]["exact_match"]["value"]
        tell(outcome, f" (in float32 {before:.2%})")
