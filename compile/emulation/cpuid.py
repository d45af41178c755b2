"""The features that an emulated x86 processor reports.

QEMU's emulator of user programs answers the CPUID instruction for the emulated processor, but lets `/proc/cpuinfo` of
this machine through. Whoever reads that file, as the runtime's pre-flight does, would count on instructions that trap.
So CPUID is asked inside the emulator, and what it says is laid where the emulated program finds it as `/proc/cpuinfo`.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import mmap
import sys
from collections.abc import Collection
from functools import cache
from pathlib import Path

from compile.emulation.locations import Qemu, emulators_folder, python_path
from compile.support.process import run_tool

_SECONDS = 120.0
# push rbx; mov r8, rdx; mov eax, edi; mov ecx, esi; cpuid; mov [r8], eax; mov [r8+4], ebx; mov [r8+8], ecx; mov
# [r8+12], edx; pop rbx; ret
_CODE = bytes.fromhex("53 4989d0 89f8 89f1 0fa2 418900 41895804 41894808 4189500c 5b c3")
_EAX, _EBX, _ECX, _EDX = range(4)
# By leaf, subleaf and register: bits with the names that Linux's /proc/cpuinfo has for them.
_BITS: dict[tuple[int, int, int], dict[int, str]] = {
    (1, 0, _EDX): {0: "fpu", 8: "cx8", 15: "cmov", 23: "mmx", 24: "fxsr", 25: "sse", 26: "sse2"},
    (1, 0, _ECX): {
        0: "pni",
        1: "pclmulqdq",
        9: "ssse3",
        12: "fma",
        13: "cx16",
        19: "sse4_1",
        20: "sse4_2",
        22: "movbe",
        23: "popcnt",
        25: "aes",
        26: "xsave",
        28: "avx",
        29: "f16c",
        30: "rdrand",
    },
    (7, 0, _EBX): {
        3: "bmi1",
        5: "avx2",
        8: "bmi2",
        16: "avx512f",
        17: "avx512dq",
        19: "adx",
        21: "avx512ifma",
        28: "avx512cd",
        29: "sha_ni",
        30: "avx512bw",
        31: "avx512vl",
    },
    (7, 0, _ECX): {
        1: "avx512vbmi",
        6: "avx512_vbmi2",
        8: "gfni",
        9: "vaes",
        10: "vpclmulqdq",
        11: "avx512_vnni",
        12: "avx512_bitalg",
        14: "avx512_vpopcntdq",
    },
    (7, 0, _EDX): {8: "avx512_vp2intersect", 22: "amx_bf16", 23: "avx512_fp16", 24: "amx_tile", 25: "amx_int8"},
    (7, 1, _EAX): {4: "avx_vnni", 5: "avx512_bf16"},
    (0x80000001, 0, _ECX): {0: "lahf_lm", 5: "abm", 6: "sse4a", 8: "3dnowprefetch", 11: "xop", 16: "fma4", 21: "tbm"},
    (0x80000001, 0, _EDX): {29: "lm"},
}


def flags() -> list[str]:
    """Return the features of the processor that runs this, sorted, in Linux's spelling; it has to be x86-64."""
    code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(_CODE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(code))
    cpuid = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p)(address)

    def ask(leaf: int, subleaf: int) -> tuple[int, ...]:
        registers = (ctypes.c_uint32 * 4)()
        cpuid(leaf, subleaf, ctypes.addressof(registers))
        return tuple(registers)

    names: set[str] = set()
    for (leaf, subleaf, register), bits in _BITS.items():
        if leaf <= ask(leaf & 0x80000000, 0)[0]:
            value = ask(leaf, subleaf)[register]
            names |= {name for bit, name in bits.items() if value >> bit & 1}
    return sorted(names)


def feature_bits(names: Collection[str]) -> dict[tuple[int, int, int], int]:
    """Return the bits of features by CPUID's leaf, subleaf and register (0 to 3: EAX to EDX).

    Raises:
        ValueError: A feature has no known bit.
    """
    if unknown := set(names).difference(*(bits.values() for bits in _BITS.values())):
        raise ValueError(f"no known bit of CPUID: {', '.join(sorted(unknown))}")
    found = {where: sum(1 << bit for bit, name in bits.items() if name in names) for where, bits in _BITS.items()}
    return {where: mask for where, mask in found.items() if mask}


@cache
def emulated_cpuinfo(qemu: Qemu, cpu: str) -> Path:
    """Return a folder to give to QEMU as `-L`, in which `/proc/cpuinfo` is that of the emulated processor.

    Args:
        qemu: The emulator of x86-64.
        cpu: Name of the processor, for `-cpu`.

    Raises:
        RuntimeError: This Python does not run in the emulator.
    """
    # Not above: inside the emulator this file has to start quickly.
    from runtime_py.atomic_files import write_atomic

    finished = run_tool(
        [qemu.path, "-cpu", cpu, sys.executable, "-m", __name__], _SECONDS, environment={"PYTHONPATH": python_path()}
    )
    if finished.code:
        raise RuntimeError(
            f"{qemu.path} -cpu {cpu}: Python {finished.ending} in it: {finished.diagnostics.strip()[-300:]}"
        )
    features = " ".join(json.loads(finished.output))
    text = f"processor\t: 0\nmodel name\t: {cpu} of QEMU {qemu.version}\nflags\t\t: {features}\n"
    folder = emulators_folder() / "processors" / hashlib.sha256(text.encode()).hexdigest()[:16]
    file = folder / "proc" / "cpuinfo"
    if not file.is_file():
        write_atomic(file, text.encode())
    return folder


if __name__ == "__main__":
    json.dump(flags(), sys.stdout)
