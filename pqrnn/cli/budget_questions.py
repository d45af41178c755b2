"""`pqrnn budget-questions`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.options import JsonOption
from pqrnn.cli.output import print_json, require_extra, show_table
from pqrnn.cli.recipe_options import takes_recipe
from pqrnn.recipes.budget_settings import BudgetRecipe


@app.command("budget-questions", epilog="Example:  `pqrnn budget-questions runs/adaptive --data dev-v1.1.json`")
@takes_recipe(BudgetRecipe())
def budget_questions(
    run: Annotated[Path, typer.Argument(help="Folder of a model that `pqrnn finetune-questions` trained.")],
    data: Annotated[Path, typer.Option("--data", help="A file of SQuAD 1.1 that was not trained on, plain or gzip.")],
    recipe: BudgetRecipe,
    sample: Annotated[
        int, typer.Option("--sample", min=0, help="Questions that F1 is measured on, drawn from the seed; 0 for all.")
    ] = 200,
    json: JsonOption = False,
) -> None:
    """Find the parts of a model that answers questions that are best for what they cost, without training it.

    Those on the front of work and F1 are stored with the model, and its package answers within each of these budgets.
    """
    require_extra("teacher", "torch", "safetensors", "transformers")
    import pqrnn

    found = pqrnn.budget_questions(run, data, recipe=recipe, sample=sample)
    if json:
        print_json(found)
        return
    rows = [
        (each.lengths.describe(), f"{each.macs:,}", f"{each.share:.1%}", f"{each.exact_match:.2%}", f"{each.f1:.2%}")
        for each in found
    ]
    title = f"{run}: budgets, measured on {found[-1].questions:,} questions"
    show_table(title, ("% of subwords kept", "MACs a window", "of the whole", "exact match", "F1"), rows)
