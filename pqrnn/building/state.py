"""What a build has done so far: one JSON file in its work folder, replaced atomically after every stage."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import msgspec

from pqrnn.errors import BuildError
from pqrnn.recipes.differences import name_differences
from runtime_py.atomic_files import write_atomic
from runtime_py.bounded_files import read_bounded, shorten
from runtime_py.json_errors import JSON_ERRORS

STATE = "build.json"
FORMAT = 1
_DATA = ("utterances", "texts")  # of these the digests are kept, which say nothing to people
STAGE_FOLDER = re.compile(r"supervised|teacher|round-\d+(-seed-\d+)?|average|quantize|lessons-\d+")


class StageResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a finished stage gave.

    Attributes:
        seconds: Wall time, that of runs which were stopped left out.
        folder: Where its result is, relative to the work folder; "" where there is none.
        dev: Development scores, as fractions of 1, by the names of `pqrnn.evaluation.metrics.Scores`.
        bytes: Size of the result in bytes: weights, or the whole package.
        note: What a person has to know.
        skipped: Whether the stage was left out; the note says why.
        flips: Intents and slots in which the package differs from PyTorch; of the check alone.
        passed: Whether the golden vectors pass; of the check alone.
    """

    seconds: float = 0.0
    folder: str = ""
    dev: dict[str, Any] = {}
    bytes: int = 0
    note: str = ""
    skipped: bool = False
    flips: int = 0
    passed: bool = True

    @property
    def exact_match(self) -> float | None:
        """Development exact match, None for a stage without scores."""
        return self.dev["exact_match"]["value"] if self.dev else None


class BuildState(msgspec.Struct, kw_only=True):
    """Content of `build.json`.

    Attributes:
        format: Of this file.
        fingerprint: Of everything that decides the result.
        stages: Finished stages, in order.
        kept: The stage whose parser is quantized and compiled.
        writing: Whether this build has begun to write its package: one that stands there then is its own.
        described: What the fingerprint is of, by name; empty in a state of an earlier version.
    """

    format: int = FORMAT
    fingerprint: str
    stages: dict[str, StageResult] = {}
    kept: str = ""
    writing: bool = False
    described: dict[str, Any] = {}


def discard_build(work: Path) -> None:
    """Remove what a build left in its work folder, and nothing else.

    Raises:
        BuildError: The folder holds no build.
    """
    if not work.exists():
        return
    if not (work / STATE).is_file():
        raise BuildError(f"{work}: no {STATE} here, so this is no build to throw away; choose another --work")
    for path in work.iterdir():
        if path.is_dir() and STAGE_FOLDER.fullmatch(path.name):
            shutil.rmtree(path)
    (work / STATE).unlink()


def open_state(work: Path, fingerprint: str, described: dict[str, Any]) -> BuildState:
    """Read the state of a build in a folder, or begin a new one.

    Args:
        work: The folder.
        fingerprint: Of everything that decides the result.
        described: The same by name.

    Raises:
        BuildError: The folder holds a build with other settings or data, or its state is damaged.
    """
    path = work / STATE
    if not path.is_file():
        return BuildState(fingerprint=fingerprint, described=described)
    try:
        state = msgspec.json.decode(read_bounded(path, 64 << 20), type=BuildState)
    except (OSError, *JSON_ERRORS) as error:
        raise BuildError(f"{path}: not the state of a build ({shorten(error)}); --restart begins anew") from error
    if state.format != FORMAT or state.fingerprint != fingerprint:
        differences = list_differences(state.described, described) if state.described else []
        named = f" ({'; '.join(differences)})" if differences else ""
        raise BuildError(
            f"{work}: holds a build with other settings or data{named}; in a build nothing may change but threads: "
            "choose another --work, or --restart to throw it away"
        )
    return state


def list_differences(before: Any, now: Any) -> list[str]:
    """Return where two described builds differ: the path of each value and both of them, as people read it."""
    return name_differences(before, now, _DATA)


def save_state(work: Path, state: BuildState) -> None:
    """Write the state."""
    write_atomic(work / STATE, msgspec.json.format(msgspec.json.encode(state), indent=1) + b"\n")
