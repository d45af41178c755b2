"""From a module in MLIR to a folder of C that needs no runtime."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from iree.compiler import ir

from compile.lowering.iree_compile import DEFAULT_TIMEOUT, compile_module, compiler_path
from compile.standalone.arena import pack_arena
from compile.standalone.errors import StandaloneError
from compile.standalone.schedule import Dispatch, Region, Schedule
from compile.standalone.toolchains import CompilerSpec, choose_compiler
from compile.standalone.tracing import trace_module
from compile.standalone.writing import write_sources
from compile.support.process import run_tool
from compile.support.scratch import scratch_folder
from runtime_py.decode.labels import Labels
from runtime_py.package_format.manifest import Bucket
from targets import Target

_QUERY = re.compile(r"^(\w+_library_query)\(", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Figures:
    """Sizes of a written parser.

    Attributes:
        code_bytes: Size of `kernels.o`.
        weight_bytes: Size of `weights.bin`.
        memory_bytes: Size of the working memory, besides a stack of up to 128 KiB.
        dispatches: Number of kernel calls in all entries together.
        seconds: Time that the compiler took.
    """

    code_bytes: int
    weight_bytes: int
    memory_bytes: int
    dispatches: int
    seconds: float


def write_standalone(
    module: Path,
    target: Target,
    flags: Sequence[str],
    buckets: Sequence[Bucket],
    labels: Labels,
    folder: Path,
    name: str,
    timeout: float = DEFAULT_TIMEOUT,
) -> Figures:
    """Compile a module and write it as C and an object file.

    Args:
        module: File of the module in MLIR, with one function for each bucket (ABI 1).
        target: Target whose object files are ELF.
        flags: Compiler flags for the target (`compile.lowering.iree_compile.target_flags`).
        buckets: Length buckets of the module.
        labels: Names of intents and tags.
        folder: Existing folder; files of the same names in it are replaced.
        name: Name of the parser, for people.
        timeout: Seconds that one run of the compiler may take.

    Raises:
        CompilerError: The compiler refuses the module.
        StandaloneError: The compiled module cannot be written as C.
        ToolchainError: There is no C compiler for the target.
    """
    cross = choose_compiler(target)
    with scratch_folder("standalone") as scratch:
        kernels = scratch / "kernels.o"
        compiled = compile_object(module, kernels, flags, buckets, timeout)
        schedule = compiled.schedule
        write_sources(folder, schedule, buckets, labels.intents, labels.tags, compiled.query, name)
        (folder / "kernels.o").write_bytes(kernels.read_bytes())
        (folder / "weights.bin").write_bytes(compiled.weights)
        (folder / "target.mk").write_text(_target_makefile(target.id, cross), encoding="utf-8")
    return Figures(
        code_bytes=(folder / "kernels.o").stat().st_size,
        weight_bytes=len(compiled.weights),
        memory_bytes=schedule.sizes[Region.STATE] + schedule.sizes[Region.ARENA],
        dispatches=sum(isinstance(step, Dispatch) for entry in schedule.entries for step in entry.steps),
        seconds=compiled.seconds,
    )


@dataclass(frozen=True, slots=True)
class CompiledObject:
    """What the compiler makes of a module that is linked without its runtime, beside the object file of its kernels.

    Attributes:
        schedule: Steps that call the kernels.
        weights: Constants of the module.
        query: Name of the function in the object file that lists the kernels.
        seconds: Time that the compiler took.
        reads: For kernels of our own, how many of their bindings they read (`compile.standalone.arena`).
    """

    schedule: Schedule
    weights: bytes
    query: str
    seconds: float
    reads: Mapping[str, int]


def static_flags(kernels: Path) -> tuple[str, ...]:
    """Return the compiler's flags for an object file of kernels instead of code that the runtime loads."""
    return (
        "--iree-llvmcpu-link-embedded=false",
        "--iree-llvmcpu-link-static",
        f"--iree-llvmcpu-static-library-output-path={kernels}",
    )


def compile_object(
    module: Path,
    kernels: Path,
    flags: Sequence[str],
    buckets: Sequence[Bucket],
    timeout: float = DEFAULT_TIMEOUT,
    name: str = "",
) -> CompiledObject:
    """Compile a module to an object file of kernels, and the steps that call them.

    Args:
        module: File of the module in MLIR, with one function for each bucket (ABI 1).
        kernels: Object file to write; the compiler's header appears beside it, and intermediate files.
        flags: Compiler flags for the target.
        buckets: Length buckets of the module.
        timeout: Seconds that one run of the compiler may take.
        name: Prefix of the object file's only public symbol, so that several parsers can be linked into one program.

    Raises:
        CompilerError: The compiler refuses the module.
        StandaloneError: The compiled module cannot be run without the runtime.
    """
    host = kernels.with_name("host.mlir")
    if name:
        module = _rename(module, kernels.with_name("renamed.mlirbc"), name)
    compiled = compile_module(module, host, (*flags, *static_flags(kernels), "--compile-to=hal"), timeout)
    reads = _own_kernels(module)
    schedule = pack_arena(trace_module(host, buckets), reads)
    weights = _weights(host, schedule, timeout)
    match = _QUERY.search(kernels.with_suffix(".h").read_text(encoding="utf-8"))
    if match is None:
        raise StandaloneError("the compiler's header for the object file names no function that lists its kernels")
    return CompiledObject(schedule, weights, match[1], compiled.seconds, reads)


def _own_kernels(module: Path) -> dict[str, int]:
    """Return our own kernels in a module, and how many of their bindings they read; these are the first ones."""
    found = {}
    with ir.Context() as context, ir.Location.unknown():
        context.allow_unregistered_dialects = False
        parsed = ir.Module.parse(module.read_bytes())
        for executable in parsed.body:
            if executable.operation.name != "hal.executable":
                continue
            for variant in executable.operation.regions[0].blocks[0]:
                if variant.operation.name == "hal.executable.variant":
                    for export in variant.operation.regions[0].blocks[0]:
                        if export.operation.name == "hal.executable.export":
                            layout = str(export.operation.attributes["layout"])
                            name = ir.StringAttr(export.operation.attributes["sym_name"]).value
                            found[name] = layout.count("ReadOnly")
    return found


def _rename(module: Path, destination: Path, name: str) -> Path:
    """Write a module under another name: the compiler calls the library of kernels after it."""
    with ir.Context() as context, ir.Location.unknown():
        context.allow_unregistered_dialects = False
        parsed = ir.Module.parse(module.read_bytes())
        parsed.operation.attributes["sym_name"] = ir.StringAttr.get(name)
        with destination.open("wb") as file:
            parsed.operation.write_bytecode(file)
    return destination


def _weights(host: Path, schedule: Schedule, timeout: float) -> bytes:
    """Return the module's constants, as the compiler lays them out in the archive that its last stage writes."""
    wanted = schedule.sizes[Region.CONSTANTS]
    if not wanted:
        return b""
    archive = host.with_suffix(".vmfb")
    finished = run_tool(
        [compiler_path(), host, "--compile-from=hal", "--iree-vm-emit-polyglot-zip=true", "-o", archive], timeout
    )
    if finished.code != 0 or finished.timed_out:
        raise StandaloneError(
            f"the compiler {finished.ending} when asked for the module's constants", finished.diagnostics
        )
    with zipfile.ZipFile(archive) as files:
        pools = [entry for entry in files.infolist() if entry.filename != "module.fb"]
        if [-(-entry.file_size // 64) * 64 for entry in pools] != [wanted]:
            sizes = ", ".join(f"{entry.filename} ({entry.file_size} bytes)" for entry in pools) or "none"
            raise StandaloneError(
                f"the module's constants are in several pieces, expected one of {wanted} bytes: {sizes}"
            )
        return files.read(pools[0])


def _target_makefile(target: str, cross: CompilerSpec) -> str:
    return f"""\
# kernels.o is for {target}. A compiler given on the command line or in the environment is used instead.
ifeq ($(origin CC),default)
CC := {cross.compiler}
endif
ifeq ($(origin AR),default)
AR := {cross.prefix}ar
endif
TARGET_FLAGS ?= {" ".join(cross.flags)}
"""
