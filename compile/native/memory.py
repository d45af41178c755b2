"""What the memory of an open native parser is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from compile.standalone.arena import UsedBuffer, end_of, used_buffers
from compile.standalone.schedule import ByteRange, Copy, Dispatch, Fill, ScheduledEntry, Step

_RESULTS = ("logits of the intents", "logits of the tags", "bytes of the words", "number of words")


@dataclass(frozen=True, slots=True)
class MemoryPart:
    """A buffer.

    Attributes:
        name: What is in it, or which kernel writes it.
        bytes: Its size.
        offset: Where it lies; parts that are never needed at the same time share bytes.
        first: Index of the step that writes it; -1 for the text.
        last: Index of the last step that needs it; the number of steps for what stays until the next text.
    """

    name: str
    bytes: int
    offset: int
    first: int
    last: int


def list_memory(entry: ScheduledEntry, reads: Mapping[str, int]) -> tuple[MemoryPart, ...]:
    """Return the buffers of an entry, the largest first.

    Args:
        entry: The entry.
        reads: For kernels of our own, how many of their bindings they read. Where there are others, whose buffers
            cannot be told apart, they are one part.
    """
    steps = len(entry.steps)
    buffers = used_buffers(entry, reads)
    if not buffers:
        told = [("text", entry.text), *zip(_RESULTS, (result.data for result in entry.results), strict=True)]
        rest = end_of(entry) - sum(data.length for _, data in told)
        parts = [MemoryPart(name, data.length, data.offset, -1, steps) for name, data in told]
        parts.append(MemoryPart("buffers of the compiler's kernels", rest, 0, -1, steps))
    else:
        parts = [
            MemoryPart(_name(entry, buffer), buffer.data.length, buffer.data.offset, buffer.first, buffer.last)
            for buffer in buffers
        ]
    return tuple(sorted(parts, key=lambda part: -part.bytes))


def most_alive(parts: tuple[MemoryPart, ...]) -> int:
    """Return how many bytes are needed at once at most: less memory cannot do."""
    return max(sum(part.bytes for part in parts if part.first <= at.first <= part.last) for at in parts)


def _name(entry: ScheduledEntry, buffer: UsedBuffer) -> str:
    if buffer.first < 0:
        return "text"
    for name, result in zip(_RESULTS, entry.results, strict=True):
        if _holds(buffer.data, result.data) and buffer.last == len(entry.steps):
            return name
    writer = _writer(entry.steps[buffer.first])
    return f"{writer}: in work" if buffer.first == buffer.last else f"{writer}: result"


def _holds(data: ByteRange, part: ByteRange) -> bool:
    return data.offset <= part.offset and part.offset + part.length <= data.offset + data.length


def _writer(step: Step) -> str:
    match step:
        case Dispatch(kernel):
            return kernel.split("_", 1)[0]
        case Fill():
            return "fill"
        case Copy():
            return "copy"
