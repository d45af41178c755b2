"""Where a program asks its processor for a feature: the rows of `c/processor.h`."""

from __future__ import annotations

from collections.abc import Iterable

from targets.isa import architecture_of

# CPUID: leaf, subleaf, register (eax, ebx, ecx, edx), bit. From the manuals of Intel and AMD.
_EXTENDED = 0x80000001
_X86_64 = {
    "sse3": (1, 0, 2, 0),
    "pclmul": (1, 0, 2, 1),
    "ssse3": (1, 0, 2, 9),
    "fma": (1, 0, 2, 12),
    "cx16": (1, 0, 2, 13),
    "sse4.1": (1, 0, 2, 19),
    "sse4.2": (1, 0, 2, 20),
    "crc32": (1, 0, 2, 20),
    "movbe": (1, 0, 2, 22),
    "popcnt": (1, 0, 2, 23),
    "aes": (1, 0, 2, 25),
    "xsave": (1, 0, 2, 26),
    "avx": (1, 0, 2, 28),
    "f16c": (1, 0, 2, 29),
    "sahf": (_EXTENDED, 0, 2, 0),
    "lzcnt": (_EXTENDED, 0, 2, 5),
    "sse4a": (_EXTENDED, 0, 2, 6),
    "xop": (_EXTENDED, 0, 2, 11),
    "fma4": (_EXTENDED, 0, 2, 16),
    "tbm": (_EXTENDED, 0, 2, 21),
    "bmi": (7, 0, 1, 3),
    "avx2": (7, 0, 1, 5),
    "bmi2": (7, 0, 1, 8),
    "avx512f": (7, 0, 1, 16),
    "avx512dq": (7, 0, 1, 17),
    "adx": (7, 0, 1, 19),
    "avx512ifma": (7, 0, 1, 21),
    "avx512cd": (7, 0, 1, 28),
    "sha": (7, 0, 1, 29),
    "avx512bw": (7, 0, 1, 30),
    "avx512vl": (7, 0, 1, 31),
    "avx512vbmi": (7, 0, 2, 1),
    "avx512vbmi2": (7, 0, 2, 6),
    "gfni": (7, 0, 2, 8),
    "vaes": (7, 0, 2, 9),
    "vpclmulqdq": (7, 0, 2, 10),
    "avx512vnni": (7, 0, 2, 11),
    "avx512bitalg": (7, 0, 2, 12),
    "avx512vpopcntdq": (7, 0, 2, 14),
    "avx512vp2intersect": (7, 0, 3, 8),
    "amx-bf16": (7, 0, 3, 22),
    "avx512fp16": (7, 0, 3, 23),
    "amx-tile": (7, 0, 3, 24),
    "amx-int8": (7, 0, 3, 25),
    "sha512": (7, 1, 0, 0),
    "sm3": (7, 1, 0, 1),
    "sm4": (7, 1, 0, 2),
    "avxvnni": (7, 1, 0, 4),
    "avx512bf16": (7, 1, 0, 5),
    "amx-fp16": (7, 1, 0, 21),
    "avxifma": (7, 1, 0, 23),
    "avxvnniint8": (7, 1, 3, 4),
    "avxneconvert": (7, 1, 3, 5),
    "amx-complex": (7, 1, 3, 8),
    "avxvnniint16": (7, 1, 3, 10),
    "avx10.1": (7, 1, 3, 19),
    "avx10.2": (7, 1, 3, 19),
}
# AT_HWCAP (0) or AT_HWCAP2 (1), bit. From Linux's uapi headers.
_AARCH64 = {
    "aes": (0, 3),
    "sha2": (0, 6),
    "crc": (0, 7),
    "lse": (0, 8),
    "fullfp16": (0, 10),
    "rdm": (0, 12),
    "jsconv": (0, 13),
    "complxnum": (0, 14),
    "rcpc": (0, 15),
    "sha3": (0, 17),
    "sm4": (0, 19),
    "dotprod": (0, 20),
    "sve": (0, 22),
    "fp16fml": (0, 23),
    "lse2": (0, 25),
    "flagm": (0, 27),
    "sve2": (1, 1),
    "fptoint": (1, 8),
    "f32mm": (1, 10),
    "f64mm": (1, 11),
    "i8mm": (1, 13),
    "bf16": (1, 14),
    "sme": (1, 23),
    "sve2p1": (1, 36),
    "sme2": (1, 37),
}
_ARM = {"neon": (0, 12), "vfp3": (0, 13), "vfp4": (0, 16), "hwdiv-arm": (0, 17), "hwdiv": (0, 18)}
_RISCV64 = {letter: (0, ord(letter) - ord("a")) for letter in "macfdv"}
_TABLES: dict[str, dict[str, tuple[int, ...]]] = {
    "x86_64": {**_X86_64},
    "aarch64": {**_AARCH64},
    "arm": {**_ARM},
    "riscv64": {**_RISCV64},
}
_YMM, _ZMM = 0x6, 0xE6  # bits of the register that says what the system keeps


def feature_macros(triple: str, features: Iterable[str]) -> str:
    """Return the macros that `c/processor.h` asks with; nothing where there is nothing to ask for.

    Features that have no bit of their own (extensions of RISC-V with long names) are left out.

    Args:
        triple: LLVM triple of the target.
        features: Features that the code needs.
    """
    needed = sorted(features)
    table = _TABLES.get(architecture_of(triple) or "", {})
    rows = dict.fromkeys(table[feature] for feature in needed if feature in table)
    if not rows:
        return ""
    wide = any(feature.startswith("avx512") for feature in needed)
    state = _ZMM if wide else _YMM if any(feature.startswith("avx") for feature in needed) else 0
    listed = ", ".join("{" + ", ".join(map(str, row)) + "}" for row in rows)
    return f"#define FEATURE_ROWS {listed}\n#define FEATURE_STATE {state}\n"
