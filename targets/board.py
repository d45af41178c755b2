"""The target that a running machine is, from what was seen of it."""

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
# The architecture's baseline by its LLVM name; what the machine has is listed on top.
_BASELINES = {"aarch64": "generic", "riscv64": "generic-rv64", "x86_64": "x86-64"}
# From the processor with fewest features to that with most: the first that has those of the board runs its code.
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
    """Describe a machine's processor by what it has, not by its name.

    Args:
        name: Name of the target to be.
        system: As Python's `platform.system` says.
        architecture: As in a target triple.
        features: All that the processor has, in LLVM's spelling.
        cpu: The processor's name for people; may be empty.

    Raises:
        TargetError: There is nothing to compile for such a machine.
    """
    if (system, architecture) not in _TRIPLES:
        known = ", ".join(f"{each} {machine}" for each, machine in _TRIPLES)
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
    """Describe a machine's GPU: the code of the target that is made for it, or, where there is none, of any GPU.

    Args:
        name: Name of the target to be.
        device: The GPU's name, as its driver says.
        driver: Name and version of the driver.
        lanes: Invocations in a subgroup.
        int64: Whether the GPU has 64-bit integers.
        known: Where the targets are that it may be.
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
    """Say whether a target's code is made for a GPU and will compute right on it."""
    code = target.vulkan
    if code is None or target.base or not any(re.search(pattern, device) for pattern in code.names):
        return False
    return code.subgroup in (0, lanes) and (int64 or not code.int64)
