"""Memory of a native parser: what it is made of, and that a parser of the shipped size stays within its bound."""

from __future__ import annotations

from math import prod

import pytest

from compile.kernels.families import FAMILIES, InstructionFamily
from compile.kernels.head import head_kernel
from compile.kernels.head_sizes import HeadSizes
from compile.kernels.kernel import Buffer, Kernel
from compile.kernels.layer import layer_kernel
from compile.kernels.product_kernels import rectified_kernel
from compile.native.memory import list_memory, most_alive
from compile.standalone.arena import end_of, pack_arena
from compile.standalone.schedule import ByteRange, Dispatch, Region, Result, Schedule, ScheduledEntry

# MTOP English as it is shipped: words, features, bottleneck, channels of a direction, intents, tags.
_WORDS, _FEATURES, _BOTTLENECK, _STATE, _INTENTS, _TAGS = 64, 1024, 256, 192, 113, 149
_BYTES = {"i8": 1, "f32": 4, "i32": 4}


class _Program:
    """Launches of kernels, each buffer in bytes of its own."""

    def __init__(self) -> None:
        self.used = 0
        self.steps: list[Dispatch] = []
        self.reads: dict[str, int] = {}

    def new(self, shape: tuple[int, ...], element: str) -> ByteRange:
        data = ByteRange(Region.ARENA, self.used, prod(shape) * _BYTES[element])
        self.used += -(-data.length // 64) * 64
        return data

    def launch(self, kernel: Kernel, **given: ByteRange) -> dict[str, ByteRange]:
        """Add a launch; what is not given is a constant. Return the buffers that it writes."""

        def read(buffer: Buffer) -> ByteRange:
            return given.get(buffer.name.removeprefix("%"), ByteRange(Region.CONSTANTS, 0, 64))

        written = {
            buffer.name.removeprefix("%"): self.new(buffer.shape, buffer.element)
            for buffer in (*kernel.writes, *kernel.scratch)
        }
        self.reads[kernel.name] = len(kernel.reads)
        bindings = (*map(read, kernel.reads), *written.values())
        self.steps.append(Dispatch(kernel.name, (kernel.groups, 1, 1), (), bindings))
        return written


def parser_entry(family: InstructionFamily) -> tuple[ScheduledEntry, dict[str, int]]:
    """The steps of the parser, as the compiler would have them without sharing anything."""
    program = _Program()
    text = program.new((512,), "i8")
    features, mask, spans, count = (
        program.new(shape, element)
        for shape, element in (
            ((_WORDS, _FEATURES), "i8"),
            ((_WORDS,), "f32"),
            ((_WORDS, 2), "i32"),
            ((1,), "i32"),
        )
    )
    program.steps.append(Dispatch("projection_k", (1, 1, 1), (), (text, features, mask, spans, count)))
    program.reads["projection_k"] = 1
    rest = {"mask": mask, "counts": count}
    bottleneck = rectified_kernel("rectified_k", family, 1, _WORDS, _FEATURES, _BOTTLENECK)
    states = program.launch(bottleneck, left=features, **rest)["output_i8"]
    for number, depth in enumerate((_BOTTLENECK, 2 * _STATE)):
        layer = layer_kernel(f"layer_{number}", family, 1, _WORDS, depth, _STATE, 2)
        written = program.launch(layer, left=states, **rest)
        states = written["output_i8"]
    sizes = HeadSizes(1, _WORDS, 2 * _STATE, _INTENTS, _TAGS, True, 2)
    head = program.launch(head_kernel("head_k", family, sizes), states_i8=states, states=written["output_f32"], **rest)
    results = (
        Result((1, _INTENTS), head["intent"]),
        Result((1, _WORDS, _TAGS), head["tags"]),
        Result((1, _WORDS, 2), spans),
        Result((1,), count),
    )
    return ScheduledEntry("parse_64", text, results, tuple(program.steps)), program.reads


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_parser_of_64_words_works_in_300_kilobytes(family: InstructionFamily) -> None:
    entry, reads = parser_entry(family)
    packed = pack_arena(Schedule((), (entry,), (0, 0, end_of(entry))), reads)
    parts = list_memory(packed.entries[0], reads)
    assert packed.sizes[Region.ARENA] <= 1.002 * most_alive(parts)  # but for rounding nothing is wasted
    beside = _WORDS * (24 + 4) + 512  # slots and tags of the words, the parser itself
    assert packed.sizes[Region.ARENA] + beside <= 300_000
    assert sum(part.bytes for part in parts) > 1.8 * packed.sizes[Region.ARENA]


def test_each_buffer_is_named_after_what_writes_it() -> None:
    entry, reads = parser_entry(FAMILIES[1])
    parts = list_memory(entry, reads)
    assert [part.bytes for part in parts] == sorted((part.bytes for part in parts), reverse=True)
    named = {part.name: part for part in parts}
    steps = len(entry.steps)
    assert (named["text"].bytes, named["text"].first, named["text"].last) == (512, -1, 0)
    assert (named["logits of the tags"].bytes, named["logits of the tags"].last) == (_WORDS * _TAGS * 4, steps)
    assert named["bytes of the words"].first == 0
    assert (named["head: in work"].first, named["head: in work"].last) == (steps - 1, steps - 1)
    assert sum(part.name == "layer: result" for part in parts) == 3  # nobody reads float32 of the first layer
    assert sum(part.name == "layer: in work" for part in parts) == 1


def test_buffers_of_unknown_kernels_are_one_part() -> None:
    entry, _ = parser_entry(FAMILIES[1])
    parts = list_memory(entry, {})
    assert parts[0].name == "buffers of the compiler's kernels"
    assert sorted(part.name for part in parts[1:]) == [
        "bytes of the words",
        "logits of the intents",
        "logits of the tags",
        "number of words",
        "text",
    ]
    assert sum(part.bytes for part in parts) == most_alive(parts) == end_of(entry)
