"""Options of a verb that learns: made from the settings of its recipe, so that defaults and help stand in one home."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import typer

from pqrnn.recipes.fields import Field, change, list_fields
from pqrnn.recipes.files import read_recipe

RECIPE = "recipe"
_PANELS = {
    "model": "Shape of the parser",
    "projection": "Shape of the parser",
    "transformer": "Shape of the parser",
    "teacher": "Teacher",
    "spans": "Encoder and windows",
    "objective": "What is learned of the teacher",
    "student": "Student",
    "extension": "New and old",
    "transfer": "Texts that the teachers answer",
    "distillation": "Labels against answers",
    "training": "Training",
    "adaptive": "Parts for budgets of work",
    "quantization": "Quantization",
    "search": "Search",
}


def takes_recipe(
    default: msgspec.Struct, *, without: tuple[str, ...] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for every setting of a recipe, and `--recipe FILE`.

    The decorated function has a parameter `recipe`, which receives the recipe: the default, changed by the file,
    changed by the options that were given.

    Args:
        default: The verb's recipe.
        without: Paths of settings that the verb has no option for.
    """
    fields = [field for field in list_fields(default) if field.flag and field.path not in without]

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def command(**given: Any) -> None:
            file = given.pop("recipe_file")
            settings: dict[str, Any] = {}
            for name, path in names.items():
                value = given.pop(name)
                if value is not None:
                    settings[path] = value
            chosen = read_recipe(file, default) if file is not None else default
            function(**given, **{RECIPE: change(chosen, settings, "command line")})

        own = [parameter for parameter in inspect.signature(function, eval_str=True).parameters.values()]
        fixed = [parameter for parameter in own if parameter.name != RECIPE]
        names: dict[str, str] = {}
        made = [_recipe_parameter()]
        for field in fields:
            for name, parameter in _parameters(field):
                if name not in names and name not in {each.name for each in fixed}:
                    names[name] = field.path
                    made.append(parameter)
        required = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in fixed]
        command.__signature__ = inspect.Signature([*required, *made])  # type: ignore[attr-defined]
        command.__annotations__ = {each.name: each.annotation for each in [*required, *made]}
        return command

    return decorate


def _recipe_parameter() -> inspect.Parameter:
    option = typer.Option(
        "--recipe",
        help="Settings from a TOML file, or a recipe that comes with pqrnn (`pqrnn recipe list`); options win over it.",
        show_default=False,
    )
    kind = Annotated[str | None, option]
    return inspect.Parameter("recipe_file", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)


def _parameters(field: Field) -> list[tuple[str, inspect.Parameter]]:
    """Return the parameters of a setting: that of its option, and hidden ones for its former names."""
    made = []
    for flag in (field.flag, *field.former):
        name = flag.removeprefix("--").replace("-", "_")
        kind = field.plain_type
        low, high = _bounds(field)
        options: dict[str, Any] = {}
        if kind in (int, float):
            options = {"min": low, "max": high}
        declared = f"{flag}/--no-{flag.removeprefix('--')}" if kind is bool else flag
        option = typer.Option(
            declared,
            help=field.description,
            show_default=_show(field.value),
            hidden=flag != field.flag,
            rich_help_panel=_PANELS.get(field.section, "Settings"),
            **options,
        )
        annotation: Any = Annotated[kind | None, option]
        made.append(
            (name, inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation))
        )
    return made


def _bounds(field: Field) -> tuple[float | None, float | None]:
    low = high = None
    for meta in getattr(field.kind, "__metadata__", ()):
        if isinstance(meta, msgspec.Meta):
            low = meta.ge if meta.ge is not None else low
            high = meta.le if meta.le is not None else high
    return low, high


def _show(value: Any) -> str | bool:
    if value is None:
        return False
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
