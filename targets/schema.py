"""The schema of target files. Unknown keys are refused, so that a misspelt key cannot be ignored.

A file describes a whole target, or, with the key `base`, a preset: another target's code under a board's name, with the
facts of that board.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from targets.errors import TargetError
from targets.isa import ARCHITECTURES, architecture_of

_ID = re.compile(r"[a-z0-9][a-z0-9_-]*(\.[a-z0-9_-]+)*\Z")
_FLAG = re.compile(r"--[a-z][a-zA-Z0-9-]*(=\S+)?\Z")

_Kind = TypeVar("_Kind", bound=Struct)

Text = Annotated[str, Meta(min_length=1)]
Link = Annotated[str, Meta(pattern=r"^(https://\S+)?$")]
Feature = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
Tier = Literal["native", "emulated", "compiled"]

TIERS: dict[str, str] = {
    "native": "run on this processor, where it has the features",
    "emulated": "run in an emulator with the processor's or the GPU's model",
    "compiled": "compiled and looked at, not run: there is no runtime or no emulator for it",
}


class Flag(Struct, frozen=True, forbid_unknown_fields=True):
    """A compiler flag.

    Attributes:
        flag: The flag, `--name` or `--name=value`.
        reason: Why the flag is set: its gain, or what breaks without it.
    """

    flag: Text
    reason: Text


class Limit(Struct, frozen=True, forbid_unknown_fields=True):
    """A limit of a target.

    Attributes:
        text: Description of what is known not to work, or has not been verified.
        link: Address of further reading; empty for a limit that was found by trial here.
    """

    text: Text
    link: Link = ""


class Emulator(Struct, frozen=True, forbid_unknown_fields=True):
    """One way to run a target's code on a machine that is not the target.

    Attributes:
        kind: Kind of the emulator.
        cpu: QEMU's name of the processor, which traps instructions that the processor lacks; for QEMU only.
        lanes: Number of invocations in a subgroup, 4, 8 or 16; for lavapipe only.
    """

    kind: Literal["qemu-aarch64", "qemu-x86_64", "lavapipe", "swiftshader"]
    cpu: str = ""
    lanes: int = 0


class Vulkan(Struct, frozen=True, forbid_unknown_fields=True):
    """The properties of a GPU that the code of a Vulkan target relies on.

    The driver does not check them, and a GPU without them computes wrong numbers.

    Attributes:
        target: The compiler's name of the GPU.
        subgroup: Number of invocations in a subgroup that the code relies on; 0 for any number, for code that does not
            use subgroups.
        int64: Whether the code may use 64-bit integers.
        names: Regular expressions for the names that drivers give to such GPUs; for `pqrnn targets add
            --gpu`.
    """

    target: Text
    subgroup: Annotated[int, Meta(ge=0, le=128)]
    int64: bool
    names: tuple[Text, ...] = ()


class Board(Struct, frozen=True, forbid_unknown_fields=True):
    """The facts of the board that a preset is named after.

    Attributes:
        soc: Name of the chip.
        cores: Names of the processor cores, or of the GPU.
        features: All known features of the processor cores, in LLVM's spelling; the base may use no others.
        link: Address of further reading.
    """

    soc: Text
    cores: Text
    features: tuple[Feature, ...] = ()
    link: Link = ""


class Family(Struct, frozen=True, forbid_unknown_fields=True):
    """The common properties of targets of one kind.

    Attributes:
        id: Name of the family, which is that of its file.
        summary: One line for tables.
        device: Device of the runtime that runs the code, such as `local-sync`.
        flags: Compiler flags of every target of the family.
    """

    id: Literal["cpu", "vulkan", "vmvx"]
    summary: Text
    device: Text
    flags: tuple[Flag, ...]


class Target(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One thing to compile for.

    Attributes:
        id: Name of the target, which is that of its file.
        summary: One line for tables.
        family: Name of the target's family.
        triple: LLVM target triple, for the family `cpu`; "host" leaves it to the compiler.
        cpu: LLVM name of the processor, for the family `cpu`. It has to be given: without one the compiler makes slow
            code and only warns. "host" means the machine that compiles; "generic" is the architecture's baseline, with
            `features` on top.
        features: CPU features, in LLVM's spelling, that the code may use, all of them and beyond the architecture's
            baseline: the device is asked for each before the code is loaded. Empty for `cpu = "host"`, whose features
            are those of the machine.
        vulkan: Properties of a GPU that the code relies on, for the family `vulkan`.
        needs: Software that the device needs, in words.
        flags: Compiler flags besides those of the family.
        emulators: Ways to run the code on another machine, best first. This machine is always tried before them and
            is not listed.
        tier: Kind of verification, see `TIERS`.
        limits: Known limits.
        refused: Why there can be no working code for this target; empty for all others. It is listed so that its name
            has an answer.
        standalone: Whether only packages are refused: written as plain C (`pqrnn export-c`) the code is right.
        faster: Name of the target of such of these hosts as have more features; empty for most. A native parser has a
            library for either, and takes what the host has.
        development: Whether the target means something else on another machine, so that packages for it must not leave
            this one.
        base: The target whose code a preset is; empty for a target of its own. Set by the registry.
        board: Board that a preset is named after.
    """

    id: Text
    summary: Text
    family: Text
    triple: str = ""
    cpu: str = ""
    features: tuple[Feature, ...] = ()
    vulkan: Vulkan | None = None
    needs: Text
    flags: tuple[Flag, ...] = ()
    emulators: tuple[Emulator, ...] = ()
    tier: Tier
    limits: tuple[Limit, ...] = ()
    refused: str = ""
    standalone: bool = False
    faster: str = ""
    development: bool = False
    base: str = ""
    board: Board | None = None


class Preset(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Another target's code under a board's name.

    Keys that it leaves out are as in the base; its limits are added to those of the base.
    """

    id: Text
    base: Text
    summary: Text
    board: Board | None = None
    needs: Text | None = None
    emulators: tuple[Emulator, ...] | None = None
    tier: Tier | None = None
    limits: tuple[Limit, ...] = ()
    refused: str = ""


def decode_family(data: bytes, name: str, where: str) -> Family:
    """Decode the file of a family; arguments and errors as in `decode_target`."""
    family = _convert(_parse(data, where), Family, where)
    if family.id != name:
        raise TargetError(f"{where}: id is {family.id!r}, expected {name!r} as the file is called")
    _check_flags(family.flags, where)
    return family


def decode_target(data: bytes, name: str, where: str) -> Target | Preset:
    """Decode the file of a target, and check that it does not contradict itself.

    Args:
        data: Content of the file, TOML.
        name: Name of the file without its suffix.
        where: Name of the file in messages.

    Returns:
        A whole target, or a preset for `resolve_preset`.

    Raises:
        TargetError: The file is no TOML, has an unknown, missing or ill-typed key, or contradicts itself.
    """
    content = _parse(data, where)
    target = _convert(content, Preset, where) if "base" in content else _convert(content, Target, where)
    if target.id != name:
        raise TargetError(f"{where}: id is {target.id!r}, expected {name!r} as the file is called")
    if not _ID.match(target.id):
        raise TargetError(
            f"{where}: id is {target.id!r}, "
            "expected small letters, digits, '_', '-' and '.', and a letter or digit first"
        )
    if isinstance(target, Target):
        check_target(target, where)
    return target


def resolve_preset(preset: Preset, base: Target, where: str) -> Target:
    """Return the target of a preset, with the values of its base.

    Raises:
        TargetError: The preset contradicts the base: its board lacks a feature that the base's code may use.
    """
    target = msgspec.structs.replace(
        base,
        id=preset.id,
        summary=preset.summary,
        base=base.id,
        board=preset.board,
        needs=base.needs if preset.needs is None else preset.needs,
        emulators=base.emulators if preset.emulators is None else preset.emulators,
        tier=base.tier if preset.tier is None else preset.tier,
        limits=(*preset.limits, *base.limits),
        refused=preset.refused or base.refused,
    )
    check_target(target, where)
    return target


def check_target(target: Target, where: str) -> None:
    """Check that a target does not contradict itself.

    Raises:
        TargetError: The target contradicts itself; the message has the first contradiction.
    """
    _check_flags(target.flags, where)
    if target.family == "cpu":
        _check_machine(target, where)
    elif target.triple or target.cpu or target.features:
        raise TargetError(f"{where}: triple, cpu and features are for the family 'cpu', not for {target.family!r}")
    if (target.vulkan is not None) != (target.family == "vulkan"):
        raise TargetError(
            f"{where}: family is {target.family!r}, expected a table [vulkan] for the family 'vulkan' and for no other"
        )
    if target.vulkan is not None:
        _check_names(target.vulkan, where)
    for emulator in target.emulators:
        _check_emulator(emulator, target, where)
    if (target.tier == "emulated") > bool(target.emulators):
        raise TargetError(f"{where}: tier is 'emulated' and there are no emulators")


def _parse(data: bytes, where: str) -> dict[str, Any]:
    try:
        return msgspec.toml.decode(data, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise TargetError(f"{where}: {error}") from error


def _convert(content: dict[str, Any], kind: type[_Kind], where: str) -> _Kind:
    try:
        return msgspec.convert(content, type=kind)
    except msgspec.ValidationError as error:
        raise TargetError(f"{where}: {error}") from error


def _check_flags(flags: tuple[Flag, ...], where: str) -> None:
    for flag in flags:
        if not _FLAG.match(flag.flag):
            raise TargetError(f"{where}: {flag.flag!r} is no flag of the form --name or --name=value")


def _check_machine(target: Target, where: str) -> None:
    for key, value in (("triple", target.triple), ("cpu", target.cpu)):
        if not value:
            raise TargetError(
                f"{where}: missing required field `{key}`, which the family 'cpu' needs; "
                'the baseline is cpu = "generic"'
            )
    if (target.cpu == "host") != (target.triple == "host"):
        raise TargetError(
            f"{where}: cpu is {target.cpu!r} and triple {target.triple!r}, expected both or neither to be 'host'"
        )
    if target.cpu == "host":
        if target.features:
            raise TargetError(
                f"{where}: features are given for cpu = 'host', whose features are those of the machine that compiles"
            )
        if not target.development:
            raise TargetError(
                f"{where}: cpu = 'host' means another thing on another machine, expected development = true"
            )
        return
    architecture = architecture_of(target.triple)
    if architecture is None:
        raise TargetError(
            f"{where}: triple {target.triple!r} is of no architecture that is known here: "
            f"{', '.join(sorted(ARCHITECTURES))}"
        )
    board = target.board.features if target.board is not None else ()
    unknown = sorted({*target.features, *board} - ARCHITECTURES[architecture].features)
    if unknown:
        raise TargetError(f"{where}: {', '.join(unknown)}: no feature of {architecture} that is known here")
    lacking = sorted(set(target.features) - set(board))
    if board and lacking and not target.refused:
        raise TargetError(
            f"{where}: the board lacks {', '.join(lacking)}, which code for {target.base} may use; "
            "choose another base, or say why it is refused"
        )


def _check_names(vulkan: Vulkan, where: str) -> None:
    for pattern in vulkan.names:
        try:
            re.compile(pattern)
        except re.error as error:
            raise TargetError(f"{where}: {pattern!r} is no regular expression: {error}") from error


def _check_emulator(emulator: Emulator, target: Target, where: str) -> None:
    machine = emulator.kind.startswith("qemu-")
    if machine != bool(emulator.cpu) or (emulator.kind == "lavapipe") != bool(emulator.lanes):
        raise TargetError(
            f"{where}: emulator {emulator.kind}: QEMU takes a cpu, lavapipe takes lanes, and neither takes the other's"
        )
    if emulator.kind == "lavapipe" and emulator.lanes not in (4, 8, 16):
        raise TargetError(f"{where}: emulator lavapipe: lanes is {emulator.lanes}, expected 4, 8 or 16")
    fits = target.family != "vulkan" if machine else target.family == "vulkan"
    if machine and target.family == "cpu":
        fits = emulator.kind.removeprefix("qemu-") == architecture_of(target.triple)
    if not fits:
        triple = f" for {target.triple}" if target.triple else ""
        raise TargetError(f"{where}: emulator {emulator.kind} cannot run code of family {target.family!r}{triple}")
    if target.vulkan is not None and target.vulkan.subgroup not in (0, emulator.lanes or 4):
        raise TargetError(
            f"{where}: emulator {emulator.kind} has {emulator.lanes or 4} lanes, "
            f"the code counts on {target.vulkan.subgroup}"
        )
