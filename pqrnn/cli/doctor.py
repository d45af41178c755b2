"""`pqrnn doctor`."""

from __future__ import annotations

import importlib.metadata as metadata
import platform
import re
from typing import TYPE_CHECKING

import msgspec
import typer

from pqrnn.cli.app import app
from pqrnn.cli.options import JsonOption
from pqrnn.cli.output import print_json, show_table

if TYPE_CHECKING:
    from targets import Registry, Target

_JOBS = {
    "": "run packages",
    "train": "train",
    "teacher": "distil",
    "compile": "compile",
    "serve": "answer over HTTP",
    "wyoming": "answer Home Assistant",
    "hassil": "learn its sentences",
    "bench": "compare with peers",
    "dev": "develop and test",
}


class PackageState(msgspec.Struct, frozen=True):
    """A Python package that some job needs.

    Attributes:
        name: Of the distribution.
        extra: Of pqrnn, that brings it; "" for the base install.
        wanted: Versions that will do, as pip writes them.
        installed: The version that is there, or "".
        good: Whether it is there, and of the version where one is pinned.
    """

    name: str
    extra: str
    wanted: str
    installed: str
    good: bool


class JobState(msgspec.Struct, frozen=True):
    """Something to do with pqrnn: `get` is what to install for it, "" where nothing is missing."""

    job: str
    extra: str
    get: str


class EmulatorState(msgspec.Struct, frozen=True):
    """A component of the emulators: what it is for, whether it can be used, its version and place or how to get it."""

    name: str
    summary: str
    usable: bool
    source: str


class TargetState(msgspec.Struct, frozen=True):
    """Whether this machine itself runs a target's code; `reason` says why not, "" where it does."""

    name: str
    runs: bool
    reason: str


class Diagnosis(msgspec.Struct, frozen=True):
    """What this machine can do.

    Attributes:
        system: Operating system, architecture and Python.
        cpu: Name of the processor.
        features: Of the processor, in LLVM's spelling.
        gpus: Vulkan devices, software last.
        gpu_problem: Why there is none.
        packages: Python packages.
        jobs: What can be done with them.
        emulators: What stands for other machines.
        targets: What runs here without an emulator.
        cache: Where things are kept that can be made again.
    """

    system: str
    cpu: str
    features: list[str]
    gpus: list[str]
    gpu_problem: str
    packages: list[PackageState]
    jobs: list[JobState]
    emulators: list[EmulatorState]
    targets: list[TargetState]
    cache: str


@app.command(epilog="Example:  `pqrnn doctor --json`")
def doctor(json: JsonOption = False) -> None:
    """Say what this machine can do.

    Python packages by job, processor, GPU, targets that run here, emulators. The exit code is 1 if packages cannot run.
    """
    found = diagnose()
    if json:
        print_json(found)
    else:
        _show(found)
    if found.jobs[0].get:
        raise typer.Exit(1)


def diagnose() -> Diagnosis:
    """Look at this machine. Nothing is written or installed; Vulkan drivers are loaded."""
    from compile.emulation.install import survey_components
    from runtime_py.device.preflight import this_machine
    from runtime_py.device.vulkan import vulkan_devices
    from targets import registry

    machine, gpus = this_machine(), vulkan_devices()
    packages = check_packages(metadata.requires("pqrnn") or [])
    known = registry()
    return Diagnosis(
        system=f"{platform.system()} {platform.release()}, {machine.architecture}, Python {platform.python_version()}",
        cpu=machine.cpu,
        features=sorted(machine.features),
        gpus=[device.title for device in gpus.devices],
        gpu_problem=gpus.problem,
        packages=packages,
        jobs=[JobState(job, extra, _missing(packages, extra)) for extra, job in _JOBS.items()],
        emulators=[EmulatorState(each.name, each.summary, each.usable, each.source) for each in survey_components()],
        targets=[_try_target(target, known) for target in known.survey()[0]],
        cache=_cache(),
    )


def _cache() -> str:
    """Return the folder of what is kept, or why there is none; nothing is made there."""
    from runtime_py.cache import cache_folder, check_private
    from runtime_py.errors import CacheError

    try:
        return str(check_private(cache_folder()))
    except CacheError as error:
        return f"none: {error}"


def check_packages(requirements: list[str]) -> list[PackageState]:
    """Compare what a distribution requires with what is installed.

    Args:
        requirements: As `importlib.metadata.requires` returns them: `torch==2.13.0; extra == 'train'`.
    """
    found = []
    for text in requirements:
        requirement, _, marker = text.partition(";")
        match = re.match(r"([A-Za-z0-9._-]+)\s*(.*)", requirement.strip())
        assert match is not None
        name, wanted = match[1], match[2].strip()
        extra = re.search(r"extra == ['\"](.*?)['\"]", marker)
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            installed = ""
        pinned = re.fullmatch(r"==(.*)", wanted)
        # A build's own mark, as in 2.13.0+cpu, is of no interest.
        good = bool(installed) and (pinned is None or installed.partition("+")[0] == pinned[1])
        found.append(PackageState(name, extra[1] if extra else "", wanted, installed, good))
    return found


def _missing(packages: list[PackageState], extra: str) -> str:
    lacking = [each for each in packages if each.extra == extra and not each.good]
    if not lacking:
        return ""
    named = ", ".join(f"{each.name} {each.installed or 'missing'}, expected {each.wanted}" for each in lacking)
    return f"{named}: pip install 'pqrnn{f'[{extra}]' if extra else ''}'"


def _try_target(target: Target, known: Registry) -> TargetState:
    from compile.emulation.runner import RunnerNotFoundError, native_runner
    from runtime_py.package_format.manifest import ANY, Variant, VulkanNeeds

    if target.refused:
        return TargetState(target.id, False, target.refused)
    named = target.family == "cpu" and not target.development
    gpu = None if target.vulkan is None else VulkanNeeds(target.vulkan.subgroup, target.vulkan.int64)
    code = Variant(
        target=target.id,
        device=known.family(target).device,
        triple=target.triple if named else ANY,
        cpu=target.cpu if named else ANY,
        features=list(target.features),
        path="",
        flags=[],
        compile_seconds=0.0,
        parity=None,
        vulkan=gpu,
    )
    try:
        native_runner(code)
    except RunnerNotFoundError as error:
        return TargetState(target.id, False, error.reason.removeprefix("this machine: "))
    return TargetState(target.id, True, "")


def _show(found: Diagnosis) -> None:
    rows = [
        ("system", found.system),
        ("processor", found.cpu),
        ("its features", " ".join(found.features)),
        ("GPU", "; ".join(found.gpus) or found.gpu_problem),
        ("cache", found.cache),
    ]
    show_table("this machine", ("what", "found"), rows)
    show_table(
        "jobs",
        ("job", "install", "state"),
        [(each.job, f"pqrnn[{each.extra}]" if each.extra else "pqrnn", each.get or "ready") for each in found.jobs],
    )
    show_table(
        "targets that run here",
        ("target", "runs"),
        [(each.name, "yes" if each.runs else each.reason) for each in found.targets],
    )
    show_table(
        "emulators, for compiling for other machines",
        ("part", "for", "state"),
        [(each.name, each.summary, each.source) for each in found.emulators],
    )
