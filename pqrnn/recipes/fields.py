"""What the structs of settings say about themselves (paths, defaults, descriptions, options), and changes by path."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from pqrnn.errors import RecipeError

Recipe = TypeVar("Recipe", bound=msgspec.Struct)


class Field(NamedTuple):
    """One setting of a recipe.

    Attributes:
        path: Names from the recipe down, as "training.epochs".
        kind: The annotated type, as msgspec reads it.
        value: The value in the recipe that was asked.
        description: One plain sentence.
        flag: The command-line option, "" for none.
        former: Names that the option had in earlier versions.
    """

    path: str
    kind: Any
    value: Any
    description: str
    flag: str
    former: tuple[str, ...]

    @property
    def section(self) -> str:
        """The name of the struct that holds the setting, as "training"."""
        return self.path.split(".")[-2] if "." in self.path else ""

    @property
    def plain_type(self) -> type:
        """The type without annotations and without None."""
        kind = get_args(self.kind)[0] if get_origin(self.kind) is Annotated else self.kind
        parts = [part for part in get_args(kind) if part is not type(None)]
        return parts[0] if parts and get_origin(kind) is not tuple else kind


def list_fields(recipe: msgspec.Struct, prefix: str = "") -> Iterator[Field]:
    """Yield all settings of a recipe, in order; those of a section stand where the section does.

    Lists of recipes (the rounds of a build) are settings of their own and are not taken apart.
    """
    hints = get_type_hints(type(recipe), include_extras=True)
    for info in msgspec.structs.fields(recipe):
        value, path = getattr(recipe, info.name), f"{prefix}{info.name}"
        if isinstance(value, msgspec.Struct):
            yield from list_fields(value, f"{path}.")
            continue
        metas = _metas(hints[info.name])
        extra = next((meta.extra for meta in metas if meta.extra), {})
        description = next((meta.description for meta in metas if meta.description), "")
        yield Field(path, hints[info.name], value, description, extra.get("flag", ""), tuple(extra.get("former", ())))


def change(recipe: Recipe, changes: Mapping[str, Any], where: str = "recipe") -> Recipe:
    """Return a recipe in which settings differ.

    Args:
        recipe: What is changed.
        changes: New values by path, as `{"training.epochs": 3}`.
        where: What an error names as the origin of the change.

    Raises:
        RecipeError: There is no such setting (a near name is suggested), or it does not take that value.
    """
    nested: dict[str, Any] = {}
    for path, value in changes.items():
        *sections, name = path.split(".")
        level = nested
        for section in sections:
            level = level.setdefault(section, {})
        level[name] = value
    return overlay(recipe, nested, where)


def overlay(recipe: Recipe, document: Mapping[str, Any], where: str, prefix: str = "", root: Any = None) -> Recipe:
    """Return a recipe with the settings of a nested document (as read from TOML) in the place of its own.

    A list of sections takes as many entries as the document gives; each starts from the recipe's entry at that
    position, or from the last one.

    Raises:
        RecipeError: As for `change`.
    """
    root = recipe if root is None else root
    hints = get_type_hints(type(recipe), include_extras=True)
    changed: dict[str, Any] = {}
    for name, value in document.items():
        path = f"{prefix}{name}"
        if name not in hints:
            raise RecipeError(f"{where}: {path}: no such setting{_suggest(path, name, recipe, root, prefix)}")
        current = getattr(recipe, name)
        if isinstance(current, msgspec.Struct):
            if not isinstance(value, Mapping):
                raise RecipeError(f"{where}: {path}: expected a section with settings of its own, found {value!r}")
            changed[name] = overlay(current, value, where, f"{path}.", root)
        elif is_sections(current):
            changed[name] = _overlay_list(current, value, where, path)
        else:
            changed[name] = _convert(value, hints[name], where, path)
    try:
        return msgspec.structs.replace(recipe, **changed)
    except (ValueError, TypeError) as error:
        raise RecipeError(f"{where}: {prefix.rstrip('.') or 'settings'}: {error}") from error


def _overlay_list(current: Sequence[msgspec.Struct], value: Any, where: str, path: str) -> tuple[msgspec.Struct, ...]:
    if not isinstance(value, list) or not all(isinstance(entry, Mapping) for entry in value):
        raise RecipeError(f"{where}: {path}: expected a list of sections ([[{path}]]), found {value!r}")
    bases = [current[min(position, len(current) - 1)] for position in range(len(value))]
    return tuple(
        overlay(base, entry, where, f"{path}[{position}].", base)
        for position, (base, entry) in enumerate(zip(bases, value, strict=True))
    )


def _convert(value: Any, kind: Any, where: str, path: str) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise RecipeError(f"{where}: {path}: {error}, found {value!r}") from error


def _suggest(path: str, name: str, recipe: msgspec.Struct, root: msgspec.Struct, prefix: str) -> str:
    """Return what may have been meant: the same name in another section, or a near one."""
    known = [field.path for field in list_fields(root)]
    elsewhere = [each for each in known if each.split(".")[-1] == name]
    own = [f"{prefix}{each}" for each in type(recipe).__struct_fields__]
    near = elsewhere or difflib.get_close_matches(path, dict.fromkeys([*own, *known]), n=3, cutoff=0.6)
    if near:
        return f"; did you mean {' or '.join(near[:3])}?"
    return f"; expected one of {', '.join(own)}"


def is_sections(value: Any) -> bool:
    """Say whether a value is a list of sections, such as the rounds of a build."""
    return isinstance(value, tuple) and bool(value) and isinstance(value[0], msgspec.Struct)


def _metas(kind: Any) -> list[msgspec.Meta]:
    """Return the annotations of a type; the last one written comes first, since it is the most particular."""
    return [part for part in get_args(kind)[1:] if isinstance(part, msgspec.Meta)][::-1]
