"""`pqrnn distill-encoder`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.learning import describe_stop
from pqrnn.cli.options import JsonOption, LangOption, RestartOption
from pqrnn.cli.output import print_json, require_extra, say
from pqrnn.cli.recipe_options import takes_recipe
from pqrnn.recipes.encoder_settings import DistillEncoderRecipe

if TYPE_CHECKING:
    from pqrnn.encoders.run import EncoderOutcome

_EPILOG = """Examples:

`pqrnn distill-encoder --teacher minilm --data mtop:DATA/mtop/spans --lang en --text sentences.txt --out runs/encoder`,
then `pqrnn train --network transformer --layers 3 --initial runs/encoder --data mtop:DATA/mtop/spans --out runs/en`

`pqrnn distill-encoder --input subwords --objective hs --teacher minilm --text sentences.txt --out runs/small-bert`,
then `pqrnn finetune --encoder runs/small-bert --data mtop:DATA/mtop/spans --out runs/teacher`
"""


@app.command("distill-encoder", epilog=_EPILOG)
@takes_recipe(DistillEncoderRecipe())
def distill_encoder(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the encoder. An unfinished run in it is taken up again.")
    ],
    recipe: DistillEncoderRecipe,
    teacher: Annotated[
        str,
        typer.Option(
            "--teacher",
            help="Encoder of BERT's family: `minilm` (English, installed as a package), a folder in the Hugging Face "
            "layout, or an id on the Hugging Face hub.",
        ),
    ] = "minilm",
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data", help="Data whose texts (not labels) are learned from; texts of their test splits are left out."
        ),
    ] = None,
    text: Annotated[
        list[Path] | None, typer.Option("--text", help="A plain file with a text on each line, also gzip.")
    ] = None,
    lang: LangOption = None,
    restart: RestartOption = False,
    finish: Annotated[
        bool,
        typer.Option("--finish", help="End the unfinished run in --out where it is, and keep what it has learned."),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Distil a small encoder from a large one, without labels and without a task.

    The student learns to relate words (`--objective mha`), to see them (`hs`) or to guess hidden ones (`od`) as the
    teacher does. What comes of it is no parser yet: `pqrnn train --initial`, or `pqrnn finetune --encoder` for a
    student of subwords, makes one of it. Stop it whenever you like: the same command goes on.
    """
    require_extra("teacher", "torch", "safetensors", "transformers")
    import pqrnn
    from pqrnn.cli.training_bar import TrainingBar
    from pqrnn.distributed import process_group

    try:
        with process_group(), TrainingBar(quiet=json) as reporter:
            outcome = pqrnn.distill_encoder(
                teacher,
                out,
                data=data or [],
                text=text or [],
                recipe=recipe,
                lang=lang,
                restart=restart,
                finish=finish,
                reporter=reporter,
            )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(describe_stop(out)) from None
    _tell(outcome, json)


def _tell(outcome: EncoderOutcome, json: bool) -> None:
    facts = outcome.facts
    if json:
        print_json(
            {
                "folder": str(outcome.folder),
                "ended": outcome.ended,
                "input": facts.input,
                "steps": facts.steps,
                "held_out": facts.held_out,
                "parameters": facts.parameters,
            }
        )
        return
    following = "pqrnn train --initial" if facts.input == "words" else "pqrnn finetune --encoder"
    say(
        f"{outcome.ended}: {facts.parameters:,} parameters, loss on held-out texts {facts.held_out:.4f}, in "
        f"{outcome.folder}; next: {following} {outcome.folder}"
    )
