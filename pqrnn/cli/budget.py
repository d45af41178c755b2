"""`pqrnn budget`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.data_options import reads_data
from pqrnn.cli.locate import find_run
from pqrnn.cli.options import DataOption, DevOption, DevShareOption, JsonOption, LangOption, RunArgument
from pqrnn.cli.output import print_json, require_extra, show_table
from pqrnn.cli.recipe_options import takes_recipe
from pqrnn.recipes.budget_settings import BudgetRecipe

_EPILOG = """Examples:

`pqrnn train --network transformer --layers 3 --adaptive --length-drop 0.5 --data DATA --out runs/adaptive`

`pqrnn budget runs/adaptive --data DATA`"""


@app.command(epilog=_EPILOG)
@takes_recipe(BudgetRecipe())
@reads_data
def budget(
    run: RunArgument,
    data: DataOption,
    recipe: BudgetRecipe,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for a copy with the budgets.", show_default=False),
    ] = None,
    lang: LangOption = None,
    dev: DevOption = None,
    dev_share: DevShareOption = 0.1,
    json: JsonOption = False,
) -> None:
    """Find the parts of a trained transformer that are best for what they cost, without training it.

    A part drops the words that get least attention, or leaves layers out. Those on the front of work and exact match on
    the development split are stored with the parser; it answers within each of these budgets.
    """
    require_extra("train", "torch", "safetensors")
    import pqrnn

    found = pqrnn.budget(find_run(run), data, recipe=recipe, out=out, lang=lang, dev=dev, dev_share=dev_share)
    if json:
        print_json(found)
        return
    rows = [
        (each.lengths.describe(), f"{each.macs:,}", f"{each.share:.1%}", f"{each.exact_match:.2%}") for each in found
    ]
    title = f"{out or run}: budgets, measured on {found[-1].utterances:,} development utterances"
    show_table(title, ("% of words kept", "MACs a text", "of the whole", "exact match"), rows)
