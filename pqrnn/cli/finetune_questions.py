"""`pqrnn finetune-questions`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.learning import describe_stop
from pqrnn.cli.options import FinishOption, JsonOption, RestartOption
from pqrnn.cli.output import print_json, require_extra, say
from pqrnn.cli.recipe_options import takes_recipe
from pqrnn.recipes.question_settings import FinetuneQuestionsRecipe

_EPILOG = """Examples:

`pqrnn finetune-questions --data squad/train-v1.1.json --out runs/questions`

`pqrnn finetune-questions --initial runs/questions --adaptive --data squad/train-v1.1.json --out runs/adaptive`
"""


@app.command("finetune-questions", epilog=_EPILOG)
@takes_recipe(FinetuneQuestionsRecipe())
def finetune_questions(
    data: Annotated[Path, typer.Option("--data", help="A file of SQuAD 1.1, plain or gzip.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the model. An unfinished run in it is taken up again.")
    ],
    recipe: FinetuneQuestionsRecipe,
    initial: Annotated[
        Path | None,
        typer.Option(help="A model of the same encoder to go on from.", show_default=False),
    ] = None,
    restart: RestartOption = False,
    finish: FinishOption = False,
    json: JsonOption = False,
) -> None:
    """Fine-tune a pre-trained encoder to answer questions from a text.

    It learns where the answer begins and where it ends. The last weights are kept: score them with
    `pqrnn evaluate-questions`. Stop it whenever you like: the same command goes on.
    """
    require_extra("teacher", "torch", "safetensors", "transformers")
    import pqrnn
    from pqrnn.cli.training_bar import TrainingBar
    from pqrnn.distributed import process_group

    try:
        with process_group(), TrainingBar(quiet=json) as reporter:
            outcome = pqrnn.finetune_questions(
                data, out, recipe=recipe, initial=initial, restart=restart, finish=finish, reporter=reporter
            )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(describe_stop(out)) from None
    facts = outcome.facts
    if json:
        document = {"ended": outcome.ended, "steps": facts.steps, "loss": facts.loss, "parameters": facts.parameters}
        print_json({"folder": str(outcome.folder), **document})
        return
    say(
        f"{outcome.ended}: {facts.steps:,} steps, loss {facts.loss:.3f}, in {outcome.folder}; next: "
        f"pqrnn compile {outcome.folder}"
    )
