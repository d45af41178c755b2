"""Manifests as JSON: strictly decoded, checked for sense before anything trusts them, and written stably."""

import hashlib
import math
import re
from collections.abc import Iterable
from itertools import pairwise

import msgspec
from msgspec import Struct

from runtime_py.bounded_files import check_extent, is_deeper, shorten
from runtime_py.decode.calibration import Calibration
from runtime_py.decode.labels import Labels
from runtime_py.decode.tags import split_tag
from runtime_py.errors import DigestError, SchemaError
from runtime_py.json_errors import JSON_ERRORS
from runtime_py.package_format.manifest import ABI, MOST_INPUT, NOT_LISTED, PART, VULKAN, Bucket, Manifest
from runtime_py.package_format.manifest_bytes import (
    FIRST_WITH_DIGEST,
    MANIFEST_NAME,
    NO_DIGEST,
    SCHEMA,
    check_schema,
    digest_manifest,
    version_numbers,
)

_RELATIVE_NAME = re.compile(rf"{PART}(/{PART})*\Z")
_WINDOWS_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))]
)


_DEEPEST = 32


class _Header(Struct):
    """The part that every version of the format shares; unknown fields pass."""

    schema: str
    abi: int = ABI


def decode_manifest(data: bytes, where: str = MANIFEST_NAME) -> Manifest:
    """Decode and check a manifest.

    Args:
        data: The content of ``manifest.json``.
        where: How an error message calls the file.

    Raises:
        SchemaError: The text is no JSON, is of another format version, has unknown or missing fields, or contradicts
            itself.
        DigestError: The text is not the one that its digest was made of.
    """
    try:
        header = msgspec.json.decode(check_extent(data), type=_Header)
    except (*JSON_ERRORS, ValueError) as error:
        raise SchemaError(
            f"{where}: not a manifest of a pqrnn package ({shorten(error)}). Compile the package again."
        ) from error
    check_schema(header.schema, where)
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except JSON_ERRORS as error:
        raise SchemaError(
            f"{where}: {shorten(error)}. The file was changed by hand or cut short: compile the package again."
        ) from error
    check_manifest(manifest, where)
    _check_digest(manifest, data, where)
    return manifest


def _check_digest(manifest: Manifest, data: bytes, where: str) -> None:
    if not manifest.digest:
        if version_numbers(manifest.schema) >= FIRST_WITH_DIGEST:
            raise SchemaError(
                f"{where}: has no digest of its own, as format {manifest.schema} demands. Compile the package again."
            )
        return
    digest = digest_manifest(data, manifest.digest)
    if digest != manifest.digest:
        raise DigestError(
            f"{where}: SHA-256 is {digest}, the manifest says {manifest.digest}: it was changed after the package was "
            "made. Copy or compile the package again."
        )


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the manifest as indented JSON with a line feed at its end; equal manifests give equal bytes.

    It is always written in this version of the format, also where it was read in an older one, and with a digest.

    Raises:
        SchemaError: The manifest contradicts itself, or holds a number that JSON cannot hold.
    """
    check_manifest(manifest, MANIFEST_NAME)
    current = msgspec.structs.replace(manifest, schema=SCHEMA, digest=NO_DIGEST)
    data = msgspec.json.format(msgspec.json.encode(current, order="deterministic"), indent=2) + b"\n"
    # The digest stands before everything that could hold such a text, too.
    return data.replace(f'"{NO_DIGEST}"'.encode(), f'"{hashlib.sha256(data).hexdigest()}"'.encode(), 1)


def check_relative_name(name: str, where: str) -> None:
    """Refuse any file name that could lead out of the package directory, on any system.

    Raises:
        SchemaError: For absolute names, ``..``, hidden parts, backslashes, drive letters, device names, and names
            over 200 characters.
    """
    if len(name) > 200 or not _RELATIVE_NAME.match(name):
        raise SchemaError(
            f"{where}: unsafe file name {shorten(name)!r}. "
            "Names are relative, of letters, digits and '._+-', with '/' between the parts."
        )
    if any(part.endswith(".") or part.split(".")[0].lower() in _WINDOWS_DEVICES for part in name.split("/")):
        raise SchemaError(
            f"{where}: unsafe file name {name!r}: a part that ends in a dot or is a device name on some systems."
        )


def check_manifest(manifest: Manifest, where: str = MANIFEST_NAME) -> None:
    """Check what types cannot say: names, order, references between the parts.

    Raises:
        SchemaError: With the first contradiction.
    """
    check_schema(manifest.schema, where)
    if manifest.abi != ABI:
        raise SchemaError(
            f"{where}: the compiled entries follow ABI {manifest.abi}, this runtime calls ABI {ABI}. "
            "Compile the package with this version of pqrnn."
        )
    if is_deeper([manifest.model.config, manifest.model.metrics], _DEEPEST):
        raise SchemaError(f"{where}: is nested more than {_DEEPEST} deep. Compile the package again.")
    check_labels(manifest.labels, where)
    check_calibration(manifest.calibration, manifest.labels, where)
    _check_buckets(manifest.buckets, manifest.batch * max(len(manifest.budgets), 1), where)
    _check_budgets(manifest, where)
    _check_files(manifest, where)
    _check_variants(manifest, where)
    _check_libraries(manifest, where)
    if manifest.tokenizer is not None and manifest.batch > 1:
        raise SchemaError(f"{where}: functions for several texts at once, which packages with a tokenizer have not.")
    _check_finite(msgspec.to_builtins(manifest), where)


def _check_files(manifest: Manifest, where: str) -> None:
    for name in manifest.files:
        check_relative_name(name, where)
        if name.split("/")[0].lower() in NOT_LISTED:
            raise SchemaError(
                f"{where}: lists {name!r} under files; itself, signatures and later certificates a manifest cannot "
                "list. Compile the package again."
            )
    decisions = [] if manifest.golden.decisions is None else [manifest.golden.decisions]
    tokenizer = [manifest.tokenizer.path] if manifest.tokenizer is not None else []
    for part in (each.golden for each in manifest.budgets):
        if part is not None:
            decisions += [part.path, *([] if part.decisions is None else [part.decisions])]
    code = [variant.path for variant in manifest.variants] + [library.path for library in manifest.libraries]
    for name in (manifest.golden.path, *decisions, *tokenizer, *code):
        if name not in manifest.files:
            raise SchemaError(
                f"{where}: refers to {shorten(name)!r}, which is not listed under files. Compile the package again."
            )


def _check_variants(manifest: Manifest, where: str) -> None:
    _check_unique([variant.target for variant in manifest.variants], "variant", where)
    for variant in manifest.variants:
        if variant.parity is None and not variant.unverified_reason:
            raise SchemaError(f"{where}: variant {variant.target} has neither parity numbers nor an unverified_reason.")
        if (variant.device == VULKAN) != (variant.vulkan is not None):
            raise SchemaError(
                f"{where}: variant {variant.target} is for a {variant.device} device; "
                f"what it needs of Vulkan is given for {VULKAN} only."
            )


def _check_libraries(manifest: Manifest, where: str) -> None:
    _check_unique([library.target for library in manifest.libraries], "library", where)
    for library in manifest.libraries:
        if library.parity is None and not library.unverified_reason:
            raise SchemaError(f"{where}: library {library.target} has neither parity numbers nor an unverified_reason.")


def check_labels(labels: Labels, where: str) -> None:
    """Check that the names, frames and counts of a parser's outputs make sense together.

    Raises:
        SchemaError: With the first contradiction.
    """
    _check_unique(labels.intents, "intent", where)
    _check_unique(labels.tags, "tag", where)
    if labels.tags[0] != "O":
        raise SchemaError(f"{where}: the first tag is {labels.tags[0]!r}, expected 'O'.")
    for tag in labels.tags[1:]:
        try:
            split_tag(tag)
        except ValueError as error:
            raise SchemaError(f"{where}: {error}.") from error
    _check_frames(labels, len({split_tag(tag)[2] for tag in labels.tags} - {""}), where)


def check_calibration(calibration: Calibration | None, labels: Labels, where: str) -> None:
    """Check that a calibration, where there is one, is for these labels, and that its line grows.

    Raises:
        SchemaError: With the first contradiction.
    """
    if calibration is None:
        return
    scope = calibration.scope
    if scope is not None and scope.intents and len(scope.intents) != len(labels.intents):
        raise SchemaError(
            f"{where}: the calibration weighs {len(scope.intents)} intents, and there are {len(labels.intents)}: it is "
            "another parser's. Calibrate again (`pqrnn calibrate`)."
        )
    for (x, y), (next_x, next_y) in pairwise(calibration.knots):
        if not (x < next_x and y <= next_y):
            raise SchemaError(
                f"{where}: the line of the calibration falls or stands still from {x:.6g} to {next_x:.6g}. Calibrate "
                "again (`pqrnn calibrate`)."
            )


def _check_frames(labels: Labels, slots: int, where: str) -> None:
    if labels.frames and len(labels.frames) != len(labels.intents):
        raise SchemaError(f"{where}: frames for {len(labels.frames)} intents, and there are {len(labels.intents)}.")
    for intent, frame in zip(labels.intents, labels.frames, strict=False):
        if list(frame) != sorted(set(frame)) or any(slot >= slots for slot in frame):
            raise SchemaError(
                f"{where}: the frame of intent {intent!r} is {shorten(list(frame))}, "
                f"expected growing indices into a list of {slots} slots."
            )
    if labels.frame_counts and len(labels.frame_counts) != len(labels.intents):
        raise SchemaError(
            f"{where}: counts of frames for {len(labels.frame_counts)} intents, and there are {len(labels.intents)}."
        )
    for intent, counts, frame in zip(
        labels.intents, labels.frame_counts, labels.frames or [tuple(range(slots))] * len(labels.intents), strict=False
    ):
        allowed = set(frame)
        for times, *slots_seen in counts:
            if times < 1 or slots_seen != sorted(slots_seen) or not allowed.issuperset(slots_seen):
                raise SchemaError(
                    f"{where}: intent {intent!r} came {times} times with slots {slots_seen}, "
                    "expected once at least, and growing indices of the slots that go with it."
                )
        _check_unique([str(slots_seen) for _, *slots_seen in counts], f"frame of {intent!r}:", where)


def _check_buckets(buckets: list[Bucket], calls: int, where: str) -> None:
    _check_unique([bucket.entry for bucket in buckets], "bucket entry", where)
    for small, large in pairwise(buckets):
        if not (small.words < large.words and small.bytes <= large.bytes):
            raise SchemaError(
                f"{where}: buckets have to grow in words and not shrink in bytes; "
                f"{small.entry} comes before {large.entry}."
            )
    taken = calls * sum(bucket.bytes for bucket in buckets)
    if taken > MOST_INPUT:
        raise SchemaError(
            f"{where}: its functions would take {taken:,} bytes of input, and a package takes at most {MOST_INPUT:,}. "
            "Compile it again with smaller buckets or a smaller batch."
        )


def _check_budgets(manifest: Manifest, where: str) -> None:
    budgets = manifest.budgets
    if not budgets:
        return
    _check_unique([budget.name for budget in budgets], "budget", where)
    parts = [bucket.of_part(budget.name).entry for bucket in manifest.buckets for budget in budgets[:-1]]
    _check_unique([*parts, *(bucket.entry for bucket in manifest.buckets)], "bucket entry", where)
    if any(not small.macs < large.macs for small, large in pairwise(budgets)):
        raise SchemaError(f"{where}: budgets have to grow in MACs. Compile the package again.")
    if [budget.golden is None for budget in budgets] != [False] * (len(budgets) - 1) + [True]:
        raise SchemaError(
            f"{where}: the last budget is the whole network, and only that one has no golden vectors of its own. "
            "Compile the package again."
        )


def _check_unique(names: Iterable[str], kind: str, where: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise SchemaError(f"{where}: {kind} {shorten(name)!r} appears twice.")
        seen.add(name)


def _check_finite(value: object, where: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise SchemaError(f"{where}: holds the number {value}, which JSON cannot hold.")
    if isinstance(value, dict):
        for item in value.values():
            _check_finite(item, where)
    elif isinstance(value, list):
        for item in value:
            _check_finite(item, where)
