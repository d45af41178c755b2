"""The manifest of a package, schema 1.4: typed, strictly decoded, and checked for sense before anything trusts it.

A package is a directory ``NAME.pqrnn`` with ``manifest.json``, one compiled module per variant and the golden
vectors. The format version (``schema``) is apart from the version of the project: another major version is refused, a
newer minor version too, because its unknown fields could change the meaning of the known ones; an older minor version
is read.
"""

import math
import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from runtime_py.decode.labels import Count, Labels, Name
from runtime_py.decode.tags import split_tag
from runtime_py.errors import SchemaError
from runtime_py.package_format.file_entry import END, FileEntry

SCHEMA = "1.4"
ABI = 1
MANIFEST_NAME = "manifest.json"
ANY = "any"  # as triple and cpu: the code is for no processor in particular
VULKAN = "vulkan"  # as device

_PART = r"[A-Za-z0-9_][A-Za-z0-9_.+-]*"
_RELATIVE_NAME = re.compile(rf"{_PART}(/{_PART})*\Z")
_SCHEMA_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})\Z")
_WINDOWS_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))]
)

Positive = Annotated[int, Meta(ge=1)]
Entry = Annotated[str, Meta(pattern=rf"^[A-Za-z_][A-Za-z0-9_]*{END}")]


class Producer(Struct, frozen=True, forbid_unknown_fields=True):
    """Versions of what made the package, as their distributions call them (``3.13.0``)."""

    pqrnn: Name
    iree_compiler: Name
    iree_turbine: Name
    torch: Name


class Model(Struct, frozen=True, forbid_unknown_fields=True):
    """Facts of the trained model: its size, its configuration, and where it comes from."""

    parameters: Count
    precision: Name
    config: dict[str, Any]
    revision: str = ""
    data_fingerprint: str = ""
    metrics: dict[str, Any] = {}


class Bucket(Struct, frozen=True, forbid_unknown_fields=True):
    """One compiled entry: at most ``words`` words in at most ``bytes`` bytes of UTF-8."""

    words: Positive
    bytes: Annotated[int, Meta(ge=4, multiple_of=4)]
    entry: Entry

    @property
    def batched(self) -> str:
        """Name of the function for several texts at once, in packages that have them."""
        return f"{self.entry}_batch"


class Golden(Struct, frozen=True, forbid_unknown_fields=True):
    """The self-test vectors, and how far a logit may be from them on any device.

    ``tolerance`` is a largest absolute difference, derived at compile time from the error of PyTorch's own float32
    against float64 (``basis`` says how); integers have to be equal.
    """

    path: Name
    texts: Positive
    words: Count
    tolerance: Annotated[float, Meta(gt=0)]
    basis: str = ""


class Parity(Struct, frozen=True, forbid_unknown_fields=True):
    """Outcome of a replay of the golden vectors through one variant on a real or emulated device.

    ``emulator`` names the emulator and what it emulated; it is empty where ``machine`` itself ran the code.
    """

    passed: bool
    texts: Count
    words: Count
    repeats: Positive
    tolerance: Annotated[float, Meta(gt=0)]
    intent_max_abs: Annotated[float, Meta(ge=0)]
    tags_max_abs: Annotated[float, Meta(ge=0)]
    intent_flips: Count
    tag_flips: Count
    count_mismatches: Count
    span_mismatches: Count
    not_finite: Count
    all_zero: Count
    not_deterministic: Count
    machine: str
    runtime: str
    checked: str
    failures: list[str] = []
    reference: dict[str, float] = {}
    emulator: str = ""


class VulkanNeeds(Struct, frozen=True, forbid_unknown_fields=True):
    """What compiled code needs of a Vulkan device, beside Vulkan 1.3.

    The runtime checks none of this: wrong code gives wrong numbers in silence.

    ``subgroup`` is the number of lanes that the code was compiled for, 0 where any will do. ``int64`` says that it may
    use 64-bit integers. ``features`` are further device features by Vulkan's own names (``shaderInt8``,
    ``storageBuffer8BitAccess``).
    """

    subgroup: Count = 0
    int64: bool = False
    features: list[Annotated[str, Meta(pattern=rf"^[A-Za-z][A-Za-z0-9]*{END}")]] = []


class Variant(Struct, frozen=True, forbid_unknown_fields=True):
    """One compiled module: what it needs from a machine, how it was made, and the proof that it answers right.

    ``features`` are CPU features in LLVM's spelling without a plus sign (``avx2``, ``dotprod``). Code for no processor
    in particular has ``any`` as ``triple`` and ``cpu``. ``vulkan`` is there for the device ``vulkan`` and null for
    others. ``parity`` is null for code that nobody has run yet, and ``unverified_reason`` says why. ``dispatches``
    counts the launches of generated code in all entries together, null where it was not counted. ``development`` is
    true for code of the very machine that compiled it, which is not to be shipped.
    """

    target: Annotated[str, Meta(pattern=rf"^{_PART}{END}")]
    device: Name
    triple: Name
    cpu: Name
    features: list[Annotated[str, Meta(pattern=rf"^[a-z0-9][a-z0-9._-]*{END}")]]
    path: Name
    flags: list[str]
    compile_seconds: Annotated[float, Meta(ge=0)]
    parity: Parity | None
    unverified_reason: str | None = None
    vulkan: VulkanNeeds | None = None
    dispatches: Count | None = None
    development: bool = False


class Manifest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that a reader has to know before it loads code.

    Where ``batch`` is more than 1, every bucket has a second function, ``<entry>_batch``, which takes that many texts
    at once.
    """

    schema: str = SCHEMA
    abi: int = ABI
    name: Name
    created: Name
    producer: Producer
    model: Model
    labels: Labels
    buckets: Annotated[list[Bucket], Meta(min_length=1)]
    variants: list[Variant]
    golden: Golden
    files: dict[str, FileEntry]
    batch: Positive = 1


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
    """
    try:
        header = msgspec.json.decode(data, type=_Header)
    except msgspec.DecodeError as error:
        raise SchemaError(
            f"{where}: not a manifest of a pqrnn package ({error}). Compile the package again."
        ) from error
    check_schema(header.schema, where)
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except msgspec.DecodeError as error:
        raise SchemaError(
            f"{where}: {error}. The file was changed by hand or cut short: compile the package again."
        ) from error
    check_manifest(manifest, where)
    return manifest


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the manifest as indented JSON with a line feed at its end; equal manifests give equal bytes.

    It is always written in this version of the format, also where it was read in an older one.

    Raises:
        SchemaError: The manifest contradicts itself, or holds a number that JSON cannot hold.
    """
    check_manifest(manifest, MANIFEST_NAME)
    current = msgspec.structs.replace(manifest, schema=SCHEMA)
    return msgspec.json.format(msgspec.json.encode(current, order="deterministic"), indent=2) + b"\n"


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the manifest, for readers in other languages."""
    schema = msgspec.json.schema(Manifest)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"pqrnn package manifest {SCHEMA}",
        **schema,
    }


def check_schema(version: str, where: str = MANIFEST_NAME) -> None:
    """Refuse a manifest of another major or of a newer minor version.

    Raises:
        SchemaError: With what to install, or to do, to read this package.
    """
    match = _SCHEMA_VERSION.match(version)
    if match is None:
        raise SchemaError(
            f"{where}: schema is {version!r}, expected 'major.minor' such as {SCHEMA!r}. Compile the package again."
        )
    major, minor = int(match[1]), int(match[2])
    own_major, own_minor = (int(part) for part in SCHEMA.split("."))
    if major < own_major:
        raise SchemaError(
            f"{where}: the package has format {version}, this runtime reads {SCHEMA}. Compile the package again with this version of pqrnn."
        )
    if (major, minor) > (own_major, own_minor):
        raise SchemaError(
            f"{where}: the package has format {version}, this runtime reads up to {SCHEMA}. Install a newer one: pip install --upgrade pqrnn"
        )


def check_relative_name(name: str, where: str) -> None:
    """Refuse any file name that could lead out of the package directory, on any system.

    Raises:
        SchemaError: For absolute names, ``..``, hidden parts, backslashes, drive letters, device names, and names
            over 200 characters.
    """
    if len(name) > 200 or not _RELATIVE_NAME.match(name):
        raise SchemaError(
            f"{where}: unsafe file name {name!r}. Names are relative, of letters, digits and '._+-', with '/' between the parts."
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
            f"{where}: the compiled entries follow ABI {manifest.abi}, this runtime calls ABI {ABI}. Compile the package with this version of pqrnn."
        )
    _check_labels(manifest.labels, where)
    _check_buckets(manifest.buckets, where)
    for name in manifest.files:
        check_relative_name(name, where)
    if MANIFEST_NAME in manifest.files:
        raise SchemaError(f"{where}: lists itself under files; a manifest cannot hold its own digest.")
    for name in (manifest.golden.path, *(variant.path for variant in manifest.variants)):
        if name not in manifest.files:
            raise SchemaError(
                f"{where}: refers to {name!r}, which is not listed under files. Compile the package again."
            )
    _check_unique([variant.target for variant in manifest.variants], "variant", where)
    for variant in manifest.variants:
        if variant.parity is None and not variant.unverified_reason:
            raise SchemaError(f"{where}: variant {variant.target} has neither parity numbers nor an unverified_reason.")
        if (variant.device == VULKAN) != (variant.vulkan is not None):
            raise SchemaError(
                f"{where}: variant {variant.target} is for a {variant.device} device; what it needs of Vulkan is given for {VULKAN} only."
            )
    _check_finite(msgspec.to_builtins(manifest), where)


def _check_labels(labels: Labels, where: str) -> None:
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


def _check_frames(labels: Labels, slots: int, where: str) -> None:
    if labels.frames and len(labels.frames) != len(labels.intents):
        raise SchemaError(f"{where}: frames for {len(labels.frames)} intents, and there are {len(labels.intents)}.")
    for intent, frame in zip(labels.intents, labels.frames, strict=False):
        if list(frame) != sorted(set(frame)) or any(slot >= slots for slot in frame):
            raise SchemaError(
                f"{where}: the frame of intent {intent!r} is {list(frame)}, "
                f"expected growing indices into a list of {slots} slots."
            )
    if labels.frame_counts and len(labels.frame_counts) != len(labels.intents):
        raise SchemaError(
            f"{where}: counts of frames for {len(labels.frame_counts)} intents, and there are {len(labels.intents)}."
        )
    for intent, counts, frame in zip(
        labels.intents, labels.frame_counts, labels.frames or [tuple(range(slots))] * len(labels.intents), strict=False
    ):
        for times, *own in counts:
            if times < 1 or own != sorted(own) or not set(own) <= set(frame):
                raise SchemaError(
                    f"{where}: intent {intent!r} came {times} times with slots {own}, expected once at least, and growing places of the slots that go with it."
                )
        _check_unique([str(own) for _, *own in counts], f"frame of {intent!r}:", where)


def _check_buckets(buckets: list[Bucket], where: str) -> None:
    _check_unique([bucket.entry for bucket in buckets], "bucket entry", where)
    for small, large in pairwise(buckets):
        if not (small.words < large.words and small.bytes <= large.bytes):
            raise SchemaError(
                f"{where}: buckets have to grow in words and not shrink in bytes; {small.entry} comes before {large.entry}."
            )


def _check_unique(names: Iterable[str], kind: str, where: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise SchemaError(f"{where}: {kind} {name!r} appears twice.")
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
