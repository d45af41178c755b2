"""The IREE compiler: its program, its flags, and its diagnostics."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from compile.support.errors import CompilerError
from compile.support.process import run_tool
from compile.support.scratch import full_disk, is_full
from targets.schema import Family, Target

# Flags of every package: nothing that is shipped has file names or source lines of the machine that compiles (13 KB a
# module, and the reason why the same module compiles to the same bytes in every folder), or debug information, whose
# unwinding symbols 32-bit ARM cannot load.
STRIP_FLAGS = (
    "--iree-vm-bytecode-module-strip-source-map=true",
    "--iree-vm-bytecode-module-strip-debug-ops=true",
    "--iree-llvmcpu-debug-symbols=false",
)
DEFAULT_TIMEOUT = 900.0
_VULKAN = "--iree-hal-target-device=vulkan"
# Between these two runs of the compiler shaders are joined (`compile.lowering.shader_library`).
_TO_SHADERS = "--compile-to=executable-targets"
_FROM_SHADERS = "--compile-from=executable-targets"


@dataclass(frozen=True, slots=True)
class Compiled:
    """A module that the compiler wrote.

    Attributes:
        path: Path of the `.vmfb`.
        flags: Compiler flags, without paths.
        seconds: Wall time that compiling took, also where the module comes from the cache.
        statistics: The compiler's own count of dispatches, constants and memory.
        cached: Whether the module comes from the cache.
    """

    path: Path
    flags: tuple[str, ...]
    seconds: float
    statistics: Statistics
    cached: bool = False


class Statistics(msgspec.Struct, frozen=True):
    """The compiler's counts over all entries of a module.

    Attributes:
        dispatches: Number of launches of generated code.
        executables: Number of distinct pieces of generated code.
        constant_bytes: Size of weights and tables.
        transient_bytes: Size of the working memory of all entries together.
    """

    dispatches: int
    executables: int
    constant_bytes: int
    transient_bytes: int


@cache
def compiler_path() -> Path:
    """Return the path of the compiler's program.

    `iree-compile` on the PATH is a Python script that starts it, and that leaves it running when killed itself.

    Raises:
        CompilerError: The compiler is not installed.
    """
    spec = find_spec("iree.compiler") if find_spec("iree") is not None else None
    for folder in (spec.submodule_search_locations or []) if spec is not None else []:
        for name in ("iree-compile", "iree-compile.exe"):
            path = Path(folder) / "_mlir_libs" / name
            if path.is_file():
                return path
    raise CompilerError("the IREE compiler is not installed. Install it: pip install 'pqrnn[compile]'")


def target_flags(target: Target, family: Family) -> tuple[str, ...]:
    """Return the compiler flags for a target: its family's, its machine, its own, and those of every package."""
    flags = [flag.flag for flag in family.flags]
    if target.vulkan is not None:
        flags.append(f"--iree-vulkan-target={target.vulkan.target}")
    elif family.id == "cpu":
        if target.triple != "host":
            flags.append(f"--iree-llvmcpu-target-triple={target.triple}")
        flags.append(f"--iree-llvmcpu-target-cpu={target.cpu}")
        if target.features:
            flags.append(f"--iree-llvmcpu-target-cpu-features={','.join(f'+{feature}' for feature in target.features)}")
    return (*flags, *(flag.flag for flag in target.flags), *STRIP_FLAGS)


def compile_command(source: str, destination: str, flags: Sequence[str]) -> str:
    """Return the command that compiles a module, as a shell takes it."""
    return shlex.join(["iree-compile", source, "-o", destination, *flags])


def compile_module(
    source: Path, destination: Path, flags: tuple[str, ...], timeout: float = DEFAULT_TIMEOUT
) -> Compiled:
    """Compile a module.

    Args:
        source: File of the module in MLIR, text or bytecode.
        destination: The `.vmfb` to write. After an error it does not exist.
        flags: Compiler flags, from `target_flags`.
        timeout: Seconds after which the compiler is killed.

    Raises:
        CompilerError: The compiler refuses the module, crashes, or runs out of time; with its diagnostics and the files
            to repeat the run.
        ScratchError: The disk is full.
    """
    figures = destination.with_name(f"{destination.name}.statistics.json")
    bookkeeping = ("--iree-scheduling-dump-statistics-format=json", f"--iree-scheduling-dump-statistics-file={figures}")
    joined = destination.with_name(f"{destination.name}.joined.mlir")
    try:
        if _VULKAN not in flags:
            seconds = _run(source, destination, flags, bookkeeping, timeout)
            return Compiled(destination, flags, seconds, _statistics(figures))
        from compile.lowering.shader_library import join_shaders

        before = _run(source, joined, (*flags, _TO_SHADERS), bookkeeping, timeout)
        join_shaders(joined, joined)
        after = _run(joined, destination, (*flags, _FROM_SHADERS), (), timeout - before)
        return Compiled(destination, flags, before + after, _statistics(figures))
    except BaseException:
        destination.unlink(missing_ok=True)
        raise
    finally:
        figures.unlink(missing_ok=True)
        joined.unlink(missing_ok=True)


def _run(
    source: Path, destination: Path, flags: tuple[str, ...], bookkeeping: tuple[str, ...], timeout: float
) -> float:
    """Run the compiler, and return the seconds that it took; `bookkeeping` is no part of the evidence."""
    finished = run_tool([compiler_path(), source, "-o", destination, *flags, *bookkeeping], timeout)
    if finished.code != 0 or finished.timed_out or not destination.is_file():
        if not finished.timed_out and ("No space left" in finished.diagnostics or is_full(destination.parent)):
            raise full_disk(destination.parent)
        # The folder of the joined module is deleted before whoever examines the failure reads the evidence.
        kept = source.read_bytes() if source.name.endswith(".joined.mlir") else source
        raise CompilerError(
            f"the compiler {finished.ending}",
            without_noise(finished.diagnostics),
            {
                **compile_evidence(source, flags),
                f"module{source.suffix}": kept,
                "stderr.txt": finished.diagnostics.encode(),
            },
        )
    return finished.seconds


def compile_evidence(source: Path, flags: tuple[str, ...]) -> dict[str, bytes | Path]:
    """Return the files that repeat a run of the compiler: the module and the command."""
    name = f"module{source.suffix}"
    return {
        name: source,
        "command.sh": f"#!/bin/sh\n# {compiler_version()}\n{compile_command(name, 'module.vmfb', flags)}\n".encode(),
    }


def without_noise(diagnostics: str) -> str:
    """Return diagnostics without the dump of the whole operation that follows them, and without the stack trace."""
    kept = []
    for line in diagnostics.splitlines():
        if (
            "see current operation:" in line
            or line.startswith("Stack dump:")
            or line.startswith("Please report issues")
        ):
            break
        kept.append(line)
    return "\n".join(kept)


def _statistics(figures: Path) -> Statistics:
    """Read the compiler's statistics file."""
    total: dict[str, Any] = msgspec.json.decode(figures.read_bytes())["stream-aggregate"]
    return Statistics(
        dispatches=total["execution"]["dispatch-count"],
        executables=total["executable"]["executable-count"],
        constant_bytes=total["global"]["constant-size"],
        transient_bytes=total["execution"]["transient-memory-size"],
    )


@cache
def compiler_version() -> str:
    """Return the compiler's version, such as "IREE compiler version 3.13.0rc20261016 @ 89ece87b".

    Raises:
        CompilerError: The compiler is not installed or does not start.
    """
    finished = run_tool([compiler_path(), "--version"], 60.0)
    match = re.search(r"IREE compiler version .*", finished.output)
    if finished.code != 0 or match is None:
        raise CompilerError(f"the compiler {finished.ending} when asked for its version", finished.diagnostics)
    return match[0].strip()
