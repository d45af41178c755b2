"""The reference file: what a student and its teacher answered where PyTorch is, for checks anywhere else.

It is one NumPy archive without pickles. The array `meta` is JSON (`ReferenceMeta`); gold frames and the parses of
student and teacher are integers that point into lists of names there. Of the logits it holds the largest ones of every
decision in half precision, and for some texts (`Exact`) all logits of the student in float64, rounded by less than
float32 can show, with the bound that a device is held to.

It holds texts of a data set and what their licence says of them holds for it, too: so it is a file beside the package,
and not part of it.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from runtime_py.bounded_files import check_extent, read_bounded, shorten
from runtime_py.decode.labels import Count, Labels, Name
from runtime_py.errors import ReferenceFileError, SchemaError
from runtime_py.json_errors import JSON_ERRORS
from runtime_py.package_format.arrays import LARGEST, read_archive, write_archive
from runtime_py.package_format.golden import (
    GoldenVectors,
    check_spans,
    text_arrays,
    texts_of,
    vector_arrays,
    vectors_of,
)
from runtime_py.package_format.manifest_codec import check_labels
from runtime_py.parity.metrics import Frame

FORMAT = "1.0"
_WHAT = "a reference file"
_LARGEST_TEXT = 1 << 16  # bytes
_ANSWERERS = ("gold", "student", "teacher")


class Answerer(Struct, frozen=True, forbid_unknown_fields=True):
    """A student or a teacher.

    Attributes:
        name: Name for people: of its folder.
        digest: SHA-256 of its weights.
        parameters: Number of its parameters.
        precision: Precision of its weights.
    """

    name: Name
    digest: str
    parameters: Count
    precision: Name


class Framework(Struct, frozen=True, forbid_unknown_fields=True):
    """Errors of PyTorch in float32 against float64, over the settled texts of `Exact`.

    Attributes:
        bias: Mean error.
        spread: Standard deviation of the error.
        largest: Largest magnitude of the error.
        ordered_spread: Standard deviation of the error of PyTorch that sums in order.
        samples: Number of logits.
    """

    bias: float
    spread: Annotated[float, Meta(ge=0)]
    largest: Annotated[float, Meta(ge=0)]
    ordered_spread: Annotated[float, Meta(ge=0)]
    samples: Count


class ReferenceMeta(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All of a reference file but its arrays.

    Attributes:
        format: Version of the format, ``major.minor``.
        created: Time when it was made (UTC).
        licence: What the licence of the texts is, or that it is not known.
        student: The parser that a package was, or will be, compiled from.
        teachers: What taught it, in the order given; several answered together, by the mean of their probabilities.
        data: Specification of the labelled utterances, as `pqrnn train` takes it.
        split: Their split.
        fingerprint: SHA-256 of the utterances (`pqrnn.data.fingerprint`).
        intents: Names that intents point to.
        slots: Names that slots point to.
        locales: Languages that utterances point to; the first is "" where one is unknown.
        labels: Labels of the student.
        teacher_labels: Labels of the teacher; null where there is none.
        framework: Errors of PyTorch in float32; null where no text was settled.
        versions: Versions of what made it, by name.
    """

    format: Annotated[str, Meta(max_length=12)] = FORMAT
    created: Name
    licence: str
    student: Answerer
    teachers: tuple[Answerer, ...]
    data: str
    split: str
    fingerprint: str
    intents: tuple[Name, ...]
    slots: tuple[Name, ...]
    locales: tuple[str, ...]
    labels: Labels
    teacher_labels: Labels | None
    framework: Framework | None
    versions: dict[str, str]


class Largest(NamedTuple):
    """The largest logits of every decision, largest first.

    Attributes:
        intents: Indices into the labels' intents, uint16 [n, k].
        intent_logits: Their logits, float16 [n, k].
        tags: Indices into the labels' tags, uint16 [words of all texts, j].
        tag_logits: Their logits, float16 [words of all texts, j].
    """

    intents: NDArray[np.uint16]
    intent_logits: NDArray[np.float16]
    tags: NDArray[np.uint16]
    tag_logits: NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class Exact:
    """Texts with all logits of the student in float64.

    Attributes:
        vectors: Texts and logits, with the bound that each text is held to.
        settled: Whether every right device computes the same integers, bool [n].
    """

    vectors: GoldenVectors
    settled: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference file, read.

    Attributes:
        meta: What it says of itself.
        texts: The n texts as UTF-8.
        locales: For each text, an index into `meta.locales`, int32 [n].
        gold: Frames of the gold labels.
        student: Frames of the student's parses.
        teacher: Frames of the teacher's parses; None where there is no teacher.
        spans: Start and end byte of the words of all texts, int32 [words, 2].
        word_offsets: Index of the first word of each text, and the total at the end, int32 [n + 1].
        student_logits: The student's largest logits.
        teacher_logits: The teacher's, for the same words; None where there is no teacher.
        exact: Texts that numbers are judged by.
        digest: SHA-256 of the file; empty before it is written.
    """

    meta: ReferenceMeta
    texts: tuple[bytes, ...]
    locales: NDArray[np.int32]
    gold: tuple[Frame, ...]
    student: tuple[Frame, ...]
    teacher: tuple[Frame, ...] | None
    spans: NDArray[np.int32]
    word_offsets: NDArray[np.int32]
    student_logits: Largest
    teacher_logits: Largest | None
    exact: Exact
    digest: str = ""

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self.texts)

    def words(self, index: int) -> slice:
        """Return the rows of one text in arrays with a row for each word."""
        return slice(int(self.word_offsets[index]), int(self.word_offsets[index + 1]))


def find_largest(intent: NDArray[Any], tags: NDArray[Any], intents: int = 4, per_word: int = 2) -> Largest:
    """Return the largest logits of every decision.

    Args:
        intent: Logits of the intents, float [n, intents].
        tags: Logits of the tags of all words, float [words, tags].
        intents: Number of intents that are kept.
        per_word: Number of tags of each word that are kept.
    """
    parts: list[Any] = []
    for logits, kept in ((intent, intents), (tags, per_word)):
        order = np.argsort(-logits, axis=1, kind="stable")[:, :kept]
        parts += [order.astype(np.uint16), np.take_along_axis(logits, order, 1).astype(np.float16)]
    return Largest(*parts)


def save_reference(path: Path, reference: Reference) -> None:
    """Write a reference file; equal references give equal bytes.

    Raises:
        OSError: It cannot be written.
        ReferenceFileError: Its parts do not fit one another.
    """
    names = {name: index for index, name in enumerate(reference.meta.intents)}
    slots = {name: index for index, name in enumerate(reference.meta.slots)}
    meta = np.frombuffer(msgspec.json.encode(reference.meta), np.uint8)
    arrays: dict[str, NDArray[Any]] = {"meta": meta, **text_arrays(reference.texts), "locales": reference.locales}
    for who in _ANSWERERS:
        frames = getattr(reference, who)
        if frames is None:
            continue
        arrays[f"{who}.intents"] = np.array([names[intent] for intent, _ in frames], np.int32)
        rows = [(slots[label], start, end) for _, found in frames for label, start, end in found]
        arrays[f"{who}.slots"] = np.array(rows, np.int32).reshape(-1, 3)
        arrays[f"{who}.slot_offsets"] = np.cumsum([0, *(len(found) for _, found in frames)]).astype(np.int32)
    arrays |= {"spans": reference.spans, "word_offsets": reference.word_offsets}
    for who, largest in (("student", reference.student_logits), ("teacher", reference.teacher_logits)):
        if largest is not None:
            arrays |= {f"{who}.largest.{name}": part for name, part in largest._asdict().items()}
    arrays |= {f"exact.{name}": part for name, part in vector_arrays(reference.exact.vectors).items()}
    arrays["exact.settled"] = reference.exact.settled
    _check(reference, str(path))
    write_archive(path, arrays)


def load_reference(path: Path) -> Reference:
    """Read a reference file.

    Raises:
        ReferenceFileError: It is missing, damaged, too large, of another format, or its parts do not fit one another.
    """
    where = str(path)
    try:
        content = read_bounded(path, LARGEST)
    except OSError as error:
        raise ReferenceFileError(f"{where}: cannot be read as {_WHAT} ({error.strerror}). Make it again.") from error
    arrays = read_archive(path, _WANTED, _WHAT, ReferenceFileError, optional=_OPTIONAL, content=content)
    meta = _read_meta(arrays["meta"], where)
    try:
        reference = _assemble(meta, arrays, where)
    except ReferenceFileError:
        raise
    except Exception as error:  # whatever a damaged array leads to
        raise ReferenceFileError(
            f"{where}: its arrays do not fit one another ({shorten(error)}). Make it again."
        ) from error
    _check(reference, where)
    check_spans(reference.spans, reference.word_offsets, reference.texts, where, ReferenceFileError)
    exact = reference.exact.vectors
    check_spans(exact.spans, exact.word_offsets, exact.texts, where, ReferenceFileError)
    return dataclasses.replace(reference, digest=hashlib.sha256(content).hexdigest())


_FRAMES = ("intents", "slots", "slot_offsets")
_WANTED = (
    "meta",
    "text",
    "text_offsets",
    "locales",
    *(f"{who}.{part}" for who in ("gold", "student") for part in _FRAMES),
    "spans",
    "word_offsets",
    *(f"student.largest.{part}" for part in Largest._fields),
    "exact.settled",
)
_OPTIONAL = (
    *(f"teacher.{part}" for part in _FRAMES),
    *(f"teacher.largest.{part}" for part in Largest._fields),
    *(f"exact.{name}" for name in ("text", "text_offsets", "intent", "tags", "spans", "word_offsets", "tolerances")),
)


def _read_meta(data: NDArray[Any], where: str) -> ReferenceMeta:
    content = data.tobytes()
    try:
        version = msgspec.json.decode(check_extent(content), type=dict[str, Any]).get("format")
        if str(version).split(".")[0] != FORMAT.split(".")[0]:
            raise ReferenceFileError(
                f"{where}: format {shorten(version)}, and this version of pqrnn reads {FORMAT}. "
                "Make it again: pqrnn reference"
            )
        meta = msgspec.json.decode(content, type=ReferenceMeta)
        for labels in filter(None, (meta.labels, meta.teacher_labels)):
            check_labels(labels, "labels")
        return meta
    except (*JSON_ERRORS, ValueError, SchemaError) as error:
        raise ReferenceFileError(
            f"{where}: {shorten(error)}; expected {_WHAT}. Make it again: pqrnn reference"
        ) from error


def _assemble(meta: ReferenceMeta, arrays: dict[str, NDArray[Any]], where: str) -> Reference:
    texts = texts_of(arrays, where)
    parts = {name.removeprefix("exact."): part for name, part in arrays.items() if name.startswith("exact.")}
    exact = Exact(vectors_of(parts, where), parts["settled"])

    def frames(who: str) -> tuple[Frame, ...]:
        return _read_frames(meta, *(arrays[f"{who}.{part}"] for part in _FRAMES))

    def largest(who: str) -> Largest:
        return Largest(*(arrays[f"{who}.largest.{part}"] for part in Largest._fields))

    taught = bool(meta.teachers)
    return Reference(
        meta,
        texts,
        arrays["locales"],
        frames("gold"),
        frames("student"),
        frames("teacher") if taught else None,
        arrays["spans"],
        arrays["word_offsets"],
        largest("student"),
        largest("teacher") if taught else None,
        exact,
    )


def _read_frames(
    meta: ReferenceMeta, intents: NDArray[Any], slots: NDArray[Any], offsets: NDArray[Any]
) -> tuple[Frame, ...]:
    if slots.dtype != np.int32 or slots.shape[1:] != (3,) or intents.dtype != np.int32 or intents.ndim != 1:
        raise ValueError("frames of another type")
    if (slots < 0).any() or (intents < 0).any() or (np.diff(offsets) < 0).any() or offsets[-1] != len(slots):
        raise ValueError("frames point to nothing")
    bounds, rows = offsets.tolist(), slots.tolist()
    return tuple(
        (
            meta.intents[intent],
            tuple((meta.slots[label], start, end) for label, start, end in rows[bounds[index] : bounds[index + 1]]),
        )
        for index, intent in enumerate(intents.tolist())
    )


def _check(reference: Reference, where: str) -> None:
    n, words = len(reference.texts), len(reference.spans)
    tables = [reference.gold, reference.student, reference.teacher]
    offsets = reference.word_offsets
    fits = (
        n > 0
        and max(map(len, reference.texts)) <= _LARGEST_TEXT
        and all(frames is None or len(frames) == n for frames in tables)
        and (reference.teacher is None) == (not reference.meta.teachers) == (reference.meta.teacher_labels is None)
        and reference.locales.shape == (n,)
        and reference.locales.dtype == np.int32
        and bool(((reference.locales >= 0) & (reference.locales < len(reference.meta.locales))).all())
        and reference.spans.dtype == np.int32
        and reference.spans.shape == (words, 2)
        and offsets.shape == (n + 1,)
        and offsets.dtype == np.int32
        and offsets[0] == 0
        and offsets[-1] == words
        and bool((np.diff(offsets) >= 0).all())
        and _fits(reference.student_logits, reference.meta.labels, n, words)
        and (
            reference.teacher_logits is None
            or reference.meta.teacher_labels is None
            or _fits(reference.teacher_logits, reference.meta.teacher_labels, n, words)
        )
        and reference.exact.vectors.tolerances is not None
        and reference.exact.settled.shape == (len(reference.exact.vectors),)
        and reference.exact.settled.dtype == np.bool_
        and bool(np.isfinite(reference.exact.vectors.intent).all() and np.isfinite(reference.exact.vectors.tags).all())
        and reference.exact.vectors.intent.shape[1] == len(reference.meta.labels.intents)
        and reference.exact.vectors.tags.shape[1] == len(reference.meta.labels.tags)
    )
    if not fits:
        raise ReferenceFileError(f"{where}: the parts of the reference do not fit one another. Make it again.")


def _fits(largest: Largest, labels: Labels, texts: int, words: int) -> bool:
    pairs: Sequence[tuple[NDArray[Any], NDArray[Any], int, int]] = (
        (largest.intents, largest.intent_logits, texts, len(labels.intents)),
        (largest.tags, largest.tag_logits, words, len(labels.tags)),
    )
    return all(
        indices.dtype == np.uint16
        and logits.dtype == np.float16
        and indices.ndim == 2
        and indices.shape == logits.shape
        and len(indices) == rows
        and indices.shape[1] >= 1
        and bool((indices < names).all())
        and not bool(np.isnan(logits).any())
        for indices, logits, rows, names in pairs
    )
