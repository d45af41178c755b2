"""What processor a module's machine code is for, read from the code itself: a manifest cannot empty that.

A module holds its code as ELF files. Of 64-bit ARM, whose instructions are words, those of a feature are found
exactly; of x86-64, whose instructions are of many lengths, by how dense the first bytes of vector instructions stand
(`_SHARES`): in code without them they come by chance alone, ten times as rarely. Few instructions of a feature in much
other code are not seen, and other features and processors are not looked for.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

X86, ARM = "x86_64", "aarch64"
FOUND: dict[str, tuple[str, ...]] = {X86: ("avx", "avx2", "avx512f", "fma"), ARM: ("dotprod", "i8mm")}
"""The features that are looked for, by architecture."""

_MARK = b"\x7fELF\x02\x01"  # of 64 bits, little-endian
_MACHINES = {62: X86, 183: ARM}
# Shares of bytes at which an instruction of a feature begins.
_SHARES = {"avx512f": 0.02, "avx": 0.002, "avx2": 0.001, "fma": 0.001}
_LEAST = 16  # instructions of a feature
# Opcodes of the first map: operations on floats, and on integers after 66; of the second: fused multiplications.
_FLOATS = (0x10, 0x11, 0x28, 0x29, 0x51, 0x54, 0x57, 0x58, 0x59, 0x5C, 0x5D, 0x5E, 0x5F)
_INTEGERS = (*range(0x60, 0x6E), 0xD4, 0xD5, 0xDB, 0xDF, 0xEB, 0xEF, 0xF5, 0xFA, 0xFC, 0xFD, 0xFE)
_FUSED = tuple(high | low for high in (0x90, 0xA0, 0xB0) for low in (6, 7, 8, 9, 10, 11, 12, 13, 14, 15))
# Instruction words of 64-bit ARM (Arm Architecture Reference Manual, C7.2): mask and value.
_ARM_WORDS: dict[str, tuple[tuple[int, int], ...]] = {
    "dotprod": ((0x9FE0FC00, 0x0E809400), (0x9FC0F400, 0x0F80E000)),
    "i8mm": ((0xDFE0FC00, 0x4E80A400), (0xFFE0FC00, 0x4E80AC00), (0xBFE0FC00, 0x0E809C00)),
}


def find_features(module: Any, architecture: str, wanted: Iterable[str]) -> frozenset[str]:
    """Return which features the machine code of a module uses, of those that are asked for.

    Args:
        module: The module, as an object with the buffer interface.
        architecture: The architecture as target triples spell it; the code of others is passed over.
        wanted: Features in LLVM's spelling; those that cannot be found are passed over.
    """
    asked = set(wanted) & set(FOUND.get(architecture, ()))
    if not asked:
        return frozenset()
    code = b"".join(_executable_parts(bytes(module), architecture))
    found = _find_arm(code) if architecture == ARM else _find_x86(code)
    return frozenset(asked & found)


def _executable_parts(module: bytes, architecture: str) -> Iterator[bytes]:
    """Yield the segments of the module's ELF files that are run; what is damaged has none."""
    start = -1
    while (start := module.find(_MARK, start + 1)) >= 0:
        header = module[start : start + 64]
        if len(header) < 64 or _MACHINES.get(struct.unpack_from("<H", header, 18)[0]) != architecture:
            continue
        (table,) = struct.unpack_from("<Q", header, 32)
        size, count = struct.unpack_from("<HH", header, 54)
        for index in range(count):
            entry = module[start + table + index * size :][:56] if start + table < len(module) else b""
            if len(entry) == 56:
                kind, flags, offset, _, _, length = struct.unpack_from("<IIQQQQ", entry)
                if kind == 1 and flags & 1:
                    yield module[start + offset : start + offset + length]


def _find_arm(code: bytes) -> set[str]:
    words = np.frombuffer(code[: len(code) // 4 * 4], "<u4")
    return {
        feature
        for feature, patterns in _ARM_WORDS.items()
        if sum(int((words & mask == value).sum()) for mask, value in patterns) >= _LEAST
    }


def _find_x86(code: bytes) -> set[str]:
    data = np.frombuffer(code, np.uint8)
    if len(data) < 8:
        return set()
    first, second, third, fourth = (data[index : len(data) - 3 + index] for index in range(4))
    evex = (first == 0x62) & (second & 8 == 0) & _among(second & 7, (1, 2, 3, 5, 6)) & (third & 4 == 4)
    # The bit for 32 bytes (4), and the two that stand for a prefix: 1 for 66, 0 for none.
    short, long = first == 0xC5, first == 0xC4
    first_map, second_map = long & (second & 31 == 1), long & (second & 31 == 2)
    wide = (short & _among(second & 7, (4, 5)) & _among(third, _FLOATS)) | (
        first_map & _among(third & 7, (4, 5)) & _among(fourth, _FLOATS)
    )
    whole = (short & (second & 7 == 5) & _among(third, _INTEGERS)) | (
        first_map & (third & 7 == 5) & _among(fourth, _INTEGERS)
    )
    fused = second_map & (third & 3 == 1) & _among(fourth, _FUSED)
    counts = {"avx512f": evex, "avx": wide | whole, "avx2": whole, "fma": fused}
    return {feature for feature, hits in counts.items() if _is_many(int(hits.sum()), _SHARES[feature] * len(data))}


def _is_many(count: int, least: float) -> bool:
    return count >= max(_LEAST, least)


def _among(values: NDArray[Any], wanted: Iterable[int]) -> NDArray[np.bool_]:
    table = np.zeros(256, np.bool_)
    table[list(wanted)] = True
    return table[values]
