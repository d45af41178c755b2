"""`pqrnn recipe`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from pqrnn.cli.app import app
from pqrnn.cli.locate import find_run
from pqrnn.cli.options import JsonOption
from pqrnn.cli.output import print_json
from pqrnn.errors import RecipeError
from pqrnn.recipes.files import read_recipe, shipped_recipes, write_recipe
from pqrnn.recipes.recipes import UNKNOWN, VERBS, recipe_of_run

recipes = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Show the settings of a verb, of a shipped recipe or of a run.",
)
app.add_typer(recipes, name="recipe")

_EPILOG = """Examples:

`pqrnn recipe show distill > mine.toml`  to write a recipe of your own, then  `pqrnn distill --recipe mine.toml ...`

`pqrnn recipe show runs/mtop-en`  what a run really used"""


@recipes.command("list")
def list_recipes(json: JsonOption = False) -> None:
    """List what `show` and `--recipe` take by name."""
    names = {"verbs": sorted(VERBS), "recipes": list(shipped_recipes())}
    if json:
        print_json(names)
        return
    for kind, known in names.items():
        typer.echo(f"{kind}: {', '.join(known)}")


@recipes.command("show", epilog=_EPILOG)
def show(
    name: Annotated[
        str,
        typer.Argument(
            help="A verb (`train`, `finetune`, `distill`, `extend`, `quantize`, `build`), a recipe that comes with "
            "pqrnn, a TOML file of `pqrnn build`, the folder of a run, or a parser of the zoo."
        ),
    ],
    plain: Annotated[bool, typer.Option("--plain", help="Without a comment above each setting.")] = False,
    json: JsonOption = False,
) -> None:
    """Print settings as TOML: all of them, with what each means."""
    recipe, more = _find(name)
    unknown = more.pop(UNKNOWN, [])
    if json:
        settings = {name: value for name, value in msgspec.to_builtins(recipe).items() if name not in unknown}
        print_json({**more, "unknown": unknown, "settings": settings})
        return
    for section in unknown:
        typer.echo(f"# [{section}] is {UNKNOWN}")
    for key, value in more.items():
        typer.echo(f"# {key}: {value}")
    typer.echo(write_recipe(recipe, describe=not plain, without=unknown), nl=False)


def _find(name: str) -> tuple[msgspec.Struct, dict[str, Any]]:
    """Return a recipe by the name that a person gave, and what else is known of where it comes from.

    Raises:
        RecipeError: There is nothing of that name.
    """
    if name in VERBS and not Path(name).exists():
        return VERBS[name], {"verb": name}
    if name in shipped_recipes() or name.endswith(".toml"):
        return read_recipe(name, VERBS["build"]), {"verb": "build", "recipe": name}
    from pqrnn.cli.output import require_extra
    from pqrnn.errors import ZooError

    require_extra("train", "torch", "safetensors")
    from pqrnn.distillation.loading import read_teacher

    try:
        run = find_run(Path(name))
    except ZooError as error:
        known = ", ".join([*sorted(VERBS), *shipped_recipes()])
        raise RecipeError(f"{name}: no recipe, run or parser of the zoo; recipes are {known}") from error
    recipe, more = recipe_of_run(read_teacher(run))
    return recipe, {"run": name, **more}
