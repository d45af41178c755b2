"""Calls of functions from loops in compiled code: a sign of arithmetic that the processor has no instruction for.

The compiler then takes a function in software, such as `fmaf`, once for every number: a loop with such a call takes a
hundred times as long, and nothing says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from compile.support.errors import VerificationError
from compile.support.process import run_tool
from compile.support.scratch import scratch_folder
from compile.verify.binaries import find_elves
from compile.verify.static_checks import find_objdump

_SECONDS = 120.0
# By ELF's number of the architecture: triple, features, mnemonics of calls, and of jumps inside a function. A call
# through a register leaves the module, and is the runtime's.
_FORMS = {
    62: ("x86_64", "", r"callq?$", r"j\w+$"),
    183: ("aarch64", "+v8.6a,+neon,+dotprod,+i8mm,+fullfp16,+sve2", r"bl$", r"(b|b\.\w+|cbn?z|tbn?z)$"),
    40: ("armv8.6a", "+neon,+dotprod,+i8mm,+fullfp16", r"blx?$", r"b(\w\w)?(\.w)?$"),
    243: ("riscv64", "+m,+a,+f,+d,+c,+v", r"(c\.)?(jal|call)$", r"(c\.)?(j|b\w+)$"),
}
_ADDRESS = re.compile(r"(?:0x|\b)([0-9a-f]+)(?= <|$)")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of a disassembly.

    Attributes:
        address: Its address.
        name: Its mnemonic.
        operands: The rest of it.
    """

    address: int
    name: str
    operands: str

    @property
    def target(self) -> int | None:
        """Address that it jumps to or calls, if it names one."""
        found = _ADDRESS.search(self.operands.split(",")[-1].strip())
        return int(found[1], 16) if found else None


def find_calls_in_loops(code: bytes) -> list[str]:
    """Return the calls that lie in loops of a compiled module's machine code, as text.

    Raises:
        VerificationError: There is no disassembler, or it fails.
    """
    tool = find_objdump()
    if tool is None:
        raise VerificationError("the code cannot be disassembled: llvm-objdump is not installed")
    found: list[str] = []
    for elf in find_elves(code):
        triple, features, calls, jumps = _FORMS[elf.machine]
        with scratch_folder("loops") as folder:
            path = folder / "module.so"
            path.write_bytes(elf.without_attributes())
            command: list[str | Path] = [
                tool,
                "-d",
                "--no-show-raw-insn",
                f"--triple={triple}",
                f"--mattr={features}",
                path,
            ]
            finished = run_tool(command, _SECONDS)
        if finished.code:
            raise VerificationError(f"{tool.name} {finished.ending}", finished.diagnostics)
        found += select_calls(read_instructions(finished.output), calls, jumps)
    return found


def read_instructions(listing: str) -> list[Instruction]:
    """Return the instructions of a disassembly."""
    lines = re.finditer(r"^\s*([0-9a-f]+):\s+(\S+)[ \t]*(.*)$", listing, re.MULTILINE)
    return [Instruction(int(line[1], 16), line[2], line[3].split(" #")[0].split(" //")[0].strip()) for line in lines]


def select_calls(instructions: Sequence[Instruction], calls: str, jumps: str) -> list[str]:
    """Return the calls between the target of a jump backwards and the jump.

    Args:
        instructions: Instructions in the order of their addresses.
        calls: Regular expression of the mnemonics of calls.
        jumps: Regular expression of the mnemonics of jumps.
    """
    loops = [
        (target, one.address)
        for one in instructions
        if re.match(jumps, one.name) and (target := one.target) is not None and target <= one.address
    ]
    return [
        f"{one.address:x}: {one.name} {one.operands}"
        for one in instructions
        if re.match(calls, one.name)
        and one.target is not None
        and any(begin <= one.address <= end for begin, end in loops)
    ]
