"""References and answers that nobody computed, over the labels of `makers.runtime_fakes`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from makers.runtime_fakes import INTENTS, TAGS
from runtime_py.decode.labels import Labels
from runtime_py.execute.logits import Logits
from runtime_py.package_format.golden import join_golden
from runtime_py.parity.metrics import Frame
from runtime_py.parity.reference_file import (
    Answerer,
    Exact,
    Framework,
    Reference,
    ReferenceMeta,
    find_largest,
)

LABELS = Labels(tuple(INTENTS), tuple(TAGS))
TIMES: Frame = ("alarm", (("time", 3, 8),))
PLAY: Frame = ("music", ())
DIGEST = "ab" * 32


def text_of(index: int) -> bytes:
    """Return a text of two words, each text another one."""
    return b"at s%04d" % index


def answer_to(frame: Frame, offset: float = 0.0) -> Logits:
    """Return logits that mean a frame: an alarm, and whether its second word is a time."""
    intent = np.array([3.0, 0.0] if frame[0] == "alarm" else [0.0, 3.0], np.float32)
    tags = np.array([[4.0, 0.0, 0.0], [0.0, 4.0, 0.0] if frame[1] else [4.0, 0.0, 0.0]], np.float32)
    spans = np.array([[0, 2], [3, 8]], np.int32)
    return Logits(intent + np.float32(offset), tags + np.float32(offset), spans, False, 8)


def make_answers(frames: Sequence[Frame], offset: float = 0.0) -> dict[bytes, Logits]:
    """Return answers that mean these frames, by text."""
    return {text_of(index): answer_to(frame, offset) for index, frame in enumerate(frames)}


def make_fake_reference(
    gold: Sequence[Frame],
    student: Sequence[Frame],
    teacher: Sequence[Frame] | None = None,
    *,
    precision: str = "float32",
    locales: Sequence[str] = ("en",),
    **meta: Any,
) -> Reference:
    """Return a reference of texts of two words; utterances take turns with the languages."""
    n = len(gold)
    answers = [answer_to(frame) for frame in student]
    tags = np.concatenate([answer.tags for answer in answers])
    intent = np.stack([answer.intent for answer in answers])
    vectors = join_golden(
        [text_of(index) for index in range(n)],
        [answer.intent for answer in answers],
        [answer.tags for answer in answers],
        [answer.spans for answer in answers],
    )
    bounded = type(vectors)(
        vectors.texts, vectors.intent, vectors.tags, vectors.spans, vectors.word_offsets, np.full(n, 1e-3, np.float32)
    )
    every = [*gold, *student, *(teacher or ())]
    fields: dict[str, Any] = {
        "created": "2026-01-01T00:00:00Z",
        "licence": "CC0",
        "student": Answerer("home", DIGEST, 10, precision),
        "teachers": (Answerer("teacher", "cd" * 32, 1000, "float32"),) if teacher is not None else (),
        "data": "home:en",
        "split": "test",
        "fingerprint": "ef" * 32,
        "intents": tuple(sorted({intent for intent, _ in every})),
        "slots": tuple(sorted({label for _, slots in every for label, _, _ in slots})) or ("time",),
        "locales": tuple(locales),
        "labels": LABELS,
        "teacher_labels": LABELS if teacher is not None else None,
        "framework": Framework(0.0, 1e-4, 3e-4, 1e-4, 800),
        "versions": {"torch": "2"},
    }
    return Reference(
        meta=ReferenceMeta(**(fields | meta)),
        texts=vectors.texts,
        locales=np.arange(n, dtype=np.int32) % len(locales),
        gold=tuple(gold),
        student=tuple(student),
        teacher=tuple(teacher) if teacher is not None else None,
        spans=vectors.spans,
        word_offsets=vectors.word_offsets,
        student_logits=find_largest(intent, tags),
        teacher_logits=find_largest(intent, tags) if teacher is not None else None,
        exact=Exact(bounded, np.ones(n, np.bool_)),
    )
