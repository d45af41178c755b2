"""Working memory laid out anew: buffers that are never needed at the same time share their bytes.

The compiler lays out the buffers of an entry apart from text and results, and leaves holes. Of our own kernels it is
known which buffers they read, and that they read nothing of those that they write (`compile.kernels.kernel`); so it can
be told from the steps alone when each buffer is needed, and all of them be placed at once. Other kernels may write into
what they read: an entry with one of them stays as the compiler made it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from compile.standalone.schedule import (
    ALIGNMENT,
    ByteRange,
    Copy,
    Dispatch,
    Fill,
    Region,
    Schedule,
    ScheduledEntry,
    Step,
)


@dataclass(slots=True)
class UsedBuffer:
    """A buffer of an entry.

    Attributes:
        data: Where it lies.
        first: Index of the step that writes it; -1 for the text.
        last: Index of the last step that needs it; the number of steps for results.
    """

    data: ByteRange
    first: int
    last: int


class _UnknownBufferError(Exception):
    """It cannot be told which buffer a step reads."""


def pack_arena(schedule: Schedule, reads: Mapping[str, int]) -> Schedule:
    """Return a schedule whose entries need less memory, where that can be done.

    Args:
        schedule: The schedule.
        reads: For kernels that read nothing of what they write, the number of their bindings that they read; these come
            before the others.
    """
    entries = tuple(_pack(entry, reads) for entry in schedule.entries)
    constants, state, _ = schedule.sizes
    return replace(schedule, entries=entries, sizes=(constants, state, max(map(end_of, entries))))


def used_buffers(entry: ScheduledEntry, reads: Mapping[str, int]) -> list[UsedBuffer]:
    """Return the buffers of an entry in the order in which they are written; none where they cannot be told apart."""
    try:
        return _Buffers(entry, reads).all
    except _UnknownBufferError:
        return []


def end_of(entry: ScheduledEntry) -> int:
    """Return how much of the arena an entry takes."""
    spans = [entry.text, *(result.data for result in entry.results)]
    for step in entry.steps:
        given, written = _spans(step, {})
        spans += [*given, *written]
    return max(data.offset + _aligned(data.length) for data in spans if data.region is Region.ARENA)


def _pack(entry: ScheduledEntry, reads: Mapping[str, int]) -> ScheduledEntry:
    try:
        known = _Buffers(entry, reads)
    except _UnknownBufferError:
        return entry
    packed = _move(entry, reads, known, _place(known.all, len(entry.steps)))
    return packed if end_of(packed) < end_of(entry) else entry


class _Buffers:
    """The buffers of an entry, and which of them each range of each step is part of."""

    def __init__(self, entry: ScheduledEntry, reads: Mapping[str, int]) -> None:
        self.all = [UsedBuffer(entry.text, -1, -1)]
        self.current = [self.all[0]]
        self.parts: list[tuple[list[UsedBuffer | None], list[UsedBuffer | None]]] = []
        for index, step in enumerate(entry.steps):
            if isinstance(step, Dispatch) and step.kernel not in reads:
                raise _UnknownBufferError
            given, written = _spans(step, reads)
            read = [self._find(data, index) for data in given]
            self.parts.append((read, [self._write(data, index) for data in written]))
        self.results = [self._find(result.data, len(entry.steps)) for result in entry.results]

    def _find(self, data: ByteRange, index: int) -> UsedBuffer | None:
        if data.region is not Region.ARENA:
            return None
        for buffer in self.current:
            if buffer.data.offset <= data.offset and _end(data) <= _end(buffer.data):
                buffer.last = max(buffer.last, index)
                return buffer
        raise _UnknownBufferError

    def _write(self, data: ByteRange, index: int) -> UsedBuffer | None:
        if data.region is not Region.ARENA:
            raise _UnknownBufferError
        overlapped = [b for b in self.current if b.data.offset < _end(data) and data.offset < _end(b.data)]
        if any(buffer.last == index for buffer in overlapped):
            raise _UnknownBufferError  # the very step reads or writes it
        self.current = [buffer for buffer in self.current if buffer not in overlapped]
        written = UsedBuffer(data, index, index)
        self.all.append(written)
        self.current.append(written)
        return written


def _spans(step: Step, reads: Mapping[str, int]) -> tuple[tuple[ByteRange, ...], tuple[ByteRange, ...]]:
    """Return what a step reads and what it writes."""
    match step:
        case Dispatch(kernel, _, _, bindings):
            count = reads.get(kernel, 0)
            return bindings[:count], bindings[count:]
        case Fill(target, _):
            return (), (target,)
        case Copy(source, target):
            return (source,), (target,)


def _place(buffers: Sequence[UsedBuffer], steps: int) -> list[ByteRange]:
    """Return a place for each buffer: results first, the others from the largest down, each as far down as it can be.

    Results lie together, so that what is behind them is free for the search.
    """
    order = sorted(range(len(buffers)), key=lambda number: (buffers[number].last < steps, -buffers[number].data.length))
    places: dict[int, ByteRange] = {}
    for number in order:
        buffer = buffers[number]
        taken = sorted(
            (place.offset, place.offset + _aligned(place.length))
            for other, place in places.items()
            if buffers[other].first <= buffer.last and buffer.first <= buffers[other].last
        )
        at = 0
        for start, stop in taken:
            if at + _aligned(buffer.data.length) <= start:
                break
            at = max(at, stop)
        places[number] = ByteRange(Region.ARENA, at, buffer.data.length)
    return [places[number] for number in range(len(buffers))]


def _move(
    entry: ScheduledEntry, reads: Mapping[str, int], known: _Buffers, placed: Sequence[ByteRange]
) -> ScheduledEntry:
    targets = {id(buffer): target for buffer, target in zip(known.all, placed, strict=True)}

    def move(data: ByteRange, buffer: UsedBuffer | None) -> ByteRange:
        return data if buffer is None else targets[id(buffer)].part(data.offset - buffer.data.offset, data.length)

    steps: list[Step] = []
    for step, (read, written) in zip(entry.steps, known.parts, strict=True):
        given, results = _spans(step, reads)
        ranges = [move(*pair) for pair in zip((*given, *results), (*read, *written), strict=True)]
        match step:
            case Dispatch():
                steps.append(replace(step, bindings=tuple(ranges)))
            case Fill():
                steps.append(replace(step, target=ranges[0]))
            case Copy():
                steps.append(Copy(*ranges))
    returned = [
        replace(result, data=move(result.data, buffer))
        for result, buffer in zip(entry.results, known.results, strict=True)
    ]
    return replace(entry, text=placed[0], results=tuple(returned), steps=tuple(steps))


def _end(data: ByteRange) -> int:
    return data.offset + data.length


def _aligned(length: int) -> int:
    return -(-length // ALIGNMENT) * ALIGNMENT
