"""The steps of a compiled parser: all that is left of the runtime once every shape and every size is known."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from math import prod

ALIGNMENT = 64


class Region(IntEnum):
    """A region of memory, numbered as in the player's table of base addresses."""

    CONSTANTS = 0
    STATE = 1
    ARENA = 2


@dataclass(frozen=True, slots=True)
class ByteRange:
    """A range of bytes in a region of memory."""

    region: Region
    offset: int
    length: int

    def part(self, offset: int, length: int) -> ByteRange:
        """Return a range inside this one.

        Raises:
            ValueError: The range reaches past the end of this one.
        """
        if offset < 0 or length < 0 or offset + length > self.length:
            raise ValueError(f"bytes {offset} to {offset + length} of a range of {self.length}")
        return ByteRange(self.region, self.offset + offset, length)


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Call a kernel for every work group.

    Attributes:
        kernel: Name of the kernel.
        groups: Number of work groups in x, y and z.
        constants: 32-bit words that the kernel is given.
        bindings: Ranges of memory that the kernel is given.
    """

    kernel: str
    groups: tuple[int, int, int]
    constants: tuple[int, ...]
    bindings: tuple[ByteRange, ...]


@dataclass(frozen=True, slots=True)
class Fill:
    """Repeat a pattern of 1, 2 or 4 bytes."""

    target: ByteRange
    pattern: bytes


@dataclass(frozen=True, slots=True)
class Copy:
    """Copy bytes; the two ranges are of one length and do not overlap."""

    source: ByteRange
    target: ByteRange


Step = Dispatch | Fill | Copy


@dataclass(frozen=True, slots=True)
class Result:
    """One array that an entry returns: 32-bit numbers, row after row."""

    shape: tuple[int, ...]
    data: ByteRange

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class ScheduledEntry:
    """One function of the module.

    Attributes:
        name: Name of the function in the module.
        text: Range of the input.
        results: Arrays in the order in which the function returns them.
        steps: Steps in order.
    """

    name: str
    text: ByteRange
    results: tuple[Result, ...]
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Schedule:
    """A whole module.

    Attributes:
        setup: Steps to run once, before any entry; they fill `Region.STATE`.
        entries: Functions, one for each length bucket.
        sizes: Bytes of each region; the arena has as many as the most demanding entry needs.
    """

    setup: tuple[Step, ...]
    entries: tuple[ScheduledEntry, ...]
    sizes: tuple[int, int, int]
