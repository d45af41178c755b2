"""Which utterances a training step learns, and how they are changed before."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence

from pqrnn.augmentation.misspelling import Misspeller
from pqrnn.augmentation.restyling import Restyler
from pqrnn.augmentation.slot_swap import SlotSwap
from pqrnn.dataset.encoded import EncodedUtterance
from pqrnn.distillation.objective import DistillationObjective
from pqrnn.recipes.settings import TrainingConfig
from pqrnn.seeding import make_random

_WINDOW = 50  # batches that are sorted by length together


class TrainingBatches:
    """Batches of training utterances, in an order that depends on the seed and the epoch alone.

    Attributes:
        per_epoch: Steps in an epoch.
    """

    def __init__(
        self,
        variants: Sequence[Sequence[EncodedUtterance]],
        config: TrainingConfig,
        swap: SlotSwap,
        misspell: Misspeller | None,
        objective: DistillationObjective | None = None,
        restyle: Restyler | None = None,
    ) -> None:
        """Keep what batches are made of.

        Args:
            variants: For each training utterance those that may stand for it, itself first.
            config: Size of a batch, seed, and shares of swapped values and misspelled words.
            swap: Replaces slot values.
            misspell: Misspells words; None for no misspellings.
            objective: Chooses among the variants; without it there is one for each utterance.
            restyle: Rewrites utterances; None for none.
        """
        self._variants, self._config, self._objective = variants, config, objective
        self._swap, self._misspell, self._restyle = swap, misspell, restyle
        self.per_epoch = math.ceil(len(variants) / config.batch)

    def remaining(self, epoch: int, step: int) -> Iterator[tuple[int, list[int]]]:
        """Yield the batches of an epoch that were not learned yet, when `step` steps are done.

        Each is the number of its step and the indices of its utterances, which are of similar length.
        """
        rng = make_random(self._config.seed, "epoch", epoch)
        order = list(range(len(self._variants)))
        rng.shuffle(order)
        size = self._config.batch
        batches = []
        for start in range(0, len(order), size * _WINDOW):
            window = sorted(
                order[start : start + size * _WINDOW], key=lambda index: len(self._variants[index][0].words)
            )
            batches += [window[first : first + size] for first in range(0, len(window), size)]
        rng.shuffle(batches)
        first = epoch * self.per_epoch
        for index in range(step - first, len(batches)):
            yield first + index, batches[index]

    def draw(self, indices: Sequence[int], rng: random.Random) -> list[EncodedUtterance]:
        """Return the utterances of a batch as they are learned now: one variant of each, augmented."""
        return [self._augment(self._choose(index, rng), rng) for index in indices]

    def _choose(self, index: int, rng: random.Random) -> EncodedUtterance:
        variants = self._variants[index]
        return variants[0] if self._objective is None else self._objective.choose(variants, rng)

    def _augment(self, utterance: EncodedUtterance, rng: random.Random) -> EncodedUtterance:
        if self._config.swap and utterance.logit_index < 0:  # stored logits are about the very words
            utterance = self._swap(utterance, self._config.swap, rng)
        if self._restyle is not None:
            utterance = self._restyle(utterance, self._config.restyle, rng)
        if self._misspell is not None:
            utterance = self._misspell(utterance, self._config.misspell, rng)
        return utterance
