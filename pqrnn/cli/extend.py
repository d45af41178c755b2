"""`pqrnn extend`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.data_options import reads_data
from pqrnn.cli.learning import report_training
from pqrnn.cli.locate import find_run
from pqrnn.cli.options import (
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
from pqrnn.recipes.extend_settings import ExtendRecipe

_EPILOG = """Examples:

`pqrnn extend runs/kitchen --data fan.toml`  the data of the run are still there: they say what it is to keep

`pqrnn extend snips-en --data fan.jsonl --old-data DATA/snips --out runs/snips-and-fan`  a parser of the zoo, whose data
you have

`pqrnn extend mtop-en --data fan.toml`  without them: only what is new learns, the rest stays as it is

A grammar for `--data` needs one intent: `[intents]` and `fan_on = ["turn the {room} fan on", "{room} fan on"]`. Then
`pqrnn compile OUT --out fan.pqrnn`."""


@app.command(epilog=_EPILOG)
@takes_recipe(ExtendRecipe(), without=("training.swap",))
@reads_data
def extend(
    run: RunArgument,
    data: Annotated[
        str,
        typer.Option(
            "--data",
            help="Labelled utterances of the new commands, 5 to 50 of each or more: a grammar, a file or a folder.",
        ),
    ],
    recipe: ExtendRecipe,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder for the extended parser; by default RUN-extended. An unfinished run in it is taken up again.",
            show_default=False,
        ),
    ] = None,
    old_data: Annotated[
        list[str] | None,
        typer.Option(
            "--old-data",
            help="Data with texts that the parser is to go on answering as it does, as often as you like; by default "
            "those that it was trained on, where they are still there.",
            show_default=False,
        ),
    ] = None,
    new_wins: Annotated[
        bool,
        typer.Option(
            "--new-wins", help="Where a text has another intent in the old data, learn the new one instead of stopping."
        ),
    ] = False,
    out_of_scope: Annotated[
        list[str] | None,
        typer.Option(
            help="Data whose texts are out of scope, for the scores, as in `pqrnn calibrate`.", show_default=False
        ),
    ] = None,
    lang: LangOption = None,
    dev: DevOption = None,
    dev_share: DevShareOption = 0.1,
    restart: RestartOption = False,
    finish: FinishOption = False,
    json: JsonOption = False,
) -> None:
    """Teach a trained parser further commands, in minutes, while it keeps what it knew.

    The parser answers old texts as it is, and learns these answers beside the gold labels of the new rows: what it
    knew is not forgotten. Its labels keep their numbers, new intents and slots come behind them. A parser in 8 bits
    stays one in 8 bits. At the end stands what old texts lost and how many new ones are right. A stop at any time loses
    nothing: the same command goes on.
    """
    require_extra("train", "torch", "safetensors", "matplotlib")
    import pqrnn

    out = out or Path(f"{run}-extended")
    with report_training(out, json) as (reporter, tell):
        outcome = pqrnn.extend(
            find_run(run),
            data,
            out,
            old_data=old_data or (),
            new_wins=new_wins,
            recipe=recipe,
            out_of_scope=out_of_scope or (),
            lang=lang,
            dev=dev,
            dev_share=dev_share,
            restart=restart,
            finish=finish,
            reporter=reporter,
            on_answers=reporter.answers,
        )
        found = outcome.metrics["extension"]
        tell(
            outcome,
            f"; old texts ({found['old_texts']}) {found['old_before']['value']:.2%} before, "
            f"{found['old']['value']:.2%} now; new ones {found['new']['value']:.2%} of {found['new']['n']}",
        )
