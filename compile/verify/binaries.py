"""The machine code inside a compiled module: its ELF files and shaders, as they are shipped.

A `.vmfb` holds them whole, so they are found by their first bytes. Only what the checks ask for is read. Layouts:
System V ABI (ELF), the build attributes of ARM's and RISC-V's ELF supplements, and the SPIR-V specification (2.3,
physical layout).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_MAGIC = b"\x7fELF"
_DYNSYM = 11
_ATTRIBUTES = 0x70000003  # SHT_ARM_ATTRIBUTES, SHT_RISCV_ATTRIBUTES
_ARM = 40
_ARM_TEXTS = (4, 5, 67)  # attributes of ARM that are texts though their tag is even or under 32
_SPIRV = b"\x03\x02\x23\x07"
_CAPABILITY = 17
# Offsets in the file header, form of a section header, and of a symbol, for 32 and 64 bits.
_HEADER = {32: (32, "<IIHHHHH"), 64: (40, "<QIHHHHH")}
_SECTION = {32: "<IIIIIIIIII", 64: "<IIQQQQIIQQ"}
_SYMBOL = {32: ("<IIIBBH", 0, 5), 64: ("<IBBHQQ", 0, 3)}
# Offset and form of the place of the program headers, their form, and the offset of their size and number.
_PROGRAM = {32: (28, ("<I", "<IIIIIIII"), 42), 64: (32, ("<Q", "<IIQQQQQQ"), 54)}
_LOAD = 1


@dataclass(frozen=True, slots=True)
class Elf:
    """One ELF file.

    Attributes:
        bits: Word size, 32 or 64.
        little: Whether the file is little-endian.
        machine: ELF's number of the architecture.
        flags: Flags of the file header; their meaning depends on the architecture.
        undefined: Symbols that another file would have to define.
        attributes: The compiler's own statement of what the code needs, by tag; empty where the architecture has none.
        alignment: The smallest alignment of a part that is loaded, in bytes: the largest page that the file suits.
        content: Bytes of the file.
    """

    bits: int
    little: bool
    machine: int
    flags: int
    undefined: tuple[str, ...]
    attributes: dict[int, int | str]
    alignment: int
    content: bytes

    def without_attributes(self) -> bytes:
        """Return the file with its attributes hidden from tools, which would otherwise obey them."""
        content = bytearray(self.content)
        for offset, header in _sections(self.content, self.bits):
            if header[1] == _ATTRIBUTES:
                struct.pack_into("<I", content, offset + 4, 0)
        return bytes(content)


@dataclass(frozen=True, slots=True)
class Shader:
    """One SPIR-V module: its version (major, minor) and the numbers of the capabilities that it declares."""

    version: tuple[int, int]
    capabilities: frozenset[int]


def find_elves(code: bytes) -> list[Elf]:
    """Return the ELF files in a compiled module.

    Raises:
        ValueError: One is cut short or contradicts itself.
    """
    elves, start = [], code.find(_MAGIC)
    while start >= 0:
        if start + 64 <= len(code) and code[start + 4] in (1, 2) and code[start + 5] in (1, 2) and code[start + 6] == 1:
            elves.append(_read_elf(code, start))
        start = code.find(_MAGIC, start + 4)
    return elves


def find_shaders(code: bytes) -> list[Shader]:
    """Return the SPIR-V modules in a compiled module."""
    shaders, start = [], code.find(_SPIRV)
    while start >= 0:
        if start + 20 <= len(code):
            version = struct.unpack_from("<I", code, start + 4)[0]
            if version >> 16 == 1 and not version & 0xFF0000FF:
                shaders.append(Shader((1, version >> 8 & 0xFF), frozenset(_capabilities(code, start + 20))))
        start = code.find(_SPIRV, start + 4)
    return shaders


def _capabilities(code: bytes, offset: int) -> Iterator[int]:
    """Yield the capabilities of a module, which are its first instructions, of two words each."""
    while offset + 8 <= len(code) and struct.unpack_from("<I", code, offset)[0] == 2 << 16 | _CAPABILITY:
        yield struct.unpack_from("<I", code, offset + 4)[0]
        offset += 8


def _read_elf(code: bytes, start: int) -> Elf:
    bits, little = 32 * code[start + 4], code[start + 5] == 1
    machine = int.from_bytes(code[start + 18 : start + 20], "little" if little else "big")
    if not little:
        return Elf(bits, little, machine, 0, (), {}, 0, code[start : start + 64])
    offset, form = _HEADER[bits]
    table, flags, _, _, _, size, count = struct.unpack_from(form, code, start + offset)
    content = code[start : start + table + size * count]
    if size != struct.calcsize(_SECTION[bits]) or len(content) < table + size * count:
        raise ValueError("an ELF file in the module is cut short")
    headers = [header for _, header in _sections(content, bits)]
    undefined: list[str] = []
    attributes: dict[int, int | str] = {}
    for header in headers:
        part = content[header[4] : header[4] + header[5]]
        if header[1] == _DYNSYM:
            names = headers[header[6]]
            undefined += _undefined(part, content[names[4] : names[4] + names[5]], bits)
        elif header[1] == _ATTRIBUTES:
            attributes = _read_attributes(part, _ARM_TEXTS if machine == _ARM else ())
    alignments = [alignment for kind, alignment in _segments(content, bits) if kind == _LOAD]
    return Elf(bits, little, machine, flags, tuple(undefined), attributes, min(alignments, default=0), content)


def _sections(content: bytes, bits: int) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield the offset and the fields of every section header."""
    offset, form = _HEADER[bits]
    table, _, _, _, _, size, count = struct.unpack_from(form, content, offset)
    for number in range(count):
        yield table + size * number, struct.unpack_from(_SECTION[bits], content, table + size * number)


def _segments(content: bytes, bits: int) -> Iterator[tuple[int, int]]:
    """Yield the kind and the alignment of every program header."""
    offset, form, counts = _PROGRAM[bits]
    table = struct.unpack_from(form[0], content, offset)[0]
    size, count = struct.unpack_from("<HH", content, counts)
    for number in range(count):
        fields = struct.unpack_from(form[1], content, table + size * number)
        yield fields[0], fields[-1]


def _undefined(symbols: bytes, names: bytes, bits: int) -> Iterator[str]:
    form, name, section = _SYMBOL[bits]
    for number, symbol in enumerate(struct.iter_unpack(form, symbols)):
        if number and symbol[section] == 0:  # the first entry is empty by definition
            yield names[symbol[name] : names.index(b"\0", symbol[name])].decode("utf-8", "replace")


def _read_attributes(part: bytes, texts: tuple[int, ...]) -> dict[int, int | str]:
    """Read the attributes of the whole file.

    The section holds a version, then length, vendor, and blocks of (tag, length, attributes); tag 1 is the file.
    """
    attributes: dict[int, int | str] = {}
    offset = part.index(b"\0", 5) + 1
    if part[:1] != b"A" or part[offset : offset + 1] != b"\1":
        return attributes
    end = offset + struct.unpack_from("<I", part, offset + 1)[0]
    offset += 5
    while offset < end:
        tag, offset = _number(part, offset)
        if tag in texts or (tag % 2 and (not texts or tag > 32)):
            stop = part.index(b"\0", offset)
            attributes[tag], offset = part[offset:stop].decode("ascii", "replace"), stop + 1
        else:
            attributes[tag], offset = _number(part, offset)
    return attributes


def _number(part: bytes, offset: int) -> tuple[int, int]:
    """Return a number in LEB128, seven bits in each byte, and the offset of its end."""
    value = shift = 0
    while True:
        value |= (part[offset] & 0x7F) << shift
        shift += 7
        offset += 1
        if not part[offset - 1] & 0x80:
            return value, offset
