"""The registry of targets: those of this project, of installed distributions, and of the user.

Each file is read on first use.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType

from targets.errors import TargetError
from targets.schema import Family, Target, decode_family, decode_target, resolve_preset

ENTRY_POINTS = "pqrnn.targets"
FOLDER_VARIABLE = "PQRNN_TARGETS"
SUFFIX = ".toml"


@dataclass(frozen=True, slots=True)
class Source:
    """A folder of target files, and where it comes from.

    Attributes:
        name: Origin of the folder, for messages: "pqrnn", "acme-boards 1.2".
        path: Name of the folder in messages.
        folder: Returns the folder; called when targets are first listed or asked for. An error that it raises is kept
            as a problem of this source.
    """

    name: str
    path: str
    folder: Callable[[], Traversable]


@dataclass(frozen=True, slots=True)
class _File:
    """A target file that has not been read yet."""

    source: Source
    file: Traversable

    @property
    def where(self) -> str:
        return f"{self.source.path}/{self.file.name}"


@dataclass(frozen=True, slots=True)
class _Listing:
    """The content of the folders when they were listed.

    Attributes:
        files: Target files by name of the target.
        problems: Folders that cannot be listed, and why.
    """

    files: Mapping[str, tuple[_File, ...]]
    problems: tuple[str, ...]


class Registry:
    """Targets by name.

    The folders are listed once, when a target is first asked for, and a file is read when its target is asked for. A
    folder that cannot be listed, or a file that is not valid, harms no other target.
    """

    def __init__(self, sources: Iterable[Source], families: Traversable | None = None) -> None:
        """Read nothing yet.

        Args:
            sources: Folders of target files. A name that stands in two of them belongs to neither.
            families: Folder with `<family>.toml`, or None for the families of this project, which it has code for.
        """
        self._sources = tuple(sources)
        self._family_folder = families if families is not None else resources.files("targets") / "data" / "families"
        self._targets: dict[str, Target] = {}
        self._families: dict[str, Family] = {}

    @cached_property
    def _listing(self) -> _Listing:
        files: dict[str, tuple[_File, ...]] = {}
        problems = []
        for source in self._sources:
            try:
                listed = [_File(source, file) for file in source.folder().iterdir() if file.name.endswith(SUFFIX)]
            except (Exception, SystemExit) as error:  # finding the folder runs code of others, which may raise anything
                problems.append(
                    f"targets of {source.name} cannot be read: {source.path}: {type(error).__name__}: {error}"
                )
                continue
            for entry in listed:
                name = entry.file.name.removesuffix(SUFFIX)
                files[name] = (*files.get(name, ()), entry)
        return _Listing(MappingProxyType(dict(sorted(files.items()))), tuple(problems))

    def names(self) -> tuple[str, ...]:
        """Return the names of all targets, sorted."""
        return tuple(self._listing.files)

    def survey(self) -> tuple[tuple[Target, ...], tuple[str, ...]]:
        """Read all target files.

        Returns:
            The valid targets, sorted by name, and the problems of the other targets and of whole sources.
        """
        targets = []
        problems = list(self._listing.problems)
        for name in self.names():
            try:
                targets.append(self.get(name))
            except TargetError as error:
                problems.append(str(error))
        return tuple(targets), tuple(problems)

    def get(self, name: str) -> Target:
        """Return a target; a preset is returned with the values of its base.

        Raises:
            TargetError: There is no target of that name (the message offers the closest), two sources have it, or its
                file, or that of a base, is not valid.
        """
        return self._resolve(name, ())

    def origin(self, name: str) -> str:
        """Return the source and the file of a target; errors as in `get`."""
        entry = self._file(name, "")
        return f"{entry.source.name}: {entry.where}"

    def family(self, target: Target) -> Family:
        """Return the family of a target."""
        return self._family(target.family, target.id)

    def _resolve(self, name: str, above: tuple[str, ...]) -> Target:
        if name not in self._targets:
            entry = self._file(name, f"{self._file(above[-1], '').where}: base is {name!r}: " if above else "")
            if name in above:
                raise TargetError(f"{entry.where}: base runs in a circle: {' -> '.join((*above, name))}")
            try:
                content = entry.file.read_bytes()
            except OSError as error:
                raise TargetError(f"{entry.where}: cannot be read ({error.strerror})") from error
            target = decode_target(content, name, entry.where)
            if not isinstance(target, Target):
                target = resolve_preset(target, self._resolve(target.base, (*above, name)), entry.where)
            self._family(target.family, entry.where)
            self._targets[name] = target
        return self._targets[name]

    def _file(self, name: str, context: str) -> _File:
        """Return the only file of a target; messages begin with `context`."""
        known = self._listing.files
        if name not in known:
            close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(close)}?" if close else f"there are: {', '.join(known)}"
            raise TargetError("\n".join([f"{context}no target {name!r}; {hint}", *self._listing.problems]))
        if len(known[name]) > 1:
            bringers = " and ".join(f"{entry.source.name} ({entry.where})" for entry in known[name])
            raise TargetError(
                f"{context}target {name!r} is brought by {bringers}: rename or remove one, neither is taken"
            )
        return known[name][0]

    def _family(self, name: str, where: str) -> Family:
        if name not in self._families:
            file = self._family_folder / f"{name}{SUFFIX}"
            if not file.is_file():
                known = ", ".join(
                    sorted(
                        entry.name.removesuffix(SUFFIX)
                        for entry in self._family_folder.iterdir()
                        if entry.name.endswith(SUFFIX)
                    )
                )
                raise TargetError(f"{where}: no family {name!r}; there are: {known}")
            self._families[name] = decode_family(file.read_bytes(), name, f"targets/families/{file.name}")
        return self._families[name]


def shipped_source() -> Source:
    """Return the target files of this project."""
    return Source("pqrnn", "targets", lambda: resources.files("targets") / "data")


def installed_sources() -> tuple[Source, ...]:
    """Return the target files of installed distributions.

    Each entry point of the group names a package, or `package:folder`, that holds the files.
    """
    return tuple(
        Source(
            f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else entry.name,
            entry.value,
            _folder_of(entry),
        )
        for entry in sorted(metadata.entry_points(group=ENTRY_POINTS), key=lambda entry: (entry.value, entry.name))
    )


def _folder_of(entry: metadata.EntryPoint) -> Callable[[], Traversable]:
    return lambda: resources.files(entry.module) / entry.attr if entry.attr else resources.files(entry.module)


def user_folder() -> Path:
    """Return the folder of the user's own target files, $PQRNN_TARGETS or the usual one; it need not exist.

    Raises:
        TargetError: The variable is not set, and the user has no home folder.
    """
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named)
    try:
        home = Path.home()
    except RuntimeError:
        home = Path()
    if not home.is_absolute():
        raise TargetError(f"this user has no home folder for targets of their own: name a folder in ${FOLDER_VARIABLE}")
    return home / ".config" / "pqrnn" / "targets"


def user_sources() -> tuple[Source, ...]:
    """Return the user's own folder, if it exists."""
    try:
        folder = user_folder()
        there = folder.is_dir()
    except TargetError:
        return ()
    except OSError:  # it may not be looked at: the home is another user's, or the folder was named by mistake
        there = bool(os.environ.get(FOLDER_VARIABLE))
    return (Source("your own folder", str(folder), lambda: folder),) if there else ()


@cache
def shipped() -> Registry:
    """Return the registry of this project's own targets, which is the same for everyone."""
    return Registry([shipped_source()])


@cache
def registry() -> Registry:
    """Return the registry of all targets: of this project, of installed distributions, and of the user."""
    return Registry([shipped_source(), *installed_sources(), *user_sources()])
