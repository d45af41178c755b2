"""A teacher's lessons beside the gold labels: how they are weighed, which of them a step learns, and what they cost."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from pqrnn.dataset.encoded import EncodedUtterance
from pqrnn.distillation.logit_store import LogitStore
from pqrnn.errors import TrainingError
from pqrnn.model.losses import Totals, distillation_loss, relation_loss
from pqrnn.model.network import Encoding, WordTable
from pqrnn.recipes.settings import DistillationConfig
from runtime_py.decode.labels import Labels


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
        if self.config.relation_weight and not self.lessons.heads:
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
            config.soft_intent_weight,
            totals,
        )
        loss = config.hard * hard + config.soft * soft
        if config.relation_weight and targets.relations is not None:
            loss = loss + config.relation_weight * relation_loss(encoding.states, targets.relations, mask, totals)
        return loss
