"""The C of a native parser: a header for its users, one source file, the weights, and files that all share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from compile.native.guessing import guess_ranges
from compile.native.header import write_header
from compile.native.processors import feature_macros
from compile.standalone.errors import StandaloneError
from compile.standalone.schedule import ALIGNMENT, ByteRange, Region, Schedule, ScheduledEntry
from compile.standalone.step_tables import StepTables, c_array, c_string
from runtime_py.decode.calibration import Calibration
from runtime_py.decode.labels import Labels
from runtime_py.package_format.manifest import Bucket
from runtime_py.tools.c_header import END_BYTES, calibration_tables, package_tables, search_memory

ABI = 1
_ROW_BYTES = 4096
_SHARED = (
    ("compile.native", "c/native.c"),
    ("compile.native", "c/guess.h"),
    ("compile.native", "c/processor.h"),
    ("compile.native", "c/freestanding.h"),
    ("compile.standalone", "c/player.h"),
    ("compile.standalone", "c/kernel_abi.h"),
    ("compile.standalone", "c/steps.h"),
    ("runtime_py", "c/decode.h"),
    ("runtime_py", "c/calibration.h"),
)


@dataclass(frozen=True, slots=True)
class Sources:
    """The C of a native parser.

    Attributes:
        folder: Folder of the files.
        prefix: Prefix of every public name.
        memory_bytes: Memory that an open parser works in, without its own few hundred bytes.
        weight_bytes: Size of the weights.
    """

    folder: Path
    prefix: str
    memory_bytes: int
    weight_bytes: int

    @property
    def header(self) -> Path:
        """Header for users."""
        return self.folder / f"{self.prefix}.h"

    @property
    def compiled(self) -> tuple[Path, Path]:
        """Files to compile."""
        return self.folder / f"{self.prefix}.c", self.folder / f"{self.prefix}_weights.c"


def prefix_of(name: str) -> str:
    """Return a name as C allows it: `mtop-en` becomes `mtop_en`."""
    cleaned = re.sub(r"\W", "_", name, flags=re.ASCII)
    return cleaned if cleaned[:1].isalpha() else f"p_{cleaned}"


def write_module_map(folder: Path, sources: Sources) -> None:
    """Write what Swift and Objective-C import a header by: `import mtop_en`."""
    text = f'module {sources.prefix} {{\n  header "{sources.header.name}"\n  link "{sources.prefix}"\n  export *\n}}\n'
    (folder / "module.modulemap").write_text(text, encoding="utf-8")


def write_native(
    folder: Path,
    schedule: Schedule,
    weights: bytes,
    buckets: Sequence[Bucket],
    labels: Labels,
    query: str,
    name: str,
    triple: str,
    features: Iterable[str],
    calibration: Calibration | None = None,
) -> Sources:
    """Write the C of a parser, all but the kernels.

    Args:
        folder: Existing folder.
        schedule: Steps of the parser.
        weights: Constants of the parser.
        buckets: Length buckets of the entries.
        labels: Names of the outputs, and which slots go with which intent.
        query: Name of the function in the object file that lists the kernels.
        name: Name of the parser, for people.
        triple: LLVM triple of the target.
        features: Features of the processor that the kernels need.
        calibration: What turns logits into probabilities; None where a score is the softmax of the intent.

    Raises:
        StandaloneError: An entry does not return the arrays of ABI 1.
    """
    prefix = prefix_of(name)
    for package, file in _SHARED:
        source = files(package) / file
        (folder / Path(file).name).write_bytes(source.read_bytes())
    search = search_memory(labels, buckets[-1].words) * END_BYTES
    pairs = list(zip(schedule.entries, buckets, strict=True))
    frees = [_free_offset(entry, bucket, labels, schedule) for entry, bucket in pairs]
    apart = 0 if all(free is not None for free in frees) else search
    needed = sorted(features)
    tables = StepTables()
    setup = [tables.add(step) for step in schedule.setup]
    entries: list[str] = []
    steps: list[str] = []
    for entry, bucket in pairs:
        _check_results(entry, bucket, labels)
        offsets = ", ".join(str(data.offset) for data in (entry.text, *(result.data for result in entry.results)))
        entries.append(f"{{{bucket.bytes}, {bucket.words}, {offsets}, {len(steps)}, {len(entry.steps)}}}")
        steps += [tables.add(step) for step in entry.steps]
    _, state, arena = schedule.sizes
    text = f"""\
// The parser {_comment(name)}, for {triple}.

#include "{prefix}.h"

#define PQRNN_NATIVE(name) {prefix}_##name
#define PQRNN_NAME {c_string(name)}
#define PQRNN_KERNELS_QUERY {query}
#define PQRNN_FEATURES {c_string(", ".join(needed))}
#define PQRNN_STATE_BYTES {state}
#define PQRNN_ARENA_BYTES {arena}
#define PQRNN_END_BYTES {apart}
#define PQRNN_SETUP_COUNT {len(setup)}
#define PQRNN_KERNEL_COUNT {len(tables.kernels)}
#define PQRNN_MOST_WORDS {buckets[-1].words}
{feature_macros(triple, needed)}
#ifdef PQRNN_FREESTANDING
#include "freestanding.h"
#endif
#include "decode.h"
#include "calibration.h"
#include "steps.h"
#include "processor.h"

extern const uint8_t PQRNN_NATIVE(weights)[];

{chr(10).join([*package_tables(labels, buckets, 1), *calibration_tables(calibration)])}
{c_array("static const pqrnn_range ranges[]", tables.range_rows)}
{c_array("static const uint32_t constants[]", tables.constant_rows)}
{c_array("static const char *const kernel_names[]", map(c_string, tables.kernels))}
{c_array("static const pqrnn_step setup_steps[]", setup or ["{0}"])}
{c_array("static const pqrnn_step steps[]", steps)}
{c_array("static const pqrnn_entry entries[]", entries)}
// Where in the arena the search of each entry may work: nobody reads there any more.
static const uint32_t free_offsets[] = {{{", ".join(str(free or 0) for free in frees)}}};
#define GUESS_ROWS {guess_ranges()}

#include "guess.h"
#include "native.c"
"""
    (folder / f"{prefix}.c").write_text(text, encoding="utf-8")
    (folder / f"{prefix}.h").write_text(write_header(prefix, name, buckets[-1]), encoding="utf-8")
    (folder / f"{prefix}_weights.c").write_text(_weights(prefix, weights), encoding="ascii")
    words = buckets[-1].words
    memory = sum(-(-part // ALIGNMENT) * ALIGNMENT for part in (state, arena, apart, words * 32, words * 4))
    return Sources(folder, prefix, memory, len(weights))


def _free_offset(entry: ScheduledEntry, bucket: Bucket, labels: Labels, schedule: Schedule) -> int | None:
    """Return where in the arena there is room for the search once the numbers are there, or None."""
    size = search_memory(labels, bucket.words) * END_BYTES
    start = 0
    for data in sorted((result.data for result in entry.results), key=lambda data: data.offset):
        if data.offset - start >= size:
            return start
        start = max(start, _round_up(data))
    return start if schedule.sizes[Region.ARENA] - start >= size else None


def _round_up(data: ByteRange) -> int:
    return -(-(data.offset + data.length) // ALIGNMENT) * ALIGNMENT


def _check_results(entry: ScheduledEntry, bucket: Bucket, labels: Labels) -> None:
    tags = len(labels.tags)
    shapes = [result.shape for result in entry.results]
    if shapes != [(1, len(labels.intents)), (1, bucket.words, tags), (1, bucket.words, 2), (1,)]:
        raise StandaloneError(f"{entry.name}: returns arrays of shapes {shapes}, which are not those of ABI 1")


def _weights(prefix: str, weights: bytes) -> str:
    """Return the weights as a string, which every C compiler reads in a second, as no list of numbers."""
    plain = {byte: chr(byte) for byte in range(32, 127) if byte not in b'"\\?'}
    escaped = [plain.get(byte, f"\\{byte:03o}") for byte in range(256)]
    rows = (
        '  "' + "".join(escaped[byte] for byte in weights[start : start + _ROW_BYTES]) + '"\n'
        for start in range(0, len(weights), _ROW_BYTES)
    )
    return f"""\
// The weights. One byte more than there are: a string ends with a zero.
extern const unsigned char {prefix}_weights[];
__attribute__((aligned(64))) const unsigned char {prefix}_weights[{len(weights)} + 1] =
{"".join(rows) or '  ""'};
"""


def _comment(text: str) -> str:
    return text.replace("\\", "/").replace("\n", " ")
