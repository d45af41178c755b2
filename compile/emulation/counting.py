"""The number of instructions that a compiled function executes, counted in an emulator, the same on every run.

The runtime's own benchmark program calls the function in QEMU with a plugin that counts (`count.c`). Two runs with
different numbers of calls are compared, so that starting and loading cancel out.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from compile.emulation import locations
from compile.support.process import run_tool
from compile.support.scratch import scratch_folder

_SOURCE = Path(__file__).with_name("count.c")
_SECONDS = 300.0
_CALLS = 4


class CountError(Exception):
    """Instructions cannot be counted here; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Instructions:
    """Instructions that one call executes.

    Attributes:
        code: Exact number of instructions of the compiled module itself.
        call: Number of all instructions, with those of the runtime and the loop of the benchmark, a rounded average.
    """

    code: int
    call: int


def count_instructions(arguments: Sequence[str], cpu: str) -> Instructions:
    """Count the instructions that one call of a function executes on 64-bit ARM.

    Args:
        arguments: Arguments of `iree-benchmark-module`: device, module, function and inputs.
        cpu: QEMU's name of the processor.

    Raises:
        CountError: The emulator or a C compiler is missing, the function does not run, or two calls execute
            different numbers of instructions.
    """
    few, many = _count(arguments, cpu, 1), _count(arguments, cpu, 1 + _CALLS)
    code, rest = divmod(many.code - few.code, _CALLS)
    if rest:
        raise CountError(
            f"its calls do not execute equally many instructions: 1 call {few.code}, {1 + _CALLS} calls {many.code}"
        )
    return Instructions(code, round((many.call - few.call) / _CALLS))


def _count(arguments: Sequence[str], cpu: str, calls: int, options: Sequence[str] = ()) -> Instructions:
    """Count the instructions of a whole run with some calls, with further options for the emulator."""
    installed, qemu = locations.aarch64(), locations.counting_qemu()
    if installed is None or qemu is None:
        raise CountError("the emulator that counts is not installed: run `make emulators`")
    # Instructions are the same on every processor that can run the code, so the processor with all features may replace
    # one that this emulator does not know.
    model = cpu if cpu.split(",")[0] in qemu.processors else "max"
    with scratch_folder("count") as folder:
        result = folder / "counts"
        command: list[str | Path] = [
            qemu.path,
            "-plugin",
            f"{_plugin()},out={result}",
            "-L",
            installed.root,
            "-cpu",
            model,
            installed.tools / "iree-benchmark-module",
        ]
        environment = {"LD_LIBRARY_PATH": os.pathsep.join(map(str, qemu.libraries))} if qemu.libraries else {}
        # The emulated program must not search the libraries of the emulator.
        unset = ["-U", "LD_LIBRARY_PATH"] if qemu.libraries else []
        finished = run_tool(
            [*command[:1], *unset, *options, *command[1:], *arguments, f"--benchmark_min_time={calls}x"],
            _SECONDS,
            environment=environment,
        )
        if finished.code or not result.is_file() or "error" in finished.output.lower():
            raise CountError(
                f"the benchmark {finished.ending} in {qemu.path.name}: {finished.diagnostics.strip()[-300:]}"
            )
        everything, code = (int(number) for number in result.read_text(encoding="ascii").split())
    return Instructions(code, everything)


def _plugin() -> Path:
    """Return the library of the plugin, which is compiled on first use."""
    digest = hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:16]
    library = locations.emulators_folder() / "plugins" / f"count-{digest}.so"
    if library.is_file():
        return library
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise CountError("the plugin that counts has to be compiled, and there is no C compiler: apt-get install gcc")
    library.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        part = Path(folder) / library.name
        finished = run_tool([compiler, "-O2", "-shared", "-fPIC", "-fvisibility=hidden", "-o", part, _SOURCE], _SECONDS)
        if finished.code:
            raise CountError(f"the plugin that counts does not compile: {finished.diagnostics.strip()[-300:]}")
        os.replace(part, library)
    return library
