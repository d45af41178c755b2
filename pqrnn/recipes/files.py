"""Recipes as TOML: reading what a person wrote, and writing all settings with what they mean."""

from __future__ import annotations

import json
import textwrap
import tomllib
from collections.abc import Collection, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from pqrnn.errors import RecipeError
from pqrnn.recipes.fields import is_sections, list_fields, overlay
from runtime_py.bounded_files import read_bounded, shorten

Recipe = TypeVar("Recipe", bound=msgspec.Struct)

_WIDTH = 110
_LARGEST = 1 << 20  # bytes


def shipped_recipes() -> tuple[str, ...]:
    """Return the names of the recipes that come with pqrnn."""
    folder = files("pqrnn.recipes") / "shipped"
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")))


def read_recipe(source: str | Path, default: Recipe) -> Recipe:
    """Read a recipe: what the file leaves out stays as it is in the default.

    Args:
        source: A TOML file, or the name of a recipe that comes with pqrnn.
        default: The verb's recipe.

    Raises:
        RecipeError: The file is missing or not TOML, or has an unknown key or a wrong value; it names the path.
    """
    return overlay(default, read_document(source), str(source))


def read_document(source: str | Path) -> dict[str, Any]:
    """Read the TOML of a recipe as plain dicts.

    Raises:
        RecipeError: There is no such file and no such shipped recipe, or it is not TOML.
    """
    path = Path(source)
    name = str(source)
    if not path.exists() and name in shipped_recipes():
        data = (files("pqrnn.recipes") / "shipped" / f"{name}.toml").read_bytes()
    else:
        try:
            data = read_bounded(path, _LARGEST, pipes=True)
        except OSError as error:
            known = ", ".join(shipped_recipes())
            raise RecipeError(
                f"{path}: cannot be read ({error.strerror}); expected a TOML file, or one of the recipes that come "
                f"with pqrnn: {known}"
            ) from error
    try:
        return tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:  # also numbers of too many digits, for Python
        raise RecipeError(f"{path}: not TOML: {shorten(error)}") from error


def parse_change(text: str) -> tuple[str, Any]:
    """Return the path and the value of "train.training.epochs=10"; the value is TOML, or a text as it stands.

    Raises:
        RecipeError: There is no "=".
    """
    path, equals, value = text.partition("=")
    if not equals:
        raise RecipeError(f"--set {text}: expected PATH=VALUE, as train.training.epochs=10")
    try:
        return path.strip(), tomllib.loads(f"value = {value}")["value"]
    except (ValueError, RecursionError):
        return path.strip(), value.strip()


def write_recipe(recipe: msgspec.Struct, *, describe: bool = True, without: Collection[str] = ()) -> str:
    """Return all settings of a recipe as TOML.

    Args:
        recipe: The recipe.
        describe: Whether what a setting means stands above it.
        without: Sections that are left out.
    """
    return "\n".join(_lines(recipe, "", describe, without)).strip() + "\n"


def _lines(recipe: msgspec.Struct, prefix: str, describe: bool, without: Collection[str] = ()) -> Iterator[str]:
    plain = {field.path: field for field in list_fields(recipe) if "." not in field.path}
    for name in recipe.__struct_fields__:
        value = getattr(recipe, name)
        if isinstance(value, msgspec.Struct) or is_sections(value):
            continue
        if describe and plain[name].description:
            yield from textwrap.wrap(plain[name].description, _WIDTH, initial_indent="# ", subsequent_indent="# ")
        if value is None:
            yield f"# {name} ="
        else:
            yield f"{name} = {_literal(value)}"
    for name in recipe.__struct_fields__:
        value = getattr(recipe, name)
        if name in without:
            continue
        if isinstance(value, msgspec.Struct):
            yield from ("", f"[{prefix}{name}]")
            yield from _lines(value, f"{prefix}{name}.", describe)
        elif is_sections(value):
            for section in value:
                yield from ("", f"[[{prefix}{name}]]")
                yield from _lines(section, f"{prefix}{name}.", describe)


def _literal(value: Any) -> str:
    """Return a value as TOML; the values of settings are numbers, booleans, texts and lists of them."""
    if isinstance(value, tuple | list):
        return f"[{', '.join(_literal(entry) for entry in value)}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return repr(value)
