"""The golden decisions: what each golden text means, by name, and digests of all that this depends on.

Logits alone do not prove a package: with two intents exchanged in the manifest, right logits give wrong answers. So the
file `golden/decisions.json` says for each golden text which intent and slots PyTorch's parse has, and for which
vectors, labels, facts of the model and length buckets that holds. Whoever changes one of these, and not this file, is
found out by a check. Who changes everything together is not: that takes a signature.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from runtime_py.atomic_files import write_atomic
from runtime_py.bounded_files import check_extent, read_bounded, shorten
from runtime_py.decode.decoder import Decoder, place_run
from runtime_py.decode.labels import Count, Labels, Name
from runtime_py.errors import PackageError
from runtime_py.json_errors import JSON_ERRORS
from runtime_py.package_format.file_entry import Sha256
from runtime_py.package_format.golden import GoldenVectors
from runtime_py.package_format.manifest import Bucket, Manifest, Model

DECISIONS_PATH = "golden/decisions.json"
_LARGEST = 16 << 20  # bytes

Offset = Annotated[int, Meta(ge=0, le=(1 << 31) - 1)]
ByteSlot = tuple[Name, Offset, Offset]  # label, first byte, byte after the last


class Decision(Struct, frozen=True, forbid_unknown_fields=True):
    """What a text means.

    Attributes:
        intent: Name of the intent.
        slots: Label, first byte, and byte after the last, from left to right.
    """

    intent: Name
    slots: tuple[ByteSlot, ...] = ()


class GoldenDecisions(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Content of `golden/decisions.json`.

    Attributes:
        vectors: SHA-256 of the file with the golden vectors.
        labels: Digest of the labels, frames and counts (`digest_labels`).
        model: Digest of the facts of the model (`digest_model`).
        buckets: Digest of the length buckets (`digest_buckets`).
        texts: Number of texts.
        words: Number of words in all of them.
        tolerance: The largest bound of a text.
        decisions: What each text means, in the order of the vectors.
    """

    vectors: Sha256
    labels: Sha256
    model: Sha256
    buckets: Sha256
    texts: Count
    words: Count
    tolerance: Annotated[float, Meta(gt=0)]
    decisions: tuple[Decision, ...]


def digest_labels(labels: Labels) -> str:
    """Return a digest of names, frames, counts of frames, and what these weigh."""
    return _digest([labels.intents, labels.tags, labels.frames, labels.frame_counts, labels.frame_weights or None])


def digest_model(model: Model) -> str:
    """Return a digest of the facts of a model: size, configuration, origin, metrics."""
    facts = [model.parameters, model.precision, model.config, model.revision, model.data_fingerprint, model.metrics]
    return _digest([*facts, model.checkpoint])


def digest_buckets(buckets: Sequence[Bucket], batch: int) -> str:
    """Return a digest of the length buckets and of the number of texts of a call."""
    return _digest([[[bucket.words, bucket.bytes, bucket.entry] for bucket in buckets], batch])


def _digest(document: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(document, order="deterministic")).hexdigest()


def decide_golden(vectors: GoldenVectors, decoder: Decoder) -> tuple[Decision, ...]:
    """Return what the golden texts mean."""
    return tuple(
        make_decision(
            decoder,
            vectors.texts[index],
            vectors.intent[index],
            vectors.tags[vectors.words(index)],
            vectors.spans[vectors.words(index)],
        )
        for index in range(len(vectors))
    )


def make_decision(decoder: Decoder, raw: bytes, intent: Any, tags: Any, spans: Any) -> Decision:
    """Return what a text means, from its logits: float32 [intents], float32 [words, tags], int32 [words, 2]."""
    best, runs = decoder.decide(intent, tags)
    positions = spans.tolist()
    return Decision(decoder.intents[best], tuple((run.label, *place_run(run, raw, positions)) for run in runs))


def describe_decisions(manifest: Manifest, vectors: GoldenVectors, digest: str) -> GoldenDecisions:
    """Return the decisions of golden vectors, bound to a manifest.

    Args:
        manifest: The manifest of the package.
        vectors: The vectors as they are stored.
        digest: SHA-256 of the file that they are in.
    """
    return GoldenDecisions(
        vectors=digest,
        labels=digest_labels(manifest.labels),
        model=digest_model(manifest.model),
        buckets=digest_buckets(manifest.buckets, manifest.batch),
        texts=len(vectors),
        words=len(vectors.tags),
        tolerance=manifest.golden.tolerance,
        decisions=decide_golden(vectors, manifest.labels.decoder()),
    )


def save_decisions(path: Path, decisions: GoldenDecisions) -> None:
    """Write the file; equal decisions give equal bytes."""
    write_atomic(path, msgspec.json.encode(decisions) + b"\n")


def load_decisions(path: Path, content: bytes | None = None) -> GoldenDecisions:
    """Read the file.

    Args:
        path: The file.
        content: Its content, where that has been read and verified.

    Raises:
        PackageError: It cannot be read, is too large, or of another form.
    """
    try:
        data = read_bounded(path, _LARGEST) if content is None else content
        if len(data) > _LARGEST:
            raise PackageError(f"{path}: is larger than {_LARGEST >> 20} MiB. Compile the package again.")
        return msgspec.json.decode(check_extent(data), type=GoldenDecisions)
    except OSError as error:
        raise PackageError(f"{path}: cannot be read ({error.strerror}). Copy the package again.") from error
    except (*JSON_ERRORS, ValueError) as error:
        raise PackageError(
            f"{path}: {shorten(error)}; expected golden decisions. Compile the package again."
        ) from error


def find_contradictions(manifest: Manifest, decisions: GoldenDecisions, vectors: GoldenVectors) -> list[str]:
    """Say where a manifest differs from what its golden decisions were made for; empty where it does not."""
    golden = manifest.golden
    pairs = [
        ("golden vectors", decisions.vectors, manifest.files[golden.path].sha256),
        ("labels, frames or counts of frames", decisions.labels, digest_labels(manifest.labels)),
        ("facts of the model (size, configuration, origin, metrics)", decisions.model, digest_model(manifest.model)),
        ("length buckets", decisions.buckets, digest_buckets(manifest.buckets, manifest.batch)),
    ]
    found = [
        f"the {what} of the manifest are not those that the golden decisions were made for"
        for what, expected, got in pairs
        if expected != got
    ]
    counts = [
        ("texts", decisions.texts, golden.texts, len(vectors)),
        ("words", decisions.words, golden.words, len(vectors.tags)),
        ("decisions", decisions.texts, len(decisions.decisions), len(vectors)),
    ]
    found += [
        f"the golden decisions are of {expected} {what}, the manifest states {stated}, and the vectors hold {held}"
        for what, expected, stated, held in counts
        if not expected == stated == held
    ]
    if decisions.tolerance != golden.tolerance:
        found.append(
            f"the manifest states a tolerance of {golden.tolerance:.3g}, "
            f"and the golden decisions one of {decisions.tolerance:.3g}"
        )
    return found
