"""The wheel `pqrnn-runtime`: `runtime_py` alone, for machines that only run packages.

It is built from the files that are installed here, offline. Version and pins are those of the installed distribution
`pqrnn`, and so of `pyproject.toml`: nothing is stated twice.
"""

from __future__ import annotations

import importlib.metadata as metadata
import shutil
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compile.support.errors import DeployError
from compile.support.scratch import scratch_folder

if TYPE_CHECKING:
    from packaging.requirements import Requirement

DISTRIBUTION = "pqrnn-runtime"
PACKAGE = "runtime_py"
# What `runtime_py` imports; a test compares this with its import statements.
REQUIRED = ("iree-base-runtime", "msgspec", "numpy")
# Extras of the project that a board may want, too.
EXTRAS = ("normalise", "serve", "sign", "values", "wyoming")

_README = """# pqrnn-runtime

What a device needs to run a compiled pqrnn package: the Python package `runtime_py` and the command `pqrnn` with the
verbs parse, check, bench, inspect, verify and apply, and with the extras of their names serve and wyoming. It is a part
of the distribution `pqrnn`, which holds the same files: install one of the two, not both.
"""


def build_wheel(folder: Path) -> Path:
    """Build the wheel; equal sources give equal bytes.

    Args:
        folder: Folder to put the wheel in.

    Returns:
        Path of the wheel.

    Raises:
        DeployError: pqrnn is not installed, or its metadata is incomplete.
    """
    from hatchling.builders.wheel import WheelBuilder

    project = describe_project()
    with scratch_folder("wheel") as root:
        with resources.as_file(resources.files(PACKAGE)) as sources:
            shutil.copytree(sources, root / PACKAGE, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        (root / "LICENSE").write_bytes(_license())
        # Without this file the builder looks for one in the folders above.
        (root / "pyproject.toml").touch()
        config = {"project": project, "tool": {"hatch": {"build": {"targets": {"wheel": {"packages": [PACKAGE]}}}}}}
        (built,) = WheelBuilder(str(root), config=config).build(directory=str(root / "dist"), versions=["standard"])
        return Path(shutil.copy(built, folder))


def describe_project() -> dict[str, Any]:
    """Return the wheel's project table, as a `pyproject.toml` has it.

    Raises:
        DeployError: pqrnn is not installed, or its metadata lacks a dependency of `runtime_py`.
    """
    from packaging.requirements import Requirement

    try:
        own = metadata.metadata("pqrnn")
    except metadata.PackageNotFoundError as error:
        raise DeployError(
            "pqrnn runs from its sources and is not installed, so the versions to pin are unknown; "
            "install it: pip install -e ."
        ) from error
    stated = [Requirement(text) for text in metadata.requires("pqrnn") or []]
    pins = {
        requirement.name: str(requirement)
        for requirement in stated
        if requirement.name in REQUIRED and requirement.marker is None
    }
    missing = [name for name in REQUIRED if name not in pins]
    if missing:
        raise DeployError(
            f"the installed pqrnn does not say which {', '.join(missing)} it needs; "
            "install it again: pip install --force-reinstall pqrnn"
        )
    return {
        "name": DISTRIBUTION,
        "version": own["Version"],
        "description": "Runs compiled pqrnn packages: UTF-8 text in, intent and slots out",
        "readme": {"content-type": "text/markdown", "text": _README},
        "license": own["License-Expression"],
        "license-files": ["LICENSE"],
        "requires-python": own["Requires-Python"],
        "dependencies": [pins[name] for name in REQUIRED],
        "optional-dependencies": {extra: _of_extra(stated, extra) for extra in EXTRAS},
        "scripts": {"pqrnn": f"{PACKAGE}.cli:main"},
    }


def _of_extra(stated: Iterable[Requirement], extra: str) -> list[str]:
    """Return what an extra of the installed distribution brings."""
    return [
        f"{requirement.name}{requirement.specifier}"
        for requirement in stated
        if requirement.marker is not None
        and requirement.marker.evaluate({"extra": extra})
        and not requirement.marker.evaluate({"extra": ""})
    ]


def _license() -> bytes:
    for file in metadata.files("pqrnn") or []:
        if file.name == "LICENSE":
            return file.read_binary()
    raise DeployError(
        "the installed pqrnn holds no licence text; install it again: pip install --force-reinstall pqrnn"
    )
