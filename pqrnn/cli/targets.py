"""`pqrnn targets`."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.options import JsonOption
from pqrnn.cli.output import print_json, say, show_table

if TYPE_CHECKING:
    from targets import Target
    from targets.schema import Preset

targets_app = typer.Typer(invoke_without_command=True, help="What can be compiled for.")
app.add_typer(targets_app, name="targets")


@targets_app.callback(
    epilog="""Examples:  `pqrnn targets`  ·  `pqrnn targets show raspberry-pi-5`  ·  on a board of your own
`pqrnn targets add my-board`

A target is one TOML file. Yours are in `~/.config/pqrnn/targets` (or $PQRNN_TARGETS); installed packages bring theirs.
"""
)
def list_targets(context: typer.Context, json: JsonOption = False) -> None:
    """List the targets that `pqrnn compile --target` takes, and what proves each.

    Its code is run on a processor, run in an emulator, or only compiled.
    """
    if context.invoked_subcommand is not None:
        return
    from targets import TIERS, registry

    found, problems = registry().survey()
    if json:
        print_json(found)
    else:
        rows = [(each.id, each.summary, _machine(each), _proof(each)) for each in found]
        show_table("targets", ("name", "for", "processor or GPU", "proof"), rows)
        for tier, meaning in TIERS.items():
            typer.echo(f"{tier}: {meaning}")
    for problem in problems:
        say(problem, color="red", error=True)
    if problems:
        raise typer.Exit(1)


@targets_app.command(epilog="Example:  `pqrnn targets show raspberry-pi-5`")
def show(name: Annotated[str, typer.Argument(help="A target by its name.")], json: JsonOption = False) -> None:
    """Show all that is known of one target.

    What it needs, how it is emulated, its limits, and each compiler flag with its reason.
    """
    from targets import registry

    known = registry()
    target = known.get(name)
    if json:
        print_json(target)
        return
    show_table(target.id, ("fact", "value"), [*_facts(target), ("from", known.origin(name))])
    if target.limits:
        show_table(
            "limits",
            ("what does not work, or is not proved", "read up"),
            [(each.text, each.link) for each in target.limits],
        )
    flags = (*known.family(target).flags, *target.flags)
    show_table("compiler flags", ("flag", "why"), [(each.flag, each.reason) for each in flags])


@targets_app.command(
    epilog="""Example, on the board:  `pqrnn targets add my-board`  then copy the file that it names to the same folder
on the machine that compiles, and there  `pqrnn compile runs/home --target my-board --out home.pqrnn`. In one go:
`ssh board pqrnn targets add my-board --out - > ~/.config/pqrnn/targets/my-board.toml`"""
)
def add(
    name: Annotated[
        str, typer.Argument(help="What the target will be called: small letters, digits, '-', '_' and '.'.")
    ],
    gpu: Annotated[bool, typer.Option("--gpu", help="Describe the GPU (Vulkan) instead of the processor.")] = False,
    out: Annotated[
        str | None,
        typer.Option("--out", help="The file, by default NAME.toml in the folder of your own targets; `-` prints it."),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Write over a file that is there.")] = False,
) -> None:
    """Describe the machine that this runs on as a target: its processor's features, or its GPU, as a TOML file.

    Needs neither PyTorch nor the compiler, so it runs on the board itself. The file lists what the processor has, not
    what it is called: chips of one name differ. A parser that is compiled for it is refused by any machine that lacks
    one of these features.
    """
    from runtime_py.atomic_files import write_atomic
    from targets import TargetError
    from targets.registry import FOLDER_VARIABLE
    from targets.writing import encode_target

    destination = None if out == "-" else _destination(name, out, replace)
    target, seen = _gpu(name) if gpu else _processor(name)
    text = encode_target(
        target, f"Written by `pqrnn targets add {name}{' --gpu' if gpu else ''}` on the machine that it is about."
    )
    if destination is None:
        typer.echo(text, nl=False)
        return
    try:
        write_atomic(destination, text.encode())
    except OSError as error:
        raise TargetError(
            f"{destination}: cannot be written ({error.strerror or error}); name another file with --out, or another "
            f"folder for all targets of your own in ${FOLDER_VARIABLE}"
        ) from error
    typer.echo(
        f"{seen}\nwrote {destination}: `pqrnn targets show {name}` shows it, `pqrnn compile RUN --target {name}` "
        f"compiles for it"
    )


def _machine(target: Target) -> str:
    """Return what a target's code is for, in a few words."""
    if target.vulkan is not None:
        lanes = f"{target.vulkan.subgroup} lanes" if target.vulkan.subgroup else "any lanes"
        return f"{target.vulkan.target}, {lanes}"
    if target.family == "vmvx":
        return "any"
    if target.board is not None:
        return f"{target.board.soc}, {target.board.cores}"
    shown = target.cpu if target.cpu in ("host", "x86-64-v2", "x86-64-v3", "x86-64-v4") else target.triple.split("-")[0]
    extra = target.features if not target.cpu.startswith("x86-64") else ()
    return " ".join([shown, *(f"+{feature}" for feature in extra)])


def _proof(target: Target) -> str:
    if target.refused:
        return "as C only" if target.standalone else "refused"
    return target.tier


def _facts(target: Target) -> list[tuple[str, str]]:
    from compile.kernels.advice import advise_precision, describe_kernels
    from targets import TIERS

    facts = [("for", target.summary), ("family", target.family), ("base", target.base)]
    if target.board is not None:
        board = target.board
        facts += [
            ("board", f"{board.soc}: {board.cores}"),
            ("the board has", " ".join(board.features)),
            ("read up", board.link),
        ]
    if target.vulkan is not None:
        code = target.vulkan
        lanes = f"code counts on {code.subgroup} lanes" if code.subgroup else "code runs with any number of lanes"
        facts.append(("GPU", f"{code.target}; {lanes}; {'may use' if code.int64 else 'uses no'} 64-bit integers"))
    runs = not target.refused or target.standalone
    facts += [
        ("triple", target.triple),
        ("processor", target.cpu),
        ("features", " ".join(target.features)),
        ("needs", target.needs),
        ("int8", describe_kernels(target, True) if runs else ""),
        ("4 bits", describe_kernels(target, True, 4) if runs else ""),
        ("float32", describe_kernels(target, False) if runs else ""),
        ("choose", advise_precision(target) if runs else ""),
        ("proof", "" if target.refused else f"{target.tier}: {TIERS[target.tier]}"),
        (
            "emulators",
            ", ".join(
                " ".join(filter(None, [each.kind, each.cpu, f"{each.lanes} lanes" if each.lanes else ""]))
                for each in target.emulators
            ),
        ),
        ("refused", target.refused),
        ("faster", f"{target.faster}, for hosts that have it: a native parser has both" if target.faster else ""),
        (
            "development",
            "means another thing on another machine: not for packages that leave this one"
            if target.development
            else "",
        ),
    ]
    return [(fact, value) for fact, value in facts if value]


def _destination(name: str, out: str | None, replace: bool) -> Path:
    """Return the file to write, if that may be."""
    from targets import Registry, TargetError
    from targets.registry import SUFFIX, installed_sources, shipped_source, user_folder

    others = Registry([shipped_source(), *installed_sources()])
    if name in others.names():
        raise TargetError(
            f"{name}: there is a target of that name already ({others.origin(name)}). Choose another name"
        )
    path = Path(out) if out is not None else user_folder() / f"{name}{SUFFIX}"
    if path.name != f"{name}{SUFFIX}":
        raise TargetError(f"{path}: a target's file is called as the target, expected {name}{SUFFIX}")
    if path.exists() and not replace:
        raise TargetError(f"{path}: exists already. Choose another name, or say that it may be replaced (--replace)")
    return path


def _processor(name: str) -> tuple[Target, str]:
    from runtime_py.device.preflight import this_machine
    from targets.board import processor_target

    machine = this_machine()
    target = processor_target(name, platform.system(), machine.architecture, machine.features, machine.cpu)
    return (
        target,
        f"{machine.cpu or 'processor'}: {machine.architecture}, "
        f"{' '.join(target.features) or 'nothing beyond the baseline'}",
    )


def _gpu(name: str) -> tuple[Preset, str]:
    from runtime_py.device.vulkan import vulkan_devices
    from targets import TargetError, registry
    from targets.board import gpu_target

    found = vulkan_devices()
    if not found.devices:
        raise TargetError(f"{name}: {found.problem}")
    device = found.devices[0]
    if not device.baseline:
        raise TargetError(f"{name}: {device.title}: lacks what the runtime needs of Vulkan 1.3; install a newer driver")
    target = gpu_target(name, device.name, device.driver, device.subgroup, "shaderInt64" in device.features, registry())
    others = "".join(f"\nleft out: {other.title}" for other in found.devices[1:])
    return target, f"{device.title}: code of the target {target.base}{others}"
