"""Figures of a compiled module that need no run: the sizes of its parts, and its launches of generated code."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from compile.emulation.runner import native_tools
from compile.support.process import run_tool
from compile.target_bench.figures import BenchError

_SECONDS = 600.0
# The disassembler writes a function of the module by number, `@module:4`, or by name, `@module.name`.
_CALL = re.compile(r"vm\.call @[\w$]+(?::(\d+)|\.([\w$]+))\(")


@dataclass(frozen=True, slots=True)
class ModuleSizes:
    """Sizes of the parts of a compiled module in bytes.

    Attributes:
        code: Machine code, shaders, or the interpreter's code.
        weights: Weights and tables.
        program: The program that launches the code.
    """

    code: int
    weights: int
    program: int


def measure_module(module: Path) -> ModuleSizes:
    """Return the sizes of the parts of a compiled module, which is a zip archive of them.

    Raises:
        BenchError: The module is no such archive.
    """
    try:
        with zipfile.ZipFile(module) as archive:
            parts = {entry.filename: entry.file_size for entry in archive.infolist()}
    except (OSError, zipfile.BadZipFile) as error:
        raise BenchError(f"{module}: not a compiled module as this compiler writes it ({error})") from error
    program = sum(size for name, size in parts.items() if name == "module.fb")
    weights = sum(size for name, size in parts.items() if name.endswith(".bin"))
    return ModuleSizes(sum(parts.values()) - program - weights, weights, program)


def count_dispatches(module: Path, entries: Sequence[str]) -> dict[str, int]:
    """Return the number of launches of generated code in one call of each entry, from the program of the module.

    An entry launches by itself or through functions that it calls, or it replays a list of launches that the
    initialiser recorded; none of them has loops or choices.

    Raises:
        BenchError: The program cannot be read.
    """
    finished = run_tool([native_tools() / "iree-dump-module", "--output=disassembly", module], _SECONDS)
    if finished.code:
        raise BenchError(f"{module}: iree-dump-module {finished.ending}", finished.diagnostics)
    try:
        return read_launches(finished.output, entries)
    except BenchError as error:
        raise BenchError(f"{module}: {error}") from error


def read_launches(disassembly: str, entries: Sequence[str]) -> dict[str, int]:
    """Return the number of launches of each entry, from the disassembled program of a module.

    Raises:
        BenchError: There is no such entry, or what it replays is recorded nowhere.
    """
    bodies = _functions(disassembly)
    recorded = _recordings(bodies)
    counts = {}
    for entry in entries:
        numbers = [number for number, (name, _) in enumerate(bodies) if name in (entry, f"{entry}$async")]
        if not numbers:
            raise BenchError(f"has no function {entry}")
        own = [bodies[number][1] for number in sorted(_reached(bodies, numbers))]
        replayed = {
            slot
            for body in own
            for slot in re.findall(r"vm\.global\.load\.ref \.refs\[(\d+)\] : !hal\.command_buffer", body)
        }
        if not replayed <= recorded.keys():
            raise BenchError(f"cannot tell which launches {entry} replays")
        functions = [bodies[recorded[slot]][1] for slot in replayed]
        counts[entry] = sum(len(re.findall(r"@hal\.command_buffer\.dispatch\b", body)) for body in [*own, *functions])
    return counts


def _functions(text: str) -> list[tuple[str, str]]:
    """Return name and body of every function of a disassembly, by number."""
    parts = re.split(r"^vm\.func @([^(]+)\(", text, flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def _reached(bodies: list[tuple[str, str]], start: Iterable[int]) -> set[int]:
    """Return the numbers of functions, and of those that they call."""
    names = [name for name, _ in bodies]
    reached: set[int] = set()
    waiting = list(start)
    while waiting:
        number = waiting.pop()
        if number not in reached:
            reached.add(number)
            waiting += [
                int(called) if called else names.index(name)
                for called, name in _CALL.findall(bodies[number][1])
                if called or name in names
            ]
    return reached


def _recordings(bodies: list[tuple[str, str]]) -> dict[str, int]:
    """Return the numbers of the functions that recorded lists of launches, by slot of the list.

    The initialiser calls it by number, `@module:4`, or by name; the disassembler gives the name of the initialiser to
    the very first function, too.
    """
    stored = (
        r"vm\.call @[\w$]+(?::(\d+)|\.(\S+))\(\)\s+vm\.global\.store\.ref %\w+, \.refs\[(\d+)\] : !hal\.command_buffer"
    )
    names = [name for name, _ in bodies]
    return {
        slot: int(number) if number else names.index(name)
        for _, body in bodies
        for number, name, slot in re.findall(stored, body)
    }
