"""The steps of a schedule as rows of C tables, for `c/player.c` and `compile/native/c/native.c`."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from compile.standalone.schedule import ByteRange, Copy, Dispatch, Fill, Step


class _Shared:
    """A table in which equal lists of rows are stored once; steps refer to a list by the index of its first row."""

    def __init__(self) -> None:
        self.starts: dict[tuple[Hashable, ...], int] = {}
        self.rows: list[Any] = []

    def add(self, rows: tuple[Hashable, ...]) -> int:
        start = self.starts.setdefault(rows, len(self.rows))
        if start == len(self.rows):
            self.rows += rows
        return start


class StepTables:
    """Tables that grow with every step that is added.

    Attributes:
        ranges: Ranges of memory.
        constants: Numbers that kernels are given.
        kernels: Index of each kernel, by name.
    """

    def __init__(self) -> None:
        """Begin with empty tables."""
        self.ranges = _Shared()
        self.constants = _Shared()
        self.kernels: dict[str, int] = {}

    @property
    def range_rows(self) -> list[str]:
        """Rows of the table of ranges."""
        return [f"{{{row.region.value}, {row.offset}, {row.length}}}" for row in self.ranges.rows]

    @property
    def constant_rows(self) -> list[str]:
        """Rows of the table of constants; C has no empty arrays."""
        return [str(number) for number in self.constants.rows] or ["0"]

    def add(self, step: Step) -> str:
        """Return the row of a step, after adding what it refers to."""
        match step:
            case Dispatch(kernel, groups, constants, bindings):
                return self._row(str(self.kernels.setdefault(kernel, len(self.kernels))), bindings, constants, groups)
            case Fill(target, pattern):
                return self._row("PQRNN_FILL", (target,), (int.from_bytes(pattern * (4 // len(pattern)), "little"),))
            case Copy(source, target):
                return self._row("PQRNN_COPY", (source, target), ())

    def _row(
        self,
        kernel: str,
        ranges: tuple[ByteRange, ...],
        constants: tuple[int, ...],
        groups: tuple[int, int, int] = (1, 1, 1),
    ) -> str:
        indices = f"{self.ranges.add(ranges)}, {self.constants.add(constants)}"
        return f"{{{kernel}, {len(ranges)}, {len(constants)}, {indices}, {{{groups[0]}, {groups[1]}, {groups[2]}}}}}"


def c_array(declaration: str, rows: Iterable[str]) -> str:
    """Return the definition of an array, one row a line."""
    return f"{declaration} = {{\n" + "".join(f"  {row},\n" for row in rows) + "};\n"


def c_string(text: str) -> str:
    """Return a C string literal.

    Bytes that are not plain are written in octal, which ends after three digits whatever follows.
    """
    plain = set(range(32, 127)) - set(b'"\\?')
    return '"' + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in text.encode()) + '"'
