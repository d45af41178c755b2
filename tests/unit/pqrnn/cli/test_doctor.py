"""`pqrnn doctor`: what this machine can do."""

from __future__ import annotations

import importlib.metadata as metadata
import json
import subprocess
import sys

import pytest

from pqrnn.cli.doctor import check_packages, diagnose
from runtime_py.device.preflight import this_machine


def test_packages_are_compared_with_what_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"torch": "2.13.0+cpu", "numpy": "2.4.6", "iree-turbine": "3.8.0"}

    def version(name: str) -> str:
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(metadata, "version", version)
    found = check_packages(
        [
            "numpy<3,>=2.0",
            "torch==2.13.0; extra == 'train'",
            'iree-turbine==3.9.0; extra == "compile"',
            "regex; extra == 'dev'",
        ]
    )
    assert [(each.name, each.extra, each.wanted, each.installed, each.good) for each in found] == [
        ("numpy", "", "<3,>=2.0", "2.4.6", True),
        ("torch", "train", "==2.13.0", "2.13.0+cpu", True),
        ("iree-turbine", "compile", "==3.9.0", "3.8.0", False),
        ("regex", "dev", "", "", False),
    ]


def test_what_is_missing_is_said_with_the_command_that_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "requires", lambda _: ["numpy>=1", "no-such-thing==1.0; extra == 'train'"])
    found = diagnose()
    by_extra = {job.extra: job.get for job in found.jobs}
    assert by_extra[""] == ""
    assert by_extra["train"] == "no-such-thing missing, expected ==1.0: pip install 'pqrnn[train]'"


def test_it_knows_this_machine() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pqrnn", "doctor", "--json"], capture_output=True, text=True, check=True, timeout=300
    )
    found = json.loads(done.stdout)
    machine = this_machine()
    assert set(found["features"]) == machine.features
    runs = {each["name"]: each["runs"] for each in found["targets"]}
    assert runs["host"]
    assert runs["vmvx"]
    assert runs["linux-aarch64"] == (machine.architecture == "aarch64")
    assert not runs["cortex-m7"]
    assert {each["name"] for each in found["emulators"]} >= {"qemu", "lavapipe"}
