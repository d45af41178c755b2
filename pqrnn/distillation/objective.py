"""The distillation objective: which of a teacher's answers a step learns, and what they add to the loss."""

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
    """A teacher's answers and how they are learned beside the gold labels.

    Attributes:
        store: The answers.
        config: Their weights and the temperature.
    """

    store: LogitStore
    config: DistillationConfig

    def check(self, utterances: int, labels: Labels) -> None:
        """Compare with the training data.

        Raises:
            TrainingError: the lessons are about other data.
        """
        index = self.store.index
        if index.rows != utterances:
            raise TrainingError(
                f"the lessons are about {index.rows} training utterances, and there are {utterances}: label these"
            )
        if index.labels != labels.outputs():
            raise TrainingError(
                "the lessons name other intents or slots than the training data: train the teacher on the same data"
            )
        if self.config.relation_weight and not self.store.heads:
            raise TrainingError(
                "the lessons hold no relations between words to learn from: label anew with relations, or give them "
                "the weight 0"
            )

    @property
    def follows_rewriting(self) -> bool:
        """Whether an answer can be learned for a rewritten text; relations of words that were added are not known."""
        return not self.config.relation_weight

    def gather(self, table: WordTable, languages: Sequence[str]) -> list[list[EncodedUtterance]]:
        """Return the variants of each training utterance, itself first, and then those of texts without labels.

        Args:
            table: Table of words, to which theirs are added.
            languages: Language of each training utterance; texts without labels are of theirs if it is only one.
        """
        texts = self.store.texts
        only = languages[0] if len(set(languages)) == 1 else ""
        table.index(dict.fromkeys(word for text in texts for word in text.words))  # at once: a growing table is copied
        variants: dict[int, list[EncodedUtterance]] = {}
        for index, text in enumerate(texts):
            tags = None if text.tags is None else list(text.tags)
            language = languages[text.source] if text.source < len(languages) else only
            variants.setdefault(text.source, []).append(
                EncodedUtterance(table.index(text.words), tags, text.intent, index, language)
            )
        return [variants[source] for source in sorted(variants)]

    def choose(self, variants: Sequence[EncodedUtterance], rng: random.Random) -> EncodedUtterance:
        """Return the utterance itself, which is the first, or with probability `1 - original` one of its variants."""
        if len(variants) == 1 or rng.random() < self.config.original:
            return variants[0]
        return variants[rng.randrange(1, len(variants))]

    def blend(
        self,
        hard: Tensor,
        encoding: Encoding,
        utterances: Sequence[EncodedUtterance],
        mask: Tensor,
        totals: Totals | None = None,
    ) -> Tensor:
        """Return the loss of a batch, the weighted sum of that on gold labels and of the distance from the teacher.

        Args:
            hard: Loss on the gold labels, float32[].
            encoding: The student's logits and states.
            utterances: The utterances of the batch, all with a `logit_index`.
            mask: One for the words of each text and zero after them, float32[B, W, 1].
            totals: Divisors of the sums, as in `pqrnn.model.losses`.
        """
        config = self.config
        targets = self.store.targets(
            [utterance.logit_index for utterance in utterances],
            mask.shape[1],
            [utterance.origins for utterance in utterances],
        )
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
