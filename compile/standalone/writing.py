"""A schedule as C: tables for the player, the parser's own header, and the files that all parsers share."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np

from compile.standalone.errors import StandaloneError
from compile.standalone.schedule import Region, Schedule, ScheduledEntry
from compile.standalone.step_tables import StepTables, c_array, c_string
from runtime_py.package_format.golden import GoldenVectors
from runtime_py.package_format.manifest import Bucket

FIXED_FILES = (
    "parser.c",
    "player.c",
    "player.h",
    "kernel_abi.h",
    "steps.h",
    "tables.h",
    "weights.S",
    "example.c",
    "check.c",
    "replay.c",
    "Makefile",
)


def write_sources(
    folder: Path,
    schedule: Schedule,
    buckets: Sequence[Bucket],
    intents: Sequence[str],
    tags: Sequence[str],
    query: str,
    name: str,
) -> None:
    """Write every C file of a parser.

    Args:
        folder: Existing folder.
        schedule: Steps of the parser.
        buckets: Length buckets of the entries.
        intents: Names of the intents, in the order of their logits.
        tags: Names of the tags, in the order of their logits.
        query: Name of the function in `kernels.o` that lists the kernels.
        name: Name of the parser, for people.

    Raises:
        StandaloneError: An entry does not return the arrays of ABI 1.
    """
    for entry, bucket in zip(schedule.entries, buckets, strict=True):
        _check_results(entry, bucket, len(intents), len(tags))
    for file in FIXED_FILES:
        (folder / file).write_bytes((files("compile.standalone") / "c" / file).read_bytes())
    (folder / "parser.h").write_text(_header(schedule, buckets, len(intents), len(tags), query, name), encoding="utf-8")
    (folder / "tables.c").write_text(_Tables(schedule).text(buckets, intents, tags), encoding="utf-8")


def write_golden(path: Path, golden: GoldenVectors, tolerance: float) -> None:
    """Write the golden vectors for `check.c`.

    Args:
        path: File to write.
        golden: Texts with PyTorch's answers.
        tolerance: Largest allowed difference of a logit.
    """
    with path.open("wb") as stream:
        stream.write(struct.pack("<f", tolerance))
        for index, text in enumerate(golden.texts):
            rows = golden.words(index)
            stream.write(struct.pack("<Ii", len(text), rows.stop - rows.start) + text)
            for numbers in (golden.intent[index], golden.tags[rows], golden.spans[rows]):
                stream.write(np.ascontiguousarray(numbers).astype(numbers.dtype.newbyteorder("<")).tobytes())


def _check_results(entry: ScheduledEntry, bucket: Bucket, intents: int, tags: int) -> None:
    shapes = [result.shape for result in entry.results]
    if shapes != [(1, intents), (1, bucket.words, tags), (1, bucket.words, 2), (1,)]:
        raise StandaloneError(f"{entry.name}: returns arrays of shapes {shapes}, which are not those of ABI 1")
    if any(result.data.length != 4 * result.size or result.data.region is not Region.ARENA for result in entry.results):
        raise StandaloneError(f"{entry.name}: returns something that is no array of 32-bit numbers of its own")


def _header(schedule: Schedule, buckets: Sequence[Bucket], intents: int, tags: int, query: str, name: str) -> str:
    sizes = ", ".join(f"{bucket.words} words and {bucket.bytes} bytes" for bucket in buckets)
    memory = schedule.sizes[Region.ARENA] + schedule.sizes[Region.STATE]
    return f"""\
/* The parser "{_comment(name)}": bytes in, numbers out. Works in {memory:,} bytes of memory.

   Everything is in static memory: one call at a time. */
#ifndef PQRNN_PARSER_H
#define PQRNN_PARSER_H

#include <stddef.h>
#include <stdint.h>

#define PQRNN_INTENTS {intents}
#define PQRNN_TAGS {tags}
#define PQRNN_BUCKETS {len(buckets)} /* {sizes} */
#define PQRNN_MOST_WORDS {buckets[-1].words}
#define PQRNN_MOST_BYTES {buckets[-1].bytes}

enum {{ PQRNN_OK, PQRNN_TOO_LONG, PQRNN_WRONG_KERNELS, PQRNN_KERNEL_FAILED }};

typedef struct {{
  int32_t count;                              /* words in the text */
  int32_t words;                              /* words in the arrays below: fewer only if the text was too long */
  float intent[PQRNN_INTENTS];                /* logits: the largest wins */
  float tags[PQRNN_MOST_WORDS][PQRNN_TAGS];   /* logits of every word */
  int32_t spans[PQRNN_MOST_WORDS][2];         /* first byte of every word, and the byte after its last */
}} pqrnn_result;

/* Names, in the order of the logits. A tag is "O", "B-slot" where a slot begins, "I-slot" where it goes on,
   or "B2-slot" where one begins two characters before the end of its word. */
extern const char *const pqrnn_intents[PQRNN_INTENTS];
extern const char *const pqrnn_tags[PQRNN_TAGS];

/* Parse a text of UTF-8; invalid bytes read as U+FFFD, zero bytes separate words. Runs in the smallest bucket that
   holds the text. Returns PQRNN_OK, PQRNN_TOO_LONG (with the numbers of the first words if only the words were too
   many), or an error. */
int pqrnn_parse(const uint8_t *text, size_t length, pqrnn_result *result);

/* The same in a bucket of your choice, from 0. */
int pqrnn_parse_in(int32_t bucket, const uint8_t *text, size_t length, pqrnn_result *result);

/* What a status means. */
const char *pqrnn_message(int status);

/* What kernels.o calls the list of its kernels. */
#define PQRNN_KERNELS_QUERY {query}

#endif
"""


class _Tables:
    """The tables of a schedule."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.tables = StepTables()

    def text(self, buckets: Sequence[Bucket], intents: Sequence[str], tags: Sequence[str]) -> str:
        setup = [self.tables.add(step) for step in self.schedule.setup]
        entries: list[str] = []
        steps: list[str] = []
        for entry, bucket in zip(self.schedule.entries, buckets, strict=True):
            offsets = ", ".join(str(data.offset) for data in (entry.text, *(result.data for result in entry.results)))
            entries.append(f"{{{bucket.bytes}, {bucket.words}, {offsets}, {len(steps)}, {len(entry.steps)}}}")
            steps += [self.tables.add(step) for step in entry.steps]
        _, state, arena = self.schedule.sizes
        tables = self.tables
        return f"""\
#include "tables.h"

#include "parser.h"

/* Where the working memory lies can be said by the build: -DPQRNN_MEMORY='__attribute__((section(".bss.sdram")))' */
#ifndef PQRNN_MEMORY
#define PQRNN_MEMORY
#endif
static PQRNN_MEMORY _Alignas(64) uint8_t state[{max(state, 1)}];
static PQRNN_MEMORY _Alignas(64) uint8_t arena[{arena}];
extern const uint8_t pqrnn_weights[];

{c_array("static const pqrnn_range ranges[]", tables.range_rows)}
{c_array("static const uint32_t constants[]", tables.constant_rows)}
{c_array("static const char *const kernels[]", map(c_string, tables.kernels))}
static uint16_t ordinals[{len(tables.kernels)}];

const pqrnn_module pqrnn_tables = {{
  ranges, constants, kernels, {len(tables.kernels)}, ordinals, {{(uint8_t *)pqrnn_weights, state, arena}}}};

{c_array("const pqrnn_step pqrnn_setup[]", setup or ["{0}"])}
const uint32_t pqrnn_setup_count = {len(setup)};
{c_array("const pqrnn_step pqrnn_steps[]", steps)}
{c_array("const pqrnn_entry pqrnn_entries[]", entries)}
{c_array("const char *const pqrnn_intents[]", map(c_string, intents))}
{c_array("const char *const pqrnn_tags[]", map(c_string, tags))}"""


def _comment(text: str) -> str:
    return text.replace("*/", "* /").replace("\n", " ")
