"""From training data to lessons:

variants of the training utterances and texts without labels, answered by one or more teachers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec
import torch

from pqrnn.data.examples import Example
from pqrnn.data.fingerprint import fingerprint_examples
from pqrnn.dataset.collate import pad_words
from pqrnn.dataset.labels import list_labels
from pqrnn.distillation.loading import load_teacher, read_teacher
from pqrnn.distillation.logit_store import StoreIndex, TeacherLogits, TransferText, write_logits
from pqrnn.distillation.transfer_set import make_transfer_set
from pqrnn.errors import TeacherError
from pqrnn.model.losses import relate
from pqrnn.model.network import Network
from pqrnn.recipes.settings import TransferConfig
from runtime_py.decode.labels import Labels

_BATCH = 64
_SHOWN = 5


class Columns(NamedTuple):
    """Which of a teacher's logits the lessons hold, in their order."""

    intents: list[int]
    tags: list[int]


def choose_labels(teacher: Path, known: Labels, wanted: Labels) -> Columns:
    """Return where the labels of the training data stand among those that a teacher knows;

    it may know more, as one of more languages does.

    Raises:
        TeacherError: it does not know one of them.
    """
    places = [{name: place for place, name in enumerate(names)} for names in (known.intents, known.tags)]
    missing = [
        name
        for place, names in zip(places, (wanted.intents, wanted.tags), strict=True)
        for name in names
        if name not in place
    ]
    if missing:
        raise TeacherError(
            f"{teacher}: does not know {', '.join(missing[:_SHOWN])}, which the training data have; train the teacher on these data, too"
        )
    return Columns([places[0][name] for name in wanted.intents], [places[1][name] for name in wanted.tags])


def answer(
    teacher: Network,
    drafts: Sequence[TransferText],
    precision: str = "float32",
    relations: int = 0,
    columns: Columns | None = None,
) -> TeacherLogits:
    """Return a teacher's logits for drafts, and its words' relations in so many heads.

    Args:
        teacher: in evaluation mode.
        drafts: what is asked.
        precision: of matrix products, "float32" or "bfloat16".
        relations: heads; 0 for none.
        columns: the logits that are wanted; all, if None.

    Raises:
        TeacherError: the heads do not divide the teacher's width.
    """
    table = teacher.make_table()
    intents: list[torch.Tensor | None] = [None] * len(drafts)
    tags: list[torch.Tensor | None] = [None] * len(drafts)
    related: list[torch.Tensor] = [torch.zeros(0)] * len(drafts)
    order = sorted(range(len(drafts)), key=lambda number: len(drafts[number].words))
    rows = [table.index(draft.words) for draft in drafts]
    with torch.inference_mode():
        for first in range(0, len(order), _BATCH):
            part = order[first : first + _BATCH]
            words, mask = pad_words([rows[number] for number in part])
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
                encoding = teacher.encode_words(table, words, mask)
            for place, number in enumerate(part):
                intent, tag = encoding.intent[place], encoding.tags[place, : len(drafts[number].words)]
                intents[number] = (intent if columns is None else intent[columns.intents]).float()
                tags[number] = (tag if columns is None else tag[:, columns.tags]).float()
            if relations:
                if encoding.states.shape[-1] % relations:
                    raise TeacherError(
                        f"relations in {relations} heads: they do not divide the teacher's width, {encoding.states.shape[-1]}"
                    )
                found = relate(encoding.states.float(), mask, relations).exp()
                for place, number in enumerate(part):
                    count = len(drafts[number].words)
                    related[number] = found[place, :, :count, :count].flatten()
    answers = TeacherLogits(
        torch.stack([each for each in intents if each is not None]),
        torch.cat([each for each in tags if each is not None]),
    )
    return answers._replace(relations=torch.cat(related)) if relations else answers


def average_logits(answers: Sequence[TeacherLogits]) -> TeacherLogits:
    """Return logits of the mean of the teachers' probabilities (an ensemble, Hinton et al.

    2015, arXiv:1503.02531, section 1), and the mean of relations.
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
    """Make lessons, or finish those that an earlier call began.

    Args:
        folder: where they are kept.
        teachers: folders of trained teachers; the mean of their probabilities is what is taught.
        training: the labelled utterances.
        unlabelled: further texts, which only the teachers' answers are known of.
        config: what variants are made.
        precision: of the teachers' matrix products.
        on_progress: called with texts labelled so far, and all.

    Raises:
        TeacherError: no teacher, or one that does not know a label of the training data, or lessons of something else
            in the folder.
        CheckpointError: a teacher cannot be read.
    """
    if not teachers:
        raise TeacherError("no teacher to learn from")
    known = [read_teacher(place) for place in teachers]
    labels = list_labels(training).outputs()
    chosen = [choose_labels(place, facts.labels, labels) for place, facts in zip(teachers, known, strict=True)]
    drafts = make_transfer_set(training, unlabelled, labels, config)
    decisive = [
        msgspec.to_builtins(config),
        [facts.training.get("settings") for facts in known],
        fingerprint_examples(training),
        hashlib.sha256("\n".join(unlabelled).encode()).hexdigest(),
        precision,
    ]

    @cache
    def load_teachers() -> list[Network]:
        return [load_teacher(place)[0] for place in teachers]  # not before something is left to be labelled

    return write_logits(
        folder,
        drafts,
        lambda part: average_logits(
            [
                answer(model, part, precision, config.relation_heads, mine)
                for model, mine in zip(load_teachers(), chosen, strict=True)
            ]
        ),
        fingerprint=hashlib.sha256(json.dumps(decisive).encode()).hexdigest(),
        labels=labels,
        teachers=[place.name for place in teachers],
        rows=len(training),
        on_progress=on_progress,
    )
