"""Fetch the emulators: `python -m compile.emulation.install` (or `make emulators`).

Each component is made in a folder of its own beside the final one and moved there when it is whole and was seen to run,
so that a failed download leaves what there was. What is there already, and of the right version, is left alone.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from compile.emulation import locations
from compile.emulation.builders import Archive, Say
from compile.emulation.components import COMPONENTS, Component, ComponentState
from compile.emulation.debian import FetchError


def main(arguments: Sequence[str] | None = None) -> int:
    """Install, or say what is there.

    Returns:
        Exit status: 0 when every component that was asked for can be used.
    """
    parser = argparse.ArgumentParser(
        prog="python -m compile.emulation.install",
        description="Fetch the emulators from Debian's archive, without root.",
    )
    parser.add_argument("components", nargs="*", metavar="COMPONENT", help=f"only these: {', '.join(COMPONENTS)}")
    parser.add_argument("--check", action="store_true", help="fetch nothing, say what is there")
    parser.add_argument("--json", action="store_true", help="with --check: as JSON")
    parser.add_argument("--own", action="store_true", help="do not use the system's packages")
    options = parser.parse_args(arguments)
    names = options.components or list(COMPONENTS)
    unknown = [name for name in names if name not in COMPONENTS]
    if unknown:
        parser.error(f"no component {unknown[0]!r}; there are: {', '.join(COMPONENTS)}")
    if options.check:
        states = survey_components(names)
        sys.stdout.write(
            json.dumps([_as_json(state) for state in states], indent=2) + "\n" if options.json else _table(states)
        )
        return 0 if all(state.usable for state in states) else 1
    failed = install(names, _say, own=options.own)
    for name, reason in failed.items():
        _say(f"{name}: not installed. {reason}")
    if failed:
        _say(
            "what was there before is unchanged; run `make emulators` again to go on. "
            "Without it, what needs these is reported as unverified."
        )
    return 1 if failed else 0


def survey_components(names: Sequence[str] | None = None) -> list[ComponentState]:
    """Return whether components can be used; by default of all components."""
    return [COMPONENTS[name].state() for name in (COMPONENTS if names is None else names)]


def install(names: Sequence[str], say: Say, own: bool = False) -> dict[str, str]:
    """Make components usable.

    Args:
        names: Names of components.
        say: Called with what is being done.
        own: Whether to fetch even what the system has.

    Returns:
        The reason for each component that cannot be used now, by name.
    """
    failed: dict[str, str] = {}
    missing = [name for name in names if not COMPONENTS[name].ready(own)]
    if not missing:
        return failed
    folder = locations.emulators_folder()
    with _alone(folder, say), _scratch(folder) as scratch:
        archive = Archive(scratch, say, own)
        for name in missing:
            component = COMPONENTS[name]
            if component.ready(own):
                continue  # by another process, meanwhile
            begin = time.monotonic()
            try:
                _replace(component, folder / name, scratch / name, archive)
            except (FetchError, OSError) as error:
                failed[name] = str(error)
            else:
                say(f"{name}: {component.state().source} ({time.monotonic() - begin:.0f} s)")
    return failed


def _replace(component: Component, folder: Path, fresh: Path, archive: Archive) -> None:
    """Build a component beside its folder, then let it take the folder's name."""
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    record = component.build(fresh, archive)
    locations.write_record(fresh, component.wanted() | record)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(fresh, folder)


@contextmanager
def _alone(folder: Path, say: Say) -> Iterator[None]:
    """Keep other processes from installing into the same folder at the same time."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another process that installs them")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """Give an empty folder on the same disk, which is removed afterwards."""
    scratch = folder / ".fetching"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _as_json(state: ComponentState) -> dict[str, object]:
    return {"name": state.name, "summary": state.summary, "usable": state.usable, "source": state.source}


def _table(states: Sequence[ComponentState]) -> str:
    wide = max(len(state.name) for state in states)
    wider = max(len(state.summary) for state in states)
    return "".join(f"{state.name:<{wide}}  {state.summary:<{wider}}  {state.source}\n" for state in states)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
