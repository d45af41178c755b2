"""Targets for a running machine, from its processor's features and its GPU."""

from __future__ import annotations

import re
from collections.abc import Iterable

from targets.errors import TargetError
from targets.isa import ARCHITECTURES
from targets.registry import Registry
from targets.schema import Board, Emulator, Preset, Target, Tier

_TRIPLES = {
    ("Darwin", "aarch64"): ("arm64-apple-macosx11.0", "macOS 11 or newer"),
    ("Darwin", "x86_64"): ("x86_64-apple-macosx11.0", "macOS 11 or newer"),
    ("Linux", "aarch64"): ("aarch64-unknown-linux-gnu", "64-bit Linux with glibc 2.27 or newer"),
    ("Linux", "riscv64"): ("riscv64-unknown-linux-gnu", "64-bit Linux"),
    ("Linux", "x86_64"): ("x86_64-unknown-linux-gnu", "64-bit Linux with glibc 2.27 or newer"),
    ("Windows", "x86_64"): ("x86_64-pc-windows-msvc", "64-bit Windows"),
}
# LLVM's name of the architecture's baseline; the machine's features are listed on top.
_BASELINES = {"aarch64": "generic", "riscv64": "generic-rv64", "x86_64": "x86-64"}
# In order of their number of features: the first processor that has all features of the board runs its code.
_EMULATORS: dict[str, tuple[Tier, tuple[Emulator, ...]]] = {
    "aarch64": (
        "emulated",
        tuple(Emulator("qemu-aarch64", cpu) for cpu in ("cortex-a53", "cortex-a76", "max,sve=off", "max")),
    ),
    "riscv64": ("compiled", ()),
    "x86_64": ("native", (Emulator("qemu-x86_64", "max"),)),
}
_NEEDS_LEAVE = ("amx-", "sme")  # a process has to ask the system before it may use these, and the runtime does not


def processor_target(name: str, system: str, architecture: str, features: Iterable[str], cpu: str) -> Target:
    """Describe a machine's processor by its features, not by its name.

    Args:
        name: Name of the target to be.
        system: Name of the system, as Python's `platform.system` gives it.
        architecture: Name of the architecture, as in a target triple.
        features: All features of the processor, in LLVM's spelling.
        cpu: Name of the processor for people; may be empty.

    Raises:
        TargetError: Such a machine cannot be compiled for.
    """
    if (system, architecture) not in _TRIPLES:
        known = ", ".join(f"{known_system} {machine}" for known_system, machine in _TRIPLES)
        raise TargetError(f"{name}: {system} on {architecture} is no machine that this can describe; it can: {known}")
    triple, needs = _TRIPLES[system, architecture]
    tier, emulators = _EMULATORS[architecture]
    usable = sorted(
        feature
        for feature in ARCHITECTURES[architecture].features & set(features)
        if not feature.startswith(_NEEDS_LEAVE)
    )
    return Target(
        id=name,
        summary=f"{cpu or architecture}, described on the machine itself",
        family="cpu",
        triple=triple,
        cpu=_BASELINES[architecture],
        features=tuple(usable),
        needs=f"{needs}, Python 3.11 or newer, iree-base-runtime",
        emulators=emulators,
        tier=tier,
    )


def gpu_target(name: str, device: str, driver: str, lanes: int, int64: bool, known: Registry) -> Preset:
    """Describe a machine's GPU by the target that is made for it, or by the target of any GPU where there is none.

    Args:
        name: Name of the target to be.
        device: Name of the GPU, as its driver gives it.
        driver: Name and version of the driver.
        lanes: Number of invocations in a subgroup.
        int64: Whether the GPU has 64-bit integers.
        known: Registry with the targets that may be made for the GPU.
    """
    fitting = [target.id for target in known.survey()[0] if _is_for(target, device, lanes, int64)]
    base = fitting[0] if fitting else "vulkan"
    return Preset(
        id=name,
        base=base,
        summary=f"{device}, described on the machine itself",
        board=Board(soc=device, cores=f"{driver}, {lanes} lanes"),
    )


def _is_for(target: Target, device: str, lanes: int, int64: bool) -> bool:
    """Say whether a target's code is made for a GPU and computes right on it."""
    code = target.vulkan
    if code is None or target.base or not any(re.search(pattern, device) for pattern in code.names):
        return False
    return code.subgroup in (0, lanes) and (int64 or not code.int64)
