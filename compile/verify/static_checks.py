"""Checks of code that nothing here can run: its machine, its undefined symbols, and the instructions that it uses.

Instructions are checked by a disassembler that is told the target's features and no others. Bytes that it can then no
longer read as an instruction, and can read when it is told every feature of the architecture, are an instruction that
the device need not have. (Bytes that it can read in neither way are constants: 32-bit ARM keeps them between the
functions.)
"""

from __future__ import annotations

import re
import shutil
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from compile.lowering.processor import Processor
from compile.support.errors import VerificationError
from compile.support.process import run_tool
from compile.support.scratch import scratch_folder
from compile.verify.binaries import Elf, find_elves, find_shaders
from targets.isa import ARCHITECTURES, architecture_of

_SECONDS = 120.0
_NEWEST = 30  # llvm-objdump-N on Debian


@dataclass(frozen=True, slots=True)
class _Form:
    """The form of one architecture's code, for recognizing and disassembling it.

    Attributes:
        bits: ELF's word size.
        machine: ELF's number of the architecture.
        triple: Triple for the disassembler; empty for an architecture that is not disassembled.
        everything: Features with which the disassembler reads every instruction.
    """

    bits: int
    machine: int
    triple: str = ""
    everything: str = ""


_FORMS = {
    "aarch64": _Form(
        64,
        183,
        "aarch64",
        "+v8.6a,+neon,+crypto,+sha3,+sm4,+fullfp16,+fp16fml,+dotprod,+i8mm,+bf16,+sve2,+f32mm,+f64mm,+sme,+lse,+rdm",
    ),
    "arm": _Form(32, 40, "armv8.6a", "+neon,+crypto,+fullfp16,+fp16fml,+dotprod,+i8mm,+bf16"),
    "riscv64": _Form(64, 243, "riscv64", "+m,+a,+f,+d,+c,+v,+zba,+zbb,+zbc,+zbs,+zfh,+zvfh,+zicond"),
    "x86_64": _Form(64, 62),  # its disassemblers read every instruction, whatever they are told
}
# Bits of RISC-V's file flags, and tags of the attributes: RISC-V's architecture, and ARM's floating-point and vector
# units.
_COMPRESSED = 1
_RISCV_ARCH, _ARM_FLOAT, _ARM_VECTORS = 5, 10, 12
# From which value of the attribute on a feature is used: VFPv4 is 5 (with 32 registers) and 6 (with 16), as the fused
# NEON is 2.
_ARM_FUSED = {_ARM_FLOAT: 5, _ARM_VECTORS: 2}
# SPIR-V's capabilities that a device may lack, by Vulkan's names of the features that allow them.
_SHADER_FEATURES = {
    9: "shaderFloat16",
    10: "shaderFloat64",
    11: "shaderInt64",
    22: "shaderInt16",
    39: "shaderInt8",
    4433: "storageBuffer16BitAccess",
    4434: "uniformAndStorageBuffer16BitAccess",
    4435: "storagePushConstant16",
    4448: "storageBuffer8BitAccess",
    4449: "uniformAndStorageBuffer8BitAccess",
    4450: "storagePushConstant8",
    5345: "vulkanMemoryModel",
    5347: "bufferDeviceAddress",
    6016: "shaderIntegerDotProduct",
    6017: "shaderIntegerDotProduct",
    6018: "shaderIntegerDotProduct",
    6019: "shaderIntegerDotProduct",
    6022: "cooperativeMatrix",
}
INT64 = "shaderInt64"
# SPIR-V's capabilities of operations among the lanes of a subgroup: GroupNonUniform and its kinds, and what there was
# before them.
_SUBGROUP_CAPABILITIES = frozenset([*range(61, 69), 4423, 4431])


_LARGEST_PAGE = 1 << 16  # bytes, of Linux on 64-bit ARM


def check_machine_code(code: bytes, processor: Processor) -> str:
    """Check the code of a compiled module for a processor.

    Args:
        code: Bytes of the module.
        processor: The processor that the module was compiled for.

    Returns:
        What was checked, in words.

    Raises:
        VerificationError: The code cannot run on such a processor.
    """
    architecture = architecture_of(processor.triple)
    if architecture is None:
        raise VerificationError(f"code for {processor.triple} cannot be checked")
    form = _FORMS[architecture]
    elves = _find_elves(code)
    if not elves:
        raise VerificationError("the compiled module holds no machine code")
    seen = [f"{form.bits}-bit ELF for {architecture}", "no undefined symbols"]
    faults: list[str] = []
    for elf in elves:
        faults += _faults(elf, form, architecture, processor.features)
    if architecture in ("arm", "riscv64"):
        seen.append("its own account of what it needs")
    if not faults:
        seen += [_disassemble(elf, form, processor, architecture) for elf in elves]
    if faults:
        raise VerificationError(f"the compiled code cannot run on {processor.triple}", "\n".join(faults))
    return ", ".join(seen)


def check_pages(code: bytes, processor: Processor) -> None:
    """Check that 64-bit ARM can load a module with whatever pages its Linux has.

    These are of 4 KB on most boards, of 16 KB on a Raspberry Pi 5, and of 64 KB on servers. What is executed and what
    is written must not share a page.

    Raises:
        VerificationError: Parts of the code are aligned to less, or the module is damaged.
    """
    if architecture_of(processor.triple) != "aarch64":
        return
    least = min((elf.alignment for elf in _find_elves(code)), default=_LARGEST_PAGE)
    if least < _LARGEST_PAGE:
        raise VerificationError(
            f"parts of the code are aligned to {least} bytes: Linux with pages of {_LARGEST_PAGE} bytes cannot load it"
        )


def shader_features(code: bytes) -> frozenset[str]:
    """Return which of Vulkan's optional features the shaders of a compiled module use, by Vulkan's names."""
    return frozenset(
        _SHADER_FEATURES[number]
        for shader in find_shaders(code)
        for number in shader.capabilities
        if number in _SHADER_FEATURES
    )


def uses_subgroups(code: bytes) -> bool:
    """Say whether the shaders of a compiled module use operations among the lanes of a subgroup.

    If they do not, they are right with any number of lanes.
    """
    return any(shader.capabilities & _SUBGROUP_CAPABILITIES for shader in find_shaders(code))


def check_shaders(code: bytes) -> str:
    """Check the shaders of a compiled module, and say what was checked.

    Raises:
        VerificationError: The module holds no shaders.
    """
    shaders = find_shaders(code)
    if not shaders:
        raise VerificationError("the compiled module holds no SPIR-V")
    used = ", ".join(sorted(shader_features(code))) or "none"
    version = ".".join(map(str, max(shader.version for shader in shaders)))
    return f"{len(shaders)} SPIR-V shaders up to version {version}, optional features: {used}"


def _find_elves(code: bytes) -> list[Elf]:
    try:
        return find_elves(code)
    except (ValueError, struct.error) as error:
        raise VerificationError("the compiled module is damaged", str(error)) from error


def _faults(elf: Elf, form: _Form, architecture: str, features: Iterable[str]) -> list[str]:
    """Say what is wrong with a file as a whole."""
    if (elf.bits, elf.machine, elf.little) != (form.bits, form.machine, True):
        order = "little" if elf.little else "big"
        return [
            f"a {elf.bits}-bit {order}-endian ELF for machine {elf.machine}, "
            f"expected {form.bits}-bit little-endian for {form.machine}"
        ]
    faults = []
    if elf.undefined:
        # Not only a missing function: the loader knows no other file, and refuses even __aeabi_unwind_cpp_pr0, which
        # unwinding tables of ARM refer to.
        faults.append(f"undefined symbols, which the runtime's loader refuses: {', '.join(elf.undefined)}")
    if architecture == "riscv64":
        faults += _riscv_faults(elf, frozenset(features))
    elif architecture == "arm":
        if "vfp4" not in features:
            faults.append(
                "the target does not promise vfp4, without whose fused multiply-add the compiler's code crashes "
                "or gives no numbers"
            )
        for tag, fused in _ARM_FUSED.items():
            value = elf.attributes.get(tag, 0)
            if isinstance(value, int) and value > fused + (tag == _ARM_FLOAT):
                faults.append(f"ARM attribute {tag} is {value}: the code needs more than VFPv4 and its vectors")
    return faults


def _riscv_faults(elf: Elf, features: frozenset[str]) -> list[str]:
    """Compare the extensions that the file says it needs with those of the target.

    Extensions that come with others, such as zicsr with f, do not count.
    """
    faults = []
    if elf.flags & _COMPRESSED and "c" not in features:
        faults.append("compressed instructions (c), which the target does not promise")
    single, *named = re.sub(r"\d+p\d+", "", str(elf.attributes.get(_RISCV_ARCH, "rv64i"))).split("_")
    extensions = {*single.removeprefix("rv64").removeprefix("i"), *named}
    implied = {name for name in extensions if name.startswith(("zv", "zve")) and "v" in features}
    known = ARCHITECTURES["riscv64"].features
    beyond = sorted(
        (extensions - implied - features) & (known | {name for name in extensions if name.startswith("zv")})
    )
    if beyond:
        faults.append(f"the code needs {', '.join(beyond)}, which the target does not promise")
    return faults


def _disassemble(elf: Elf, form: _Form, processor: Processor, architecture: str) -> str:
    """Look for instructions beyond the target's features.

    Returns:
        What was checked, in words.

    Raises:
        VerificationError: There are such instructions; with the first of them.
    """
    tool = find_objdump()
    if not form.triple:
        return "not disassembled: no disassembler tells the levels of this architecture apart"
    if tool is None:
        return "not disassembled: llvm-objdump is not installed"
    plain = ARCHITECTURES[architecture].baseline - {"i", "64bit", "v7"}
    declared = ",".join(f"+{feature}" for feature in sorted({*plain, *processor.features}))
    with scratch_folder("elf") as folder:
        path = folder / "module.so"
        path.write_bytes(elf.without_attributes())
        narrow, unknown = _listing(tool, path, processor.triple.split("-")[0], declared)
        if unknown:
            return f"not disassembled: {tool.name} does not know {unknown}"
        wide, _ = _listing(tool, path, form.triple, form.everything)
    beyond = [text for address, text in wide.items() if narrow.get(address) == _UNREADABLE and text != _UNREADABLE]
    if beyond:
        shown = "; ".join(beyond[:5])
        features = ", ".join(processor.features) or "no more"
        raise VerificationError(
            f"the compiled code has {len(beyond)} instructions that {processor.triple} with {features} lacks", shown
        )
    read = sum(text != _UNREADABLE for text in narrow.values())
    return f"{read:,} instructions, none beyond {', '.join(processor.features) or 'the baseline'}"


_UNREADABLE = "<unknown>"


def _listing(tool: Path, path: Path, triple: str, features: str) -> tuple[dict[str, str], str]:
    """Return the disassembly by address, and the first feature that the tool does not know."""
    finished = run_tool([tool, "-d", "--no-show-raw-insn", f"--triple={triple}", f"--mattr={features}", path], _SECONDS)
    if finished.code:
        raise VerificationError(f"{tool.name} {finished.ending}", finished.diagnostics)
    unknown = re.search(r"'\+?([\w.-]+)' is not a recognized feature", finished.diagnostics)
    lines = (line.strip().partition(":") for line in finished.output.splitlines())
    return {
        address: text.strip().replace("\t", " ")
        for address, colon, text in lines
        if colon and re.fullmatch(r"[0-9a-f]+", address)
    }, unknown[1] if unknown else ""


def find_objdump() -> Path | None:
    """Return LLVM's disassembler, which knows every architecture, or None where there is none."""
    names = ("llvm-objdump", *(f"llvm-objdump-{number}" for number in range(_NEWEST, 13, -1)))
    return next((Path(path) for name in names if (path := shutil.which(name))), None)
