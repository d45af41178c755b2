"""Working memory laid out anew: the same results from fewer bytes, whatever the steps are."""

from __future__ import annotations

from dataclasses import replace
from hashlib import shake_128

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compile.standalone.arena import end_of, pack_arena, used_buffers
from compile.standalone.schedule import (
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

_TEXT = 64


def at(offset: int, length: int, region: Region = Region.ARENA) -> ByteRange:
    return ByteRange(region, offset, length)


def kernel(reads: list[ByteRange], writes: list[ByteRange]) -> Dispatch:
    return Dispatch(f"reads{len(reads)}", (1, 1, 1), (len(writes),), (*reads, *writes))


def run(entry: ScheduledEntry, size: int) -> list[bytes]:
    """Run steps on memory full of rubbish: every kernel writes what follows from all that it reads."""
    memory = bytearray(b"\xa5" * size)
    memory[entry.text.offset : entry.text.offset + _TEXT] = bytes(range(_TEXT))

    def read(data: ByteRange) -> bytes:
        return bytes(memory[data.offset : data.offset + data.length]) if data.region is Region.ARENA else b"constant"

    def write(data: ByteRange, content: bytes) -> None:
        memory[data.offset : data.offset + data.length] = content

    for step in entry.steps:
        match step:
            case Dispatch(name, _, _, bindings):
                count = int(name.removeprefix("reads"))
                given = b"|".join(read(data) for data in bindings[:count])
                for number, data in enumerate(bindings[count:]):
                    write(data, shake_128(given + bytes([number])).digest(data.length))
            case Fill(target, pattern):
                write(target, pattern * target.length)
            case Copy(source, target):
                write(target, read(source))
    return [read(result.data) for result in entry.results]


@st.composite
def programs(draw: st.DrawFn) -> ScheduledEntry:
    """Steps that read of what was written before, each buffer in bytes of its own."""
    buffers, steps, used = [at(0, _TEXT)], list[Step](), _TEXT

    def new() -> ByteRange:
        nonlocal used
        buffer = at(used, draw(st.integers(1, 300)))
        used += -(-buffer.length // 64) * 64
        return buffer

    def part() -> ByteRange:
        buffer = draw(st.sampled_from(buffers))
        start = draw(st.integers(0, buffer.length - 1))
        return buffer.part(start, draw(st.integers(1, buffer.length - start)))

    for _ in range(draw(st.integers(1, 7))):
        match draw(st.sampled_from(("kernel", "kernel", "fill", "copy"))):
            case "kernel":
                reads = [part() for _ in range(draw(st.integers(0, 3)))]
                reads += [at(0, 8, Region.CONSTANTS)] * draw(st.integers(0, 1))
                writes = [new() for _ in range(draw(st.integers(1, 3)))]
                steps.append(kernel(reads, writes))
                buffers += writes
            case "fill":
                buffers.append(new())
                steps.append(Fill(buffers[-1], draw(st.binary(min_size=1, max_size=1))))
            case _:
                source, target = part(), new()
                length = min(source.length, target.length)
                steps.append(Copy(source.part(0, length), target.part(0, length)))
                buffers.append(target.part(0, length))
    results = tuple(Result((1,), part()) for _ in range(draw(st.integers(1, 3))))
    return ScheduledEntry("e", buffers[0], results, tuple(steps))


_READS = {f"reads{count}": count for count in range(6)}


@given(programs())
def test_packed_steps_give_the_same_in_fewer_bytes(entry: ScheduledEntry) -> None:
    size = end_of(entry)
    packed = pack_arena(Schedule((), (entry,), (64, 0, size)), _READS)
    (moved,) = packed.entries
    assert packed.sizes == (64, 0, end_of(moved))
    assert end_of(moved) <= size
    assert run(moved, end_of(moved)) == run(entry, size)
    # Nothing takes less than what is needed at one time.
    buffers = used_buffers(moved, _READS)
    live = [
        sum(-(-b.data.length // 64) * 64 for b in buffers if b.first <= step <= b.last)
        for step in range(-1, len(entry.steps) + 1)
    ]
    assert end_of(moved) >= max(live)
    again = pack_arena(packed, _READS).entries[0]
    assert run(again, end_of(again)) == run(entry, size)


def chain(*lengths: int) -> ScheduledEntry:
    """Kernels of which each reads what the one before wrote."""
    start, steps, before = _TEXT, list[Step](), at(0, _TEXT)
    for length in lengths:
        buffer = at(start, length)
        steps.append(kernel([before], [buffer]))
        start, before = start + -(-length // 64) * 64, buffer
    return ScheduledEntry("e", at(0, _TEXT), (Result((1,), before),), tuple(steps))


def test_two_of_a_chain_are_alive_at_a_time() -> None:
    entry = chain(640, 1280, 640, 1280, 64)
    packed = pack_arena(Schedule((), (entry, chain(64)), (0, 0, end_of(entry))), _READS)
    assert packed.sizes[Region.ARENA] == 640 + 1280 + 64  # the result has its place, too
    assert run(packed.entries[0], packed.sizes[Region.ARENA]) == run(entry, end_of(entry))


@pytest.mark.parametrize(
    "step",
    [
        Dispatch("unknown", (1, 1, 1), (), (at(64, 64),)),  # a kernel that may read what it writes
        kernel([at(4096, 64)], [at(8192, 64)]),  # reads what nobody wrote
        kernel([at(64, 640)], [at(128, 64)]),  # writes into what it reads
        kernel([], [at(64, 128), at(128, 64)]),  # two that overlap
        kernel([at(64, 640)], [at(0, 64, Region.STATE)]),  # what stays from call to call
        kernel([], [at(64, 64)]),  # half of a buffer that is read later
    ],
)
def test_steps_that_are_not_understood_stay_as_they_are(step: Step) -> None:
    entry = chain(640, 1280, 64)
    odd = replace(entry, steps=(entry.steps[0], step, *entry.steps[1:]))
    schedule = Schedule((), (odd,), (0, 0, end_of(odd)))
    assert used_buffers(odd, _READS) == []
    assert pack_arena(schedule, _READS) == schedule
