"""From training data to a logit store: one or more teachers answer a transfer set."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec
import torch

from pqrnn.checkpoint import training_identity
from pqrnn.data.examples import Example
from pqrnn.data.fingerprint import fingerprint_examples
from pqrnn.dataset.collate import pad_words
from pqrnn.dataset.labels import list_labels
from pqrnn.dataset.segmented import segment_examples
from pqrnn.distillation.loading import load_teacher, read_teacher
from pqrnn.distillation.logit_store import StoreIndex, TeacherLogits, TransferText, write_logits
from pqrnn.distillation.transfer_set import make_transfer_set
from pqrnn.errors import TeacherError
from pqrnn.model.losses import relate
from pqrnn.model.network import Network
from pqrnn.model.retired_options import drop_absent
from pqrnn.recipes.settings import TransferConfig
from runtime_py.decode.labels import Labels

_BATCH = 64
_SHOWN = 5


class Columns(NamedTuple):
    """The indices of those of a teacher's logits that a store holds, in its order."""

    intents: list[int]
    tags: list[int]


def choose_labels(teacher: Path, known: Labels, wanted: Labels) -> Columns:
    """Return the indices of the training data's labels among those that a teacher knows.

    The teacher may know more labels, as one of more languages does.

    Raises:
        TeacherError: it does not know one of them.
    """
    intents, tags = ({name: index for index, name in enumerate(names)} for names in (known.intents, known.tags))
    missing = [name for name in wanted.intents if name not in intents]
    missing += [name for name in wanted.tags if name not in tags]
    if missing:
        raise TeacherError(
            f"{teacher}: does not know {', '.join(missing[:_SHOWN])}, which the training data have; train the "
            "teacher on these data, too"
        )
    return Columns([intents[name] for name in wanted.intents], [tags[name] for name in wanted.tags])


def answer(
    teacher: Network,
    texts: Sequence[TransferText],
    precision: str = "float32",
    relations: int = 0,
    columns: Columns | None = None,
) -> TeacherLogits:
    """Return a teacher's logits for texts and, where asked for, the relations between their words.

    Args:
        teacher: Network in evaluation mode.
        texts: Texts to answer.
        precision: Precision of matrix products, "float32" or "bfloat16".
        relations: Heads of the relations; 0 for none.
        columns: The logits that are wanted; all, if None.

    Raises:
        TeacherError: the heads do not divide the teacher's width.
    """
    table = teacher.make_table()
    intents, tags, related = ([torch.zeros(0)] * len(texts) for _ in range(3))
    order = sorted(range(len(texts)), key=lambda index: len(texts[index].words))
    table.index(dict.fromkeys(word for text in texts for word in text.words))  # at once: a growing table is copied
    encoded = [table.index(text.words) for text in texts]
    with torch.inference_mode():
        for first in range(0, len(order), _BATCH):
            part = order[first : first + _BATCH]
            words, mask = pad_words([encoded[index] for index in part])
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
                encoding = teacher.encode_words(table, words, mask)
            for row, index in enumerate(part):
                intent, tag = encoding.intent[row], encoding.tags[row, : len(texts[index].words)]
                intents[index] = (intent if columns is None else intent[columns.intents]).float()
                tags[index] = (tag if columns is None else tag[:, columns.tags]).float()
            if relations:
                if encoding.states.shape[-1] % relations:
                    raise TeacherError(
                        f"relations in {relations} heads: they do not divide the teacher's width, "
                        f"{encoding.states.shape[-1]}"
                    )
                found = relate(encoding.states.float(), mask, relations).exp()
                for row, index in enumerate(part):
                    count = len(texts[index].words)
                    related[index] = found[row, :, :count, :count].flatten()
    answers = TeacherLogits(torch.stack(intents), torch.cat(tags))
    return answers._replace(relations=torch.cat(related)) if relations else answers


def average_logits(answers: Sequence[TeacherLogits]) -> TeacherLogits:
    """Return logits of the mean of the teachers' probabilities, and the mean of their relations.

    This is an ensemble (Hinton et al. 2015, arXiv:1503.02531, section 1).
    """
    if len(answers) == 1:
        return answers[0]

    def mean(parts: list[torch.Tensor]) -> torch.Tensor:
        # Log probabilities below this are of no use and would leave float16's range.
        return (
            torch.logsumexp(torch.stack([part.log_softmax(-1) for part in parts]), 0)
            .sub(torch.tensor(float(len(parts))).log())
            .clamp(min=-60.0)
        )

    relations = [each.relations for each in answers if each.relations is not None]
    together = torch.stack(relations).mean(0) if relations else None
    return TeacherLogits(mean([each.intent for each in answers]), mean([each.tags for each in answers]), together)


def label_transfer_set(
    folder: Path,
    teachers: Sequence[Path],
    training: Sequence[Example],
    unlabelled: Sequence[str],
    config: TransferConfig,
    *,
    precision: str = "float32",
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> StoreIndex:
    """Let teachers answer a transfer set, or go on with what an earlier call began.

    Args:
        folder: Folder of the logit store.
        teachers: Folders of trained teachers; the mean of their probabilities is what is taught.
        training: The labelled utterances.
        unlabelled: Further texts, of which only the teachers' answers are known.
        config: Settings of the transfer set.
        precision: Precision of the teachers' matrix products.
        on_progress: Called with the number of texts answered so far and of all texts.

    Raises:
        TeacherError: no teacher, or one that does not know a label of the training data, or lessons of something else
            in the folder.
        CheckpointError: a teacher cannot be read.
    """
    if not teachers:
        raise TeacherError("no teacher to learn from")
    known = [read_teacher(teacher) for teacher in teachers]
    training = segment_examples(training)
    labels = list_labels(training).outputs()
    columns = [choose_labels(teacher, facts.labels, labels) for teacher, facts in zip(teachers, known, strict=True)]
    texts = make_transfer_set(training, unlabelled, labels, config)
    decisive = [
        drop_absent(msgspec.to_builtins(config)),
        [training_identity(facts) for facts in known],
        fingerprint_examples(training),
        hashlib.sha256("\n".join(unlabelled).encode()).hexdigest(),
        precision,
        *([training.version] if training.version > 1 else []),  # lessons of before the second version stay valid
    ]

    @cache
    def load_teachers() -> list[Network]:
        return [load_teacher(teacher)[0] for teacher in teachers]  # not before something is left to be labelled

    return write_logits(
        folder,
        texts,
        lambda part: average_logits(
            [
                answer(model, part, precision, config.relation_heads, mine)
                for model, mine in zip(load_teachers(), columns, strict=True)
            ]
        ),
        fingerprint=hashlib.sha256(json.dumps(decisive).encode()).hexdigest(),
        labels=labels,
        teachers=[teacher.name for teacher in teachers],
        utterances=len(training),
        on_progress=on_progress,
    )
