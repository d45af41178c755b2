"""What a kind of hostile file is, and the changes that many kinds are made of."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.mutation_kinds import reseal

PACKAGE, REFERENCE, RUN = "good.pqrnn", "good.reference", "run"  # names in a subject's folder
GOLDEN, DECISIONS = "golden/golden.npz", "golden/decisions.json"
MODULE = "variants/generic/module.vmfb"

LOADERS = ("parse", "parse --json", "bench", "check", "Parser.load", "board parse", "board check")
READERS: dict[str, tuple[str, ...]] = {
    "manifest": ("inspect", "inspect --json", "report", "deploy", "board inspect", *LOADERS),
    "module": LOADERS,
    "golden": ("check", "board check", "golden vectors"),
    "decisions": ("check", "board check", "golden decisions"),
    "reference": ("check --reference", "board check --reference", "load_reference"),
    "facts": ("evaluate", "average", "compile", "load_checkpoint"),
    "weights": ("evaluate", "average", "compile", "load_checkpoint"),
}
"""The verbs and functions that read each part."""


class Kind(NamedTuple):
    """One kind of hostile file.

    Attributes:
        name: What is wrong.
        part: The part that is hostile, a key of `READERS`.
        apply: Changes a copy of the subject.
        harmless: Why it may be read all the same; empty where each of its readers has to refuse it.
        reported: Readers that describe what is wrong and go on, as `inspect` does with damaged files.
    """

    name: str
    part: str
    apply: Callable[[Path], object]
    harmless: str = ""
    reported: tuple[str, ...] = ()


def edit_json(path: Path, change: Callable[[Any], object]) -> None:
    """Change a JSON document in place: the change edits what it is given."""
    document = json.loads(path.read_bytes())
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")


def put(document: Any, place: Sequence[str | int], value: Any) -> None:
    """Set a value somewhere in a JSON document."""
    for step in place[:-1]:
        document = document[step]
    document[place[-1]] = value


def in_manifest(name: str, change: Callable[[Any], object], harmless: str = "") -> Kind:
    """Return a kind whose manifest is changed."""
    return Kind(name, "manifest", lambda folder: edit_json(folder / PACKAGE / "manifest.json", change), harmless)


def at(name: str, place: Sequence[str | int], value: Any, harmless: str = "") -> Kind:
    """Return a kind whose manifest holds a value at a place."""
    return in_manifest(name, lambda document: put(document, place, value), harmless)


def manifest_bytes(name: str, change: Callable[[bytes], bytes], harmless: str = "") -> Kind:
    """Return a kind whose manifest has other bytes."""

    def apply(folder: Path) -> None:
        path = folder / PACKAGE / "manifest.json"
        path.write_bytes(change(path.read_bytes()))

    return Kind(name, "manifest", apply, harmless)


def sealed(name: str, part: str, file: str, change: Callable[[Path], object], harmless: str = "") -> Kind:
    """Return a kind of which a file is changed, and all digests are written anew."""

    def apply(folder: Path) -> None:
        change(folder / PACKAGE / file)
        reseal(folder / PACKAGE)

    return Kind(name, part, apply, harmless)


def nested(depth: int, end: str = "1") -> str:
    """Return JSON that is nested so deep."""
    return "[" * depth + end + "]" * depth
