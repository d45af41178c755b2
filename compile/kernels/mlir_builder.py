"""Writing MLIR: lines of one function, fresh names, constants once at its head."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

Value = str


def vector_of(count: int, element: str) -> str:
    """Return MLIR's name of a vector type."""
    return f"vector<{count}x{element}>"


def memory_of(shape: Sequence[int], element: str) -> str:
    """Return MLIR's name of a memory type."""
    return f"memref<{'x'.join([*map(str, shape), element])}>"


def tensor_of(shape: Sequence[int], element: str) -> str:
    """Return MLIR's name of a tensor type."""
    return f"tensor<{'x'.join([*map(str, shape), element])}>"


class Code:
    """The body of a function in the making."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._constants: dict[str, Value] = {}
        self._allocations: list[str] = []
        self._shared: dict[tuple[tuple[int, ...], str], Value] = {}
        self._lines: list[str] = []
        self._names = 0

    def __str__(self) -> str:
        head = [f"{name} = arith.constant {literal}" for literal, name in self._constants.items()]
        return "\n".join([*head, *self._allocations, *self._lines])

    def line(self, text: str) -> None:
        """Add an operation without a result."""
        self._lines.append(text)

    def value(self, text: str) -> Value:
        """Add an operation with one result, and return it."""
        name = self._name()
        self._lines.append(f"{name} = {text}")
        return name

    def index(self, number: int) -> Value:
        """Return a constant of type index."""
        return self.constant(f"{number} : index")

    def constant(self, literal: str) -> Value:
        """Return a constant, as `0 : i32` or `dense<0> : vector<4xi32>`."""
        if literal not in self._constants:
            self._constants[literal] = self._name()
        return self._constants[literal]

    def allocate(self, shape: Sequence[int], element: str) -> Value:
        """Return memory on the stack, the same in every step of a loop."""
        name = self._name()
        settings = "<{alignment = 64 : i64, operandSegmentSizes = array<i32: 0, 0>}>"
        self._allocations.append(f'{name} = "memref.alloca"() {settings} : () -> {memory_of(shape, element)}')
        return name

    def share(self, shape: Sequence[int], element: str) -> Value:
        """Return memory on the stack that all who ask for such memory get: for what is used up at once."""
        key = (tuple(shape), element)
        if key not in self._shared:
            self._shared[key] = self.allocate(shape, element)
        return self._shared[key]

    def add(self, left: Value, right: Value) -> Value:
        """Add two indices."""
        if self.index(0) in (left, right):
            return left if right == self.index(0) else right
        return self.value(f"arith.addi {left}, {right} : index")

    def times(self, value: Value, factor: int) -> Value:
        """Multiply an index by a number."""
        return value if factor == 1 else self.value(f"arith.muli {value}, {self.index(factor)} : index")

    def repeat(
        self,
        start: int,
        stop: int,
        step: int,
        carried: Sequence[tuple[Value, str]],
        body: Callable[[Value, list[Value]], Sequence[Value]],
    ) -> list[Value]:
        """Add a loop.

        Args:
            start: First index.
            stop: Index after the last.
            step: Difference from one index to the next. A loop of one step is written without a loop.
            carried: Values that are passed from step to step, with their types.
            body: Adds a step, given the index and the values, and returns the next values.

        Returns:
            The values after the last step.
        """
        values = [value for value, _ in carried]
        if start >= stop:
            return values
        if start + step >= stop:
            return list(body(self.index(start), values))
        return self.loop(self.index(start), self.index(stop), self.index(step), carried, body)

    def repeat_below(
        self, start: int, stop: int, step: int, limit: Value | None, body: Callable[[Value], object]
    ) -> None:
        """Add a loop as `repeat` does, without the steps whose index is not below a limit, where there is one."""

        def do(number: Value, _: list[Value]) -> tuple[()]:
            body(number)
            return ()

        if limit is None:
            self.repeat(start, stop, step, (), do)
        else:
            last = self.value(f"arith.minui {limit}, {self.index(stop)} : index")
            self.loop(self.index(start), last, self.index(step), (), do)

    def loop(
        self,
        start: Value,
        stop: Value,
        step: Value,
        carried: Sequence[tuple[Value, str]],
        body: Callable[[Value, list[Value]], Sequence[Value]],
    ) -> list[Value]:
        """Add a loop as `repeat` does, between bounds that may be known only when the code runs."""
        number, inside = self._name(), [self._name() for _ in carried]
        types = ", ".join(kind for _, kind in carried)
        if not carried:
            self.line(f"scf.for {number} = {start} to {stop} step {step} {{")
            body(number, [])
            self.line("}")
            return []
        result = self._name()
        initial = ", ".join(f"{name} = {value}" for name, (value, _) in zip(inside, carried, strict=True))
        self.line(
            f"{result}:{len(carried)} = scf.for {number} = {start} to {stop} step {step} "
            f"iter_args({initial}) -> ({types}) {{"
        )
        self.line(f"scf.yield {', '.join(body(number, inside))} : {types}")
        self.line("}")
        return [f"{result}#{number}" for number in range(len(carried))]

    def switch(self, number: Value, cases: Iterable[int], body: Callable[[int], None]) -> None:
        """Add a choice by an index: `body` adds the code for each of the numbers that it can be."""
        self.line(f"scf.index_switch {number}")
        for case in cases:
            self.line(f"case {case} {{")
            body(case)
            self.line("scf.yield\n}")
        self.line("default {\n}")

    @contextmanager
    def when(self, condition: Value) -> Iterator[Callable[[], None]]:
        """Add code that runs under a condition; calling the given function begins the code that runs otherwise."""
        self.line(f"scf.if {condition} {{")
        yield lambda: self.line("} else {")
        self.line("}")

    def _name(self) -> Value:
        self._names += 1
        return f"%v{self._names}"
