"""From the compiler's host program to a schedule.

Before it writes bytecode, the compiler has a module in which only the work of the host is left: find a device, allocate
buffers, record command buffers and submit them. Every size in it is a constant. So that program is run here, once, on a
device that only records its commands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iree.compiler import ir

from compile.standalone.errors import StandaloneError
from compile.standalone.schedule import (
    ALIGNMENT,
    ByteRange,
    Copy,
    Dispatch,
    Fill,
    Region,
    Result,
    Schedule,
    ScheduledEntry,
    Step,
)
from runtime_py.package_format.manifest import Bucket

_COMPARISONS: dict[int, Callable[[int, int], bool]] = {
    0: int.__eq__,
    1: int.__ne__,
    2: int.__lt__,
    3: int.__le__,
    4: int.__gt__,
    5: int.__ge__,
}


def trace_module(path: Path, buckets: Sequence[Bucket]) -> Schedule:
    """Run a module's host program and record its commands.

    Args:
        path: The module as text, as the compiler writes it with `--compile-to=hal` for a CPU target with static
            linking.
        buckets: Length buckets of the module.

    Raises:
        StandaloneError: The program uses an unknown operation, or depends on numbers which only the device computes,
            or lacks an entry.
    """
    with ir.Context() as context:
        return _Host(ir.Module.parse(path.read_text(encoding="utf-8"), context)).trace(buckets)


@dataclass(slots=True)
class _View:
    """A buffer with a shape."""

    data: ByteRange
    shape: tuple[int, ...]


@dataclass(slots=True)
class _Commands:
    """A recorded command buffer.

    Attributes:
        recorded: Functions that make a step from its ranges, each with the buffer (or the number of a binding), the
            offset and the length of every range.
    """

    recorded: list[tuple[Callable[..., Step], list[tuple[Any, int, int]]]] = field(default_factory=list)


class _Host:
    """The host program's globals, what it has allocated, and the steps that it has submitted."""

    def __init__(self, module: ir.Module) -> None:
        self.module = module  # its operations are views into it
        self.functions: dict[str, Any] = {}
        self.initializers: list[Any] = []
        self.globals: dict[str, Any] = {}
        self.sizes = dict.fromkeys(Region, 0)
        self.allocating = Region.STATE
        self.steps: list[Step] = []
        for operation in _operations(module.operation):
            if operation.name == "util.func":
                self.functions[ir.StringAttr(operation.attributes["sym_name"]).value] = operation
            elif operation.name == "util.initializer":
                self.initializers.append(operation)
            elif operation.name == "util.global" and "initial_value" in operation.attributes:
                self.globals["@" + ir.StringAttr(operation.attributes["sym_name"]).value] = _constant(
                    operation.attributes["initial_value"]
                )

    def trace(self, buckets: Sequence[Bucket]) -> Schedule:
        for initializer in self.initializers:
            self.call(initializer, [])
        setup, self.steps, self.allocating = tuple(self.steps), [], Region.ARENA
        entries, arena = [], 0
        for bucket in buckets:
            self.sizes[Region.ARENA] = 0
            entries.append(self._entry(bucket))
            arena = max(arena, self.sizes[Region.ARENA])
        return Schedule(setup, tuple(entries), (self.sizes[Region.CONSTANTS], self.sizes[Region.STATE], arena))

    def _entry(self, bucket: Bucket) -> ScheduledEntry:
        function = self.functions.get(f"{bucket.entry}$async") or self.functions.get(bucket.entry)
        if function is None:
            raise StandaloneError(f"the module has no entry {bucket.entry!r}; it has: {', '.join(self.functions)}")
        text = self.allocate(bucket.bytes)
        # It takes the text and, as PyTorch's importer writes it, a fence to wait for and one to signal. Steps that run
        # one after the other need no fences.
        fences = [None] * (len(function.regions[0].blocks[0].arguments) - 1)
        results = self.call(function, [_View(text, (1, bucket.bytes // 4)), *fences])
        steps, self.steps = tuple(self.steps), []
        return ScheduledEntry(bucket.entry, text, tuple(Result(view.shape, view.data) for view in results), steps)

    def allocate(self, length: int) -> ByteRange:
        start = self.sizes[self.allocating]
        self.sizes[self.allocating] = start + _aligned(length)
        return ByteRange(self.allocating, start, length)

    def call(self, function: Any, arguments: list[Any]) -> list[Any]:
        """Run a function or an initializer."""
        values: dict[Any, Any] = {}
        block: Any = function.regions[0].blocks[0]
        while True:
            values.update(zip(block.arguments, arguments, strict=True))
            for view in block:
                operation = view.operation
                inputs = [values[value] for value in operation.operands]
                if operation.name == "util.return":
                    return inputs
                if operation.name in ("cf.br", "cf.cond_br"):
                    block, arguments = _branch(operation, inputs)
                    break
                values.update(zip(operation.results, self._run(operation, inputs), strict=True))
            else:
                raise StandaloneError("the host program has a block that leads nowhere")

    def _run(self, operation: Any, inputs: list[Any]) -> list[Any]:
        meaning = _MEANINGS.get(operation.name)
        if meaning is None:
            raise StandaloneError(
                f"the compiler's host program uses {operation.name}, which is not known here", str(operation)[:2000]
            )
        try:
            return meaning(self, operation, inputs)
        except (TypeError, ValueError, KeyError) as error:
            raise StandaloneError(
                f"{operation.name} in the compiler's host program is not understood ({error})", str(operation)[:2000]
            ) from error

    def submit(self, commands: _Commands, bindings: list[ByteRange]) -> None:
        """Add recorded commands to the steps."""
        for make, spans in commands.recorded:
            ranges = [
                (bindings[buffer] if isinstance(buffer, int) else buffer).part(offset, length)
                for buffer, offset, length in spans
            ]
            self.steps.append(make(*ranges))


def _operations(parent: Any) -> Iterator[Any]:
    for region in parent.regions:
        for block in region:
            for view in block:
                yield view.operation


def _aligned(length: int) -> int:
    return -(-length // ALIGNMENT) * ALIGNMENT


def _constant(attribute: Any) -> int:
    """Return a number of the host program; a truth value is 0 or 1."""
    return int(attribute.value)


def _branch(operation: Any, inputs: list[Any]) -> tuple[Any, list[Any]]:
    """Return the block that a branch goes to, and its arguments."""
    if operation.name == "cf.br":
        return operation.successors[0], inputs
    _, yes, no = _segments(operation)
    return (operation.successors[0], inputs[yes]) if inputs[0] else (operation.successors[1], inputs[no])


def _segments(operation: Any) -> list[slice]:
    """Return the inputs of every operand, for an operation whose operands are lists."""
    slices, start = [], 0
    for size in ir.DenseI32ArrayAttr(operation.attributes["operandSegmentSizes"]):
        slices.append(slice(start, start + size))
        start += size
    return slices


def _dispatch(host: _Host, operation: Any, inputs: list[Any]) -> list[Any]:
    commands, _, kernel, x, y, z, constants, buffers, offsets, lengths = (inputs[part] for part in _segments(operation))
    groups = (x[0], y[0], z[0])
    words = tuple(value & 0xFFFFFFFF for value in constants)
    record = commands[0].recorded
    record.append(
        (lambda *ranges: Dispatch(kernel[0], groups, words, ranges), list(zip(buffers, offsets, lengths, strict=True)))
    )
    return []


def _fill(host: _Host, operation: Any, inputs: list[Any]) -> list[Any]:
    commands, buffer, offset, length, value = inputs
    width = ir.IntegerType(operation.operands[4].type).width // 8
    pattern = (value & ((1 << 8 * width) - 1)).to_bytes(width, "little")
    commands.recorded.append((lambda target: Fill(target, pattern), [(buffer, offset, length)]))
    return []


def _copy(host: _Host, operation: Any, inputs: list[Any]) -> list[Any]:
    commands, source, source_offset, target, target_offset, length = inputs
    commands.recorded.append((Copy, [(source, source_offset, length), (target, target_offset, length)]))
    return []


def _execute(host: _Host, operation: Any, inputs: list[Any]) -> list[Any]:
    _, _, _, _, commands, *bindings = inputs
    third = len(bindings) // 3
    buffers, offsets, lengths = bindings[:third], bindings[third : 2 * third], bindings[2 * third :]
    host.submit(commands, [buffer.part(*span) for buffer, *span in zip(buffers, offsets, lengths, strict=True)])
    return []


def _pool(host: _Host, operation: Any, inputs: list[Any]) -> list[Any]:
    length = int(str(operation.attributes["value"]).split("<", 1)[1].split("xi8", 1)[0])
    start = host.sizes[Region.CONSTANTS]
    host.sizes[Region.CONSTANTS] = start + _aligned(length)
    return [ByteRange(Region.CONSTANTS, start, length)]


def _import(host: _Host, operation: Any, inputs: list[Any]) -> list[Any]:
    pool, offset, length = inputs[-3:]
    return [1, pool.part(offset, length)]


def _store(host: _Host, operation: Any, inputs: list[Any]) -> list[Any]:
    host.globals[str(operation.attributes["global"])] = inputs[0]
    return []


def _check(host: _Host, operation: Any, inputs: list[Any]) -> list[Any]:
    if inputs[0] != 0:
        raise ValueError(f"it gives up: {operation.attributes['message']}")
    return []


def _view(host: _Host, operation: Any, inputs: list[Any]) -> list[Any]:
    buffer, offset, length, _, _, *shape = inputs
    return [_View(buffer.part(offset, length), tuple(shape))]


def _compare(host: _Host, operation: Any, inputs: list[Any]) -> list[Any]:
    return [int(_COMPARISONS[_constant(operation.attributes["predicate"])](*inputs))]


_Meaning = Callable[[_Host, Any, list[Any]], list[Any]]


def _gives(*values: Any) -> _Meaning:
    return lambda host, operation, inputs: list(values)


# There is one device, which is the one that is looked for and executes at once: so there are no fences, and waiting
# succeeds.
_MEANINGS: dict[str, _Meaning] = {
    "arith.addi": lambda host, operation, inputs: [inputs[0] + inputs[1]],
    "arith.andi": lambda host, operation, inputs: [inputs[0] & inputs[1]],
    "arith.cmpi": _compare,
    "arith.constant": lambda host, operation, inputs: [_constant(operation.attributes["value"])],
    "arith.select": lambda host, operation, inputs: [inputs[1] if inputs[0] else inputs[2]],
    "hal.allocator.import": _import,
    "hal.buffer.assert": _gives(),
    "hal.buffer_usage": _gives(None),
    "hal.buffer_view.assert": _gives(),
    "hal.buffer_view.buffer": lambda host, operation, inputs: [inputs[0].data],
    "hal.buffer_view.create": _view,
    "hal.command_buffer.copy_buffer": _copy,
    "hal.command_buffer.create": lambda host, operation, inputs: [_Commands()],
    "hal.command_buffer.dispatch": _dispatch,
    "hal.command_buffer.execution_barrier": _gives(),
    "hal.command_buffer.fill_buffer": _fill,
    "hal.command_buffer.finalize": _gives(),
    "hal.device.allocator": _gives("allocator"),
    "hal.device.query": _gives(1, 1),
    "hal.device.queue.alloca": lambda host, operation, inputs: [host.allocate(inputs[-1])],
    "hal.device.queue.dealloca": _gives(),
    "hal.device.queue.execute": _execute,
    "hal.device.queue.execute.indirect": _execute,
    "hal.devices.count": _gives(1),
    "hal.devices.get": _gives("device"),
    "hal.element_type": _gives(None),
    "hal.encoding_type": _gives(None),
    "hal.executable.create": _gives("executable"),
    "hal.executable.lookup.function": lambda host, operation, inputs: [
        ir.SymbolRefAttr(operation.attributes["entry_point"]).value[-1]
    ],
    "hal.fence.await": _gives(0),
    "hal.fence.create": _gives(None),
    "hal.fence.join": _gives(None),
    "hal.memory_type": _gives(None),
    "util.buffer.constant": _pool,
    "util.call": lambda host, operation, inputs: host.call(
        host.functions[ir.FlatSymbolRefAttr(operation.attributes["callee"]).value], inputs
    ),
    "util.cmp.eq": lambda host, operation, inputs: [int(inputs[0] == inputs[1])],
    "util.global.load": lambda host, operation, inputs: [host.globals[str(operation.attributes["global"])]],
    "util.global.store": _store,
    "util.null": _gives(None),
    "util.status.check_ok": _check,
}
