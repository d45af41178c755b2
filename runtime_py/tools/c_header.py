"""A package's buckets and labels as a C header, for hosts that have no use for a JSON reader.

The types are those of ``c/decode.h`` and ``c/calibration.h``.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain

from runtime_py.decode.calibration import Calibration
from runtime_py.decode.frame_search import Frames
from runtime_py.decode.frame_weights import FrameWeights
from runtime_py.decode.labels import Labels
from runtime_py.decode.tags import TagScheme
from runtime_py.package_format.manifest import Bucket, Manifest
from runtime_py.tools.conformance import refuse_subwords

END_BYTES = 16  # of a pqrnn_end_t: a double and a number, in every C of today


def c_header(manifest: Manifest) -> str:
    """Return the header.

    It includes ``decode.h`` and ``calibration.h``, and defines ``pqrnn_package`` and ``PQRNN_CALIBRATION``.

    Raises:
        ConformanceError: The package reads subwords.
    """
    refuse_subwords(manifest)
    modules = [
        f"// {variant.target}: {variant.path}, SHA-256 {manifest.files[variant.path].sha256}"
        for variant in manifest.variants
    ]
    return "\n".join(
        [
            "// Made by `pqrnn conformance PACKAGE --header FILE`; the modules that it belongs to:",
            *modules,
            "#ifndef PQRNN_PACKAGE_H_",
            "#define PQRNN_PACKAGE_H_",
            '#include "calibration.h"',
            '#include "decode.h"',
            f"#if PQRNN_ABI != {manifest.abi}",
            "#error this package follows another calling convention than decode.h",
            "#endif",
            *package_tables(manifest.labels, manifest.buckets, manifest.abi),
            *calibration_tables(manifest.calibration),
            "#endif",
            "",
        ]
    )


def package_tables(labels: Labels, buckets: Sequence[Bucket], abi: int) -> list[str]:
    """Return the definition of ``pqrnn_package`` and of all that it refers to, as ``decode.h`` declares them.

    Args:
        labels: Names of the outputs, and which slots were seen with which intent.
        buckets: Length buckets, growing.
        abi: Version of the call.
    """
    rows = [f"{{{bucket.words}, {bucket.bytes}, {_literal(bucket.entry)}}}" for bucket in buckets]
    scheme = TagScheme(labels.tags)
    slots = scheme.slots
    frames = (_bits(frame, len(slots)) for frame in labels.frames)
    names, starts = _pool([*labels.intents, *labels.tags])
    weights = labels.frame_weights or FrameWeights()
    search = Frames(scheme, labels.frames, labels.frame_counts, weights)
    known = list(chain.from_iterable(search.known))
    offsets = accumulate((len(frame.slots) for frame in known), initial=0)
    bonuses = {bonus: number for number, bonus in enumerate(dict.fromkeys(frame.bonus for frame in known))}
    listed = [
        f"{{{bonuses[frame.bonus]}, {first}, {len(frame.slots)}}}" for frame, first in zip(known, offsets, strict=False)
    ]
    prior = [  # C has no empty arrays
        _array("pqrnn_known_t pqrnn_known", listed or ["{0, 0, 0}"]),
        _array("double pqrnn_bonuses", map(repr, bonuses) if bonuses else ["0"]),
        _array("int16_t pqrnn_known_slots", [str(slot) for frame in known for slot in frame.slots] or ["0"]),
        _array("int32_t pqrnn_known_of", map(str, accumulate(map(len, search.known), initial=0))),
        _array("double pqrnn_unseen", map(repr, search.unseen)),
    ]
    has_frames, has_prior = bool(labels.frames and slots), bool(labels.frame_counts and weights.prior)
    prior_fields = (
        f"pqrnn_known, pqrnn_bonuses, pqrnn_known_slots, pqrnn_known_of, pqrnn_unseen, {_widest(search)}"
        if has_prior
        else "NULL, NULL, NULL, NULL, NULL, 0"
    )
    return [
        _array("pqrnn_bucket_t pqrnn_buckets", rows),
        names,
        _array("uint32_t pqrnn_intents", map(str, starts[: len(labels.intents)])),
        _array("uint32_t pqrnn_tags", map(str, starts[len(labels.intents) :])),
        _array("int16_t pqrnn_slots", (str(slots.index(label) if label else -1) for label in scheme.labels)),
        *([_array("uint8_t pqrnn_frames", frames)] if has_frames else []),
        *(prior if has_prior else []),
        "static const pqrnn_package_t pqrnn_package = {",
        f"    {abi}, {len(buckets)}, {len(labels.intents)}, {len(labels.tags)}, {len(slots)}, "
        "pqrnn_buckets, pqrnn_names, pqrnn_intents, pqrnn_tags, pqrnn_slots,",
        f"    {'pqrnn_frames' if has_frames else 'NULL'},",
        f"    {prior_fields}, {_limit(weights.penalty)}, {_limit(weights.margin)}}};",
    ]


def calibration_tables(calibration: Calibration | None) -> list[str]:
    """Return the definition of ``PQRNN_CALIBRATION`` as ``calibration.h`` declares it: NULL where there is none."""
    if calibration is None:
        return ["#define PQRNN_CALIBRATION ((const pqrnn_calibration_t *)NULL)"]
    right, slots, scope = calibration.right, calibration.slots, calibration.scope
    recommended = calibration.recommended
    summary = scope.summary if scope is not None else (0.0,)
    intents = scope.intents if scope is not None else ()
    return [
        _array("pqrnn_knot_t pqrnn_knots", (f"{{{x!r}, {y!r}}}" for x, y in calibration.knots)),
        *([_array("double pqrnn_scope_intents", map(repr, intents))] if intents else []),
        "static const pqrnn_calibration_t pqrnn_calibration = {",
        f"    {calibration.temperature!r}, {right.intent!r}, {right.tags!r}, {right.bias!r},",
        f"    {slots.tags if slots is not None else 0.0!r}, {slots.bias if slots is not None else 0.0!r},",
        f"    {{{', '.join(map(repr, summary))}}}, {scope.bias if scope is not None else 0.0!r},",
        f"    {'pqrnn_scope_intents' if intents else 'NULL'}, pqrnn_knots,",
        f"    {len(calibration.knots)}, {int(slots is not None)}, {int(scope is not None)}, "
        f"{int(recommended.of == 'in_scope')}, {recommended.least!r}}};",
        "#define PQRNN_CALIBRATION (&pqrnn_calibration)",
    ]


def search_memory(labels: Labels, words: int) -> int:
    """Return how many ``pqrnn_end_t`` the search works in for so many words, as ``pqrnn_ends`` in ``decode.h`` does."""
    scheme = TagScheme(labels.tags)
    weights = labels.frame_weights or FrameWeights()
    slots = len(scheme.slots)
    has_prior = bool(labels.frame_counts and weights.prior)
    widest = _widest(Frames(scheme, labels.frames, labels.frame_counts, weights)) if has_prior else 0
    return (words + 1) * (max(slots + 1, widest) + 1) + slots + slots // END_BYTES + 1


def _widest(frames: Frames) -> int:
    """Return how many numbers a word takes at most in the search for a frame.

    These are, for each state (how many of each slot have begun), one for each slot that the word may end in, and one
    for the best of all.
    """
    known = [frame.slots for known in frames.known for frame in known]
    return max(
        math.prod(slots.count(slot) + 1 for slot in set(slots)) * (len(set(slots)) + 1) for slots in [(), *known]
    )


def _bits(frame: Sequence[int], slots: int) -> str:
    """Return the row of an intent in the table of frames: a bit for each slot, lowest first, in whole bytes."""
    row = bytearray((slots + 7) // 8)
    for slot in frame:
        row[slot // 8] |= 1 << slot % 8
    return ", ".join(map(str, row))


def _pool(names: Sequence[str]) -> tuple[str, list[int]]:
    """Return the definition of names one after the other, each with a zero behind it, and where each begins."""
    sizes = [len(name.encode()) + 1 for name in names]
    pieces = "".join(f'    {_literal(name)[:-1]}\\000"\n' for name in names)
    return f"static const char pqrnn_names[] =\n{pieces.rstrip()};", list(accumulate(sizes, initial=0))[:-1]


def _limit(number: float | None) -> str:
    return "INFINITY" if number is None else repr(number)


def _array(declaration: str, values: Iterable[str]) -> str:
    return f"static const {declaration}[] = {{\n" + "".join(f"    {value},\n" for value in values) + "};"


def _literal(text: str) -> str:
    """Return a text as a C string; octal escapes end by themselves after three digits, hexadecimal ones would not."""
    return (
        '"'
        + "".join(
            chr(byte) if 0x20 <= byte < 0x7F and byte not in b'"\\?' else f"\\{byte:03o}" for byte in text.encode()
        )
        + '"'
    )
