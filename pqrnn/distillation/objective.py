"""A teacher's lessons beside the gold labels: how they are weighed, which of them a step learns, and what they cost."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from torch import Tensor

from pqrnn.dataset.encoded import EncodedUtterance
from pqrnn.distillation.logit_store import LogitStore
from pqrnn.errors import TrainingError
from pqrnn.model.losses import Totals, distillation_loss, relation_loss
from pqrnn.model.network import Encoding, WordTable
from runtime_py.decode.labels import Labels


class DistillationConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How gold labels and a teacher's answers are weighed.

    Attributes:
        temperature: that softens both distributions.
        hard: weight of the loss on gold labels.
        soft: weight of the loss on the teacher's distributions.
        intent_weight: of the intent's term in the loss on the teacher's distributions, against the sum over the tags
            (that of the loss on gold labels is `pqrnn.training.config.TrainingConfig.intent_weight`).
        relations: weight of the loss on how words relate in the teacher's states (`pqrnn.model.losses.relation_loss`);
            lessons have to hold relations for it.
        original: share of the steps in which an utterance is learned as it is, not as one of its variants.
    """

    temperature: float = 2.0
    hard: float = 0.3
    soft: float = 0.7
    intent_weight: float = 2.0
    relations: float = 0.0
    original: float = 0.3


class DistillationObjective(NamedTuple):
    """A teacher's lessons and how they are learned."""

    lessons: LogitStore
    config: DistillationConfig

    def check(self, utterances: int, labels: Labels) -> None:
        """Compare with the training data.

        Raises:
            TrainingError: the lessons are about other data.
        """
        index = self.lessons.index
        if index.rows != utterances:
            raise TrainingError(
                f"the lessons are about {index.rows} training utterances, and there are {utterances}: label these"
            )
        if index.labels != labels.outputs():
            raise TrainingError(
                "the lessons name other intents or slots than the training data: train the teacher on the same data"
            )
        if self.config.relations and not self.lessons.heads:
            raise TrainingError(
                "the lessons hold no relations between words to learn from: label anew with relations, or give them the weight 0"
            )

    def gather(self, table: WordTable) -> list[list[EncodedUtterance]]:
        """Return the rows that may stand for each training utterance, itself first, and after them those of texts
        without labels.
        """
        drafts = self.lessons.drafts
        table.index(
            dict.fromkeys(word for draft in drafts for word in draft.words)
        )  # all at once: a table that grows is copied
        rows: dict[int, list[EncodedUtterance]] = {}
        for number, draft in enumerate(drafts):
            tags = None if draft.tags is None else list(draft.tags)
            rows.setdefault(draft.source, []).append(
                EncodedUtterance(table.index(draft.words), tags, draft.intent, number)
            )
        return [rows[source] for source in sorted(rows)]

    def choose(self, rows: Sequence[EncodedUtterance], rng: random.Random) -> EncodedUtterance:
        """Return the utterance itself, or with probability `1 - original` one of its variants."""
        if len(rows) == 1 or rng.random() < self.config.original:
            return rows[0]
        return rows[rng.randrange(1, len(rows))]

    def blend(
        self,
        hard: Tensor,
        encoding: Encoding,
        rows: Sequence[EncodedUtterance],
        mask: Tensor,
        totals: Totals | None = None,
    ) -> Tensor:
        """Return the loss of a batch:

        `hard`, that of the gold labels, and the distance from the teacher, each with its weight; `totals` as of the
        losses.
        """
        config = self.config
        targets = self.lessons.targets([row.logit_index for row in rows], mask.shape[1])
        soft = distillation_loss(
            encoding.intent,
            encoding.tags,
            targets.intent,
            targets.tags,
            mask,
            config.temperature,
            config.intent_weight,
            totals,
        )
        loss = config.hard * hard + config.soft * soft
        if config.relations and targets.relations is not None:
            loss = loss + config.relations * relation_loss(encoding.states, targets.relations, mask, totals)
        return loss
