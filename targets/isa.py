"""Instruction sets: which CPU features change the code that a compiler writes, by architecture, in LLVM's spelling.

LLVM's own lists also hold features that are no instructions of a numeric program (cache control, virtualisation,
protection) and features that every processor of the architecture has; a device need not be asked for those.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Architecture:
    """The features in which two machines of one architecture may differ.

    Attributes:
        features: Features that matter to compiled numeric code.
        baseline: Features of every machine that can run the runtime at all.
    """

    features: frozenset[str]
    baseline: frozenset[str]


_X86_64 = Architecture(
    features=frozenset(
        [
            "sse3",
            "ssse3",
            "sse4.1",
            "sse4.2",
            "sse4a",
            "popcnt",
            "crc32",
            "cx16",
            "sahf",
            "movbe",
            "lzcnt",
            "bmi",
            "bmi2",
            "adx",
            "f16c",
            "fma",
            "fma4",
            "xop",
            "tbm",
            "xsave",
            "avx",
            "avx2",
            "avxvnni",
            "avxvnniint8",
            "avxvnniint16",
            "avxifma",
            "avxneconvert",
            "avx10.1",
            "avx10.2",
            "avx512f",
            "avx512cd",
            "avx512dq",
            "avx512bw",
            "avx512vl",
            "avx512ifma",
            "avx512vbmi",
            "avx512vbmi2",
            "avx512vnni",
            "avx512bitalg",
            "avx512vpopcntdq",
            "avx512bf16",
            "avx512fp16",
            "avx512vp2intersect",
            "amx-tile",
            "amx-int8",
            "amx-bf16",
            "amx-fp16",
            "amx-complex",
            "aes",
            "vaes",
            "pclmul",
            "vpclmulqdq",
            "gfni",
            "sha",
            "sha512",
            "sm3",
            "sm4",
        ]
    ),
    baseline=frozenset(["cmov", "cx8", "fxsr", "mmx", "sse", "sse2", "x87", "64bit"]),
)
_AARCH64 = Architecture(
    features=frozenset(
        [
            "aes",
            "sha2",
            "sha3",
            "sm4",
            "crc",
            "lse",
            "lse2",
            "rdm",
            "rcpc",
            "dotprod",
            "fullfp16",
            "fp16fml",
            "bf16",
            "i8mm",
            "complxnum",
            "jsconv",
            "sve",
            "sve2",
            "sve2p1",
            "sme",
            "sme2",
            "f32mm",
            "f64mm",
            "flagm",
            "fptoint",
        ]
    ),
    baseline=frozenset(["fp-armv8", "neon"]),
)
# The baseline is armv7-a with the floating-point unit that 32-bit Debian and Raspberry Pi OS ask for.
_ARM = Architecture(
    features=frozenset(
        [
            "neon",
            "vfp3",
            "vfp4",
            "fp16",
            "hwdiv",
            "hwdiv-arm",
            "crc",
            "aes",
            "sha2",
            "dotprod",
            "fullfp16",
            "bf16",
            "i8mm",
        ]
    ),
    baseline=frozenset(["v7", "thumb2", "vfp2", "vfp3d16sp", "vfp3d16"]),
)
# Single letters are LLVM's, and the ISA manual's, names. "m" and the others that every Linux board has (RV64GC) are
# features all the same: the compiler's baseline is RV64I, without even a multiplication.
_RISCV64 = Architecture(
    features=frozenset(
        [
            "m",
            "a",
            "f",
            "d",
            "c",
            "v",
            "zba",
            "zbb",
            "zbc",
            "zbs",
            "zfh",
            "zfhmin",
            "zvfh",
            "zvfhmin",
            "zicond",
            "zvbb",
            "zvkt",
        ]
    ),
    baseline=frozenset(["i", "64bit"]),
)

_WASM32 = Architecture(
    features=frozenset(["simd128", "relaxed-simd", "nontrapping-fptoint", "sign-ext", "bulk-memory", "multivalue"]),
    baseline=frozenset(["mutable-globals"]),
)

ARCHITECTURES = {"aarch64": _AARCH64, "arm": _ARM, "riscv64": _RISCV64, "wasm32": _WASM32, "x86_64": _X86_64}


def architecture_of(triple: str) -> str | None:
    """Return the architecture of an LLVM target triple, as `ARCHITECTURES` names it, or None for any other."""
    first = triple.split("-", 1)[0]
    name = "aarch64" if first == "arm64" else "arm" if first.startswith(("armv7", "thumbv7")) else first
    return name if name in ARCHITECTURES else None
