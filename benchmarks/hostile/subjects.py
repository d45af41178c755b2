"""The good package, reference and checkpoint that hostile ones are made from: as small as they can be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from benchmarks.hostile.kinds import PACKAGE, REFERENCE, RUN
from benchmarks.mutation_kinds import forge
from benchmarks.tiny_module import INTENTS, TAGS, write_package
from pqrnn.checkpoint import Facts, digest_weights, save_checkpoint
from pqrnn.model.parser import ParserModel
from pqrnn.recipes.settings import ModelConfig, ProjectionConfig
from runtime_py.decode.labels import Labels
from runtime_py.package_format.decisions import DECISIONS_PATH
from runtime_py.package_format.golden import join_golden
from runtime_py.package_format.package import open_package
from runtime_py.parity.metrics import Frame
from runtime_py.parity.reference_file import (
    Answerer,
    Exact,
    Framework,
    Reference,
    ReferenceMeta,
    find_largest,
    save_reference,
)

DATA = "data.jsonl"
_CONFIG = ModelConfig(projection=ProjectionConfig(word_features=32, ngram_features=32), bottleneck=8, state=8, layers=1)
_LABELS = Labels(("alarm", "music"), ("O", "B-time", "I-time"))
_ROWS = (
    '{"text": "wake me at seven thirty", "intent": "alarm", "slots": [{"start": 11, "end": 23, "label": "time"}]}\n'
    '{"text": "play some jazz", "intent": "music", "slots": []}\n'
)


def make_subject(folder: Path, code: bytes) -> None:
    """Write a package around a compiled tiny module, a reference, a checkpoint, and a file of labelled utterances."""
    package = folder / PACKAGE
    write_package(package, code)
    manifest = open_package(package).manifest
    _decide(package)
    torch.manual_seed(0)
    facts = Facts(
        config=_CONFIG,
        labels=_LABELS,
        data={"train": "0" * 64},
        revision="abc",
        training={},
        metrics={},
        lengths=[(4, 20, 30)],
        golden_texts=["wake me at seven"],
    )
    save_checkpoint(folder / RUN, ParserModel(_CONFIG, 2, 3).eval(), facts)
    save_reference(folder / REFERENCE, make_reference(manifest.labels, digest_weights(folder / RUN)))
    (folder / DATA).write_text(_ROWS * 4, encoding="utf-8")


def _decide(package: Path) -> None:
    """Add golden decisions, which a package of this version has."""
    import msgspec

    manifest = open_package(package).manifest
    golden = msgspec.structs.replace(manifest.golden, decisions=DECISIONS_PATH)
    forge(package, msgspec.structs.replace(manifest, golden=golden))


def make_reference(labels: Labels, digest: str) -> Reference:
    """Return a reference of four texts of two words, over the labels of a package."""
    texts = [f"at s{index}".encode() for index in range(4)]
    intent = np.eye(len(INTENTS), dtype=np.float32)[:4] * 5
    tags = [np.eye(len(TAGS), dtype=np.float32)[:2] * 5 for _ in texts]
    spans = [np.array([[0, 2], [3, 5]], np.int32) for _ in texts]
    vectors = join_golden(texts, list(intent), tags, spans)
    bounded = type(vectors)(
        vectors.texts, vectors.intent, vectors.tags, vectors.spans, vectors.word_offsets, np.full(4, 1e-3, np.float32)
    )
    frames: tuple[Frame, ...] = tuple((INTENTS[index], (("when", 3, 5),)) for index in range(4))
    meta = ReferenceMeta(
        created="2026-01-01T00:00:00Z",
        licence="CC0",
        student=Answerer("home", digest, 10, "float32"),
        teachers=(Answerer("teacher", "cd" * 32, 1000, "float32"),),
        data="home:en",
        split="test",
        fingerprint="ef" * 32,
        intents=tuple(sorted(INTENTS)),
        slots=("when",),
        locales=("en",),
        labels=labels,
        teacher_labels=labels,
        framework=Framework(0.0, 1e-4, 3e-4, 1e-4, 800),
        versions={"torch": "2"},
    )
    largest = find_largest(vectors.intent, vectors.tags)
    return Reference(
        meta=meta,
        texts=vectors.texts,
        locales=np.zeros(4, np.int32),
        gold=frames,
        student=frames,
        teacher=frames,
        spans=vectors.spans,
        word_offsets=vectors.word_offsets,
        student_logits=largest,
        teacher_logits=largest,
        exact=Exact(bounded, np.ones(4, np.bool_)),
    )
