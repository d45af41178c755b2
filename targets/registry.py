"""The targets that there are, read from their files on first use."""

from __future__ import annotations

import difflib
from functools import cache, cached_property
from importlib import resources
from importlib.resources.abc import Traversable

from targets.errors import TargetError
from targets.schema import Family, Target, decode_family, decode_target, resolve_preset

_SUFFIX = ".toml"


class Registry:
    """Targets by name. Listing the names opens no file; a file is read when its target is first asked for.

    Args:
        folder: Holds `<target>.toml`, and `families/<family>.toml`.
    """

    def __init__(self, folder: Traversable) -> None:  # noqa: D107
        self._folder = folder
        self._targets: dict[str, Target] = {}
        self._families: dict[str, Family] = {}

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(sorted(file.name.removesuffix(_SUFFIX) for file in self._folder.iterdir() if file.name.endswith(_SUFFIX)))

    def names(self) -> tuple[str, ...]:
        """Return the names of all targets, sorted."""
        return self._names

    def get(self, name: str) -> Target:
        """Return one target, a preset already on top of its base.

        Raises:
            TargetError: There is none of that name (the message offers the closest), or its file, or that of a base, is not valid.
        """
        return self._resolve(name, ())

    def _resolve(self, name: str, above: tuple[str, ...]) -> Target:
        if name not in self._targets:
            if name in above:
                raise TargetError(f"targets/{name}{_SUFFIX}: base runs in a circle: {' -> '.join((*above, name))}")
            if name not in self._names:
                close = difflib.get_close_matches(name, self._names, n=3, cutoff=0.5)
                hint = f"did you mean {' or '.join(close)}?" if close else f"there are: {', '.join(self._names)}"
                said = f"targets/{above[-1]}{_SUFFIX}: base is {name!r}: " if above else ""
                raise TargetError(f"{said}no target {name!r}; {hint}")
            file = self._folder / f"{name}{_SUFFIX}"
            where = f"targets/{file.name}"
            found = decode_target(file.read_bytes(), name, where)
            if not isinstance(found, Target):
                found = resolve_preset(found, self._resolve(found.base, (*above, name)), where)
            self._family(found.family, where)
            self._targets[name] = found
        return self._targets[name]

    def family(self, target: Target) -> Family:
        """Return the family of a target."""
        return self._family(target.family, target.id)

    def _family(self, name: str, where: str) -> Family:
        if name not in self._families:
            folder = self._folder / "families"
            file = folder / f"{name}{_SUFFIX}"
            if not file.is_file():
                known = ", ".join(sorted(entry.name.removesuffix(_SUFFIX) for entry in folder.iterdir() if entry.name.endswith(_SUFFIX)))
                raise TargetError(f"{where}: no family {name!r}; there are: {known}")
            self._families[name] = decode_family(file.read_bytes(), name, f"targets/families/{file.name}")
        return self._families[name]


@cache
def registry() -> Registry:
    """Return the targets that this project ships."""
    return Registry(resources.files("targets") / "data")
