"""`pqrnn distill`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.data_options import reads_data
from pqrnn.cli.learning import report_training
from pqrnn.cli.locate import find_run
from pqrnn.cli.options import DataOption, DevOption, DevShareOption, FinishOption, JsonOption, LangOption
from pqrnn.cli.output import require_extra
from pqrnn.cli.recipe_options import takes_recipe
from pqrnn.recipes.recipes import DistillRecipe

_EPILOG = (
    "Example:  `pqrnn distill --teacher runs/teacher-en --data mtop:DATA/mtop/spans --lang en --out "
    "runs/mtop-en-distilled`"
)


@app.command(epilog=_EPILOG)
@takes_recipe(DistillRecipe(), without=("training.swap",))
@reads_data
def distill(
    teacher: Annotated[
        list[Path],
        typer.Option(
            "--teacher", help="Folder of a teacher (`pqrnn finetune`, or a larger parser); several are averaged."
        ),
    ],
    data: DataOption,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the student. An unfinished run in it is taken up again.")
    ],
    recipe: DistillRecipe,
    lang: LangOption = None,
    dev: DevOption = None,
    dev_share: DevShareOption = 0.1,
    unlabelled: Annotated[
        list[str] | None,
        typer.Option(
            "--unlabelled",
            help="Further data whose texts (not labels) the teacher answers, as --data; texts of the test split are "
            "left out.",
        ),
    ] = None,
    lessons: Annotated[
        Path | None,
        typer.Option(help="Folder of the teacher's answers; by default OUT/lessons. Made once, shared by runs."),
    ] = None,
    initial: Annotated[
        Path | None,
        typer.Option(
            help="A trained parser of the same shape to go on from, as after a first round; or an encoder to begin "
            "with (`pqrnn distill-encoder`)."
        ),
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Throw away a run that is in --out; the teacher's answers stay.")
    ] = False,
    finish: FinishOption = False,
    json: JsonOption = False,
) -> None:
    """Train a parser on a teacher's answers beside the labels.

    First the teacher answers the training utterances, variants of them and the unlabelled texts, once; then the student
    learns. A stop at any time loses nothing: the same command goes on.
    """
    require_extra("teacher", "torch", "safetensors", "matplotlib", "transformers")
    import pqrnn

    with report_training(out, json) as (reporter, tell):
        tell(
            pqrnn.distill(
                data,
                out,
                teacher,
                recipe=recipe,
                unlabelled=unlabelled or [],
                logits=lessons,
                initial=find_run(initial) if initial is not None else None,
                lang=lang,
                dev=dev,
                dev_share=dev_share,
                restart=restart,
                finish=finish,
                reporter=reporter,
                on_answers=reporter.answers,
            )
        )
