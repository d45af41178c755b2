"""The reference file of a parser: PyTorch's answers, and its teacher's, to labelled utterances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from compile.lowering.buckets import choose_buckets
from compile.support.errors import VerificationError
from compile.verify.golden import answer_texts, store_vectors
from compile.verify.reference import Oracle, flat_logits
from compile.verify.tolerance import compare_numerics
from pqrnn.checkpoint import Checkpoint, digest_weights, load_checkpoint
from pqrnn.data.examples import Example
from pqrnn.data.fingerprint import fingerprint_examples
from pqrnn.distillation.labelling import average_logits, choose_labels
from pqrnn.distillation.loading import load_teacher
from pqrnn.distillation.logit_store import TeacherLogits
from pqrnn.evaluation.frames import frame_of_example, frame_of_parse
from pqrnn.evaluation.prediction import Prediction, compute_logits, decide
from runtime_py.decode.answers import encode_text
from runtime_py.decode.labels import Labels
from runtime_py.parity.metrics import Frame
from runtime_py.parity.reference_file import (
    Answerer,
    Exact,
    Framework,
    Largest,
    Reference,
    ReferenceMeta,
    find_largest,
)

_STEPS = 256  # of a tolerance: the spread of errors is measured, too, and rounding must not add to it
_EXACT = 64


def make_reference(
    run: Path,
    teachers: Sequence[Path],
    examples: Sequence[Example],
    *,
    data: str,
    split: str,
    licence: str = "",
    exact: int = _EXACT,
    on_progress: Callable[[str], None] = lambda _: None,
) -> Reference:
    """Answer labelled utterances with a parser and its teachers.

    Args:
        run: Folder of the trained parser.
        teachers: Folders of what taught it: none, one, or several that answer together, by the mean of their
            probabilities.
        examples: The utterances.
        data: Specification of the utterances, for people.
        split: Their split.
        licence: What the licence of their texts is.
        exact: Number of utterances whose logits are kept in float64.
        on_progress: Called with what is being done.

    Raises:
        CheckpointError: A folder holds no parser or teacher.
        TeacherError: One of several teachers does not know a label of the first.
        VerificationError: There are no utterances, or the parser is undecided about all that are kept in float64.
    """
    if not examples:
        raise VerificationError("there are no utterances to make a reference of")
    checkpoint = load_checkpoint(run)
    texts = [example.text for example in examples]
    on_progress(f"answering {len(texts)} utterances with {run.name}")
    student = compute_logits(checkpoint.model, texts)
    taught, teacher_labels, answerers = _teach(teachers, texts, on_progress)
    on_progress(f"answering {min(exact, len(texts))} of them in float64")
    exactly, framework = _answer_exactly(checkpoint, texts, exact)
    gold = tuple(frame_of_example(example) for example in examples)
    parses = _frames(checkpoint.facts.labels, texts, student)
    theirs = _frames(teacher_labels, texts, taught) if teacher_labels is not None else None
    every = [*gold, *parses, *(theirs or ())]
    locales = tuple(dict.fromkeys(example.locale for example in examples))
    facts = checkpoint.facts
    return Reference(
        meta=ReferenceMeta(
            created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            licence=licence or "not stated; that of the data set holds for its texts",
            student=Answerer(
                run.resolve().name, digest_weights(run), checkpoint.model.parameters_count(), facts.config.precision
            ),
            teachers=answerers,
            data=data,
            split=split,
            fingerprint=fingerprint_examples(examples),
            intents=tuple(sorted({intent for intent, _ in every})),
            slots=tuple(sorted({label for _, slots in every for label, _, _ in slots})),
            locales=locales,
            labels=facts.labels,
            teacher_labels=teacher_labels,
            framework=framework,
            versions={"pqrnn": version("pqrnn"), "torch": str(torch.__version__), "numpy": np.__version__},
        ),
        texts=tuple(encode_text(text)[1] for text in texts),
        locales=np.array([locales.index(example.locale) for example in examples], np.int32),
        gold=gold,
        student=parses,
        teacher=theirs,
        spans=np.concatenate([np.zeros((0, 2), np.int32), *(answer.spans for answer in student)]).astype(np.int32),
        word_offsets=np.cumsum([0, *(len(answer.spans) for answer in student)]).astype(np.int32),
        student_logits=_largest(student, facts.labels),
        teacher_logits=_largest(taught, teacher_labels, student) if teacher_labels is not None else None,
        exact=exactly,
    )


def _teach(
    teachers: Sequence[Path], texts: Sequence[str], on_progress: Callable[[str], None]
) -> tuple[list[Prediction], Labels | None, tuple[Answerer, ...]]:
    """Return the teachers' answers, what labels they are of, and who they are."""
    labels: Labels | None = None
    answers: list[list[Prediction]] = []
    answerers = []
    for folder in teachers:
        on_progress(f"answering {len(texts)} utterances with {folder.name}")
        model, facts = load_teacher(folder)
        found = compute_logits(model, texts)
        if labels is None:
            labels = facts.labels
        else:
            columns = choose_labels(folder, facts.labels, labels)
            found = [
                answer._replace(intent=answer.intent[columns.intents], tags=answer.tags[:, columns.tags])
                for answer in found
            ]
        answers.append(found)
        precision = getattr(facts.config, "precision", "float32")
        answerers.append(Answerer(folder.resolve().name, digest_weights(folder), model.parameters_count(), precision))
    if len(answers) < 2:
        return answers[0] if answers else [], labels, tuple(answerers)
    return [_average(row) for row in zip(*answers, strict=True)], labels, tuple(answerers)


def _average(answers: Sequence[Prediction]) -> Prediction:
    mean = average_logits([TeacherLogits(torch.tensor(one.intent)[None], torch.tensor(one.tags)) for one in answers])
    return Prediction(mean.intent[0].numpy(), mean.tags.numpy(), answers[0].spans)


def _frames(labels: Labels, texts: Sequence[str], answers: Sequence[Prediction]) -> tuple[Frame, ...]:
    return tuple(frame_of_parse(parse) for parse in decide(labels.decoder(), texts, answers))


def _largest(answers: Sequence[Prediction], labels: Labels, student: Sequence[Prediction] | None = None) -> Largest:
    """Return the largest logits; those of a teacher that finds other words than the student are zero for that text."""
    rows = [
        answer.tags
        if student is None or np.array_equal(answer.spans, student[index].spans)
        else np.zeros((len(student[index].spans), len(labels.tags)))
        for index, answer in enumerate(answers)
    ]
    tags = np.concatenate([np.zeros((0, len(labels.tags)), np.float32), *rows])
    return find_largest(np.stack([answer.intent for answer in answers]), tags)


def _answer_exactly(checkpoint: Checkpoint, texts: Sequence[str], count: int) -> tuple[Exact, Framework | None]:
    """Answer evenly spread texts in float64, and measure how far PyTorch's float32 is off."""
    buckets = choose_buckets(checkpoint.facts.lengths)
    step = max(len(texts) // count, 1)
    chosen = dict.fromkeys([b"", *(encode_text(text)[1] for text in texts[::step])])
    golden = answer_texts(Oracle(checkpoint.model.folded(), buckets), chosen, checkpoint.facts.labels)
    settled = [item for item, fine in zip(golden.references, golden.settled, strict=True) if fine]
    framework = None
    if settled:
        single, ordered, double = (
            flat_logits([getattr(item, name) for item in settled]) for name in ("single", "ordered", "double")
        )
        numerics: Any = compare_numerics(single, single, ordered, double)
        framework = Framework(
            numerics.framework_bias,
            numerics.framework_spread,
            numerics.framework_largest,
            numerics.ordered_spread,
            numerics.samples,
        )
    vectors = store_vectors(golden.vectors, golden.tolerances, _STEPS)
    return Exact(vectors, np.array(golden.settled, np.bool_)), framework
