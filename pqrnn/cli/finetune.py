"""`pqrnn finetune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.data_options import reads_data
from pqrnn.cli.learning import report_training
from pqrnn.cli.options import DataOption, DevOption, DevShareOption, FinishOption, JsonOption, LangOption, RestartOption
from pqrnn.cli.output import require_extra
from pqrnn.cli.recipe_options import takes_recipe
from pqrnn.recipes.recipes import FinetuneRecipe


@app.command(
    epilog="Example:  `pqrnn finetune --encoder minilm --data mtop:DATA/mtop/spans --lang en --out runs/teacher-en`"
)
@takes_recipe(FinetuneRecipe())
@reads_data
def finetune(
    data: DataOption,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the teacher. An unfinished run in it is taken up again.")
    ],
    recipe: FinetuneRecipe,
    lang: LangOption = None,
    dev: DevOption = None,
    dev_share: DevShareOption = 0.1,
    initial: Annotated[
        Path | None,
        typer.Option(
            help="A teacher of the same encoder to go on from, as from one language to others; labels are matched by "
            "name."
        ),
    ] = None,
    restart: RestartOption = False,
    finish: FinishOption = False,
    json: JsonOption = False,
) -> None:
    """Fine-tune a pre-trained encoder on labelled utterances: a teacher for `pqrnn distill`.

    It learns the intent and a tag at the first subword of every word, for the words that the student reads. Without an
    encoder for your languages, `pqrnn train` a wide parser: `distill` takes it as a teacher as well. Stop it whenever
    you like: the same command goes on.
    """
    require_extra("teacher", "torch", "safetensors", "matplotlib", "transformers")
    import pqrnn

    with report_training(out, json) as (reporter, tell):
        tell(
            pqrnn.finetune(
                data,
                out,
                recipe=recipe,
                initial=initial,
                lang=lang,
                dev=dev,
                dev_share=dev_share,
                restart=restart,
                finish=finish,
                reporter=reporter,
            )
        )
