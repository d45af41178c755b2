"""One step of training: the loss of a batch, its gradient, the optimiser, and the average of the weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
from torch import nn

from pqrnn.dataset.collate import collate
from pqrnn.dataset.encoded import EncodedUtterance
from pqrnn.distillation.objective import DistillationObjective
from pqrnn.distributed import all_reduce, average_gradients, broadcast_weights, share_items, world_size
from pqrnn.errors import DivergenceError
from pqrnn.model.length_config import LengthConfig
from pqrnn.model.losses import Totals, joint_loss
from pqrnn.model.network import Encoding, Network, WordTable
from pqrnn.recipes.settings import TrainingConfig
from pqrnn.training.config import learning_rate
from pqrnn.training.optimizer import group_parameters, update_average
from pqrnn.training.resume import TrainingState
from pqrnn.training.sandwich import Sandwich


class TrainingStep:
    """The network in training, and all that changes it.

    Attributes:
        model: The network.
        average: The moving average of its weights, in evaluation mode.
        optimizer: AdamW.
        sandwich: What smaller parts of the network add to the loss; None where the whole network alone learns.
    """

    def __init__(
        self,
        model: Network,
        table: WordTable,
        config: TrainingConfig,
        total: int,
        objective: DistillationObjective | None = None,
    ) -> None:
        """Prepare the optimiser.

        Args:
            model: The network, with the weights that training begins with.
            table: Its words, all that will be met.
            config: Settings of the run.
            total: Steps of the whole run, for the learning rate.
            objective: A teacher's answers; without them the labels alone are learned.

        Raises:
            TrainingError: Smaller parts are to learn of a network that has none.
        """
        broadcast_weights(model)  # other machines may draw or load them otherwise
        self._config, self._total, self._objective = config, total, objective
        self.model, self.average = model, copy.deepcopy(model).eval()
        self.optimizer = torch.optim.AdamW(
            group_parameters(model, config.weight_decay), lr=config.learning_rate, betas=(0.9, 0.98), fused=True
        )
        self._table = table
        self.sandwich = Sandwich(model, config) if config.adaptive.enabled else None

    def __call__(self, number: int, utterances: Sequence[EncodedUtterance], progress: TrainingState) -> float:
        """Learn a batch, note it in `progress`, and return its loss.

        Args:
            number: Number of the step, from 0.
            utterances: The batch of all processes, the same in each.
            progress: Counts the step and sums the loss, together with the change of the weights.

        Raises:
            DivergenceError: The loss or its gradient is no finite number. The weights are still those of before, but
                norms have seen the batch: nothing of this network is to be kept.
        """
        config = self._config
        self.model.train()
        share = share_items(utterances)
        totals = Totals(len(share.all) / world_size(), sum(item.intent >= 0 for item in share.all) / world_size())
        batch = collate(share.items)
        rate = learning_rate(config, number, self._total)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]

        def encode(lengths: LengthConfig | None = None) -> Encoding:
            with torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bfloat16"):
                return self.model.encode_words(self._table, batch.words, batch.mask, lengths)

        encoding = encode()
        loss = joint_loss(
            encoding.intent, encoding.tags, batch.intents, batch.tags, config.smoothing, config.intent_weight, totals
        )
        if self._objective is not None:
            loss = self._objective.blend(loss, encoding, share.items, batch.mask, totals)
        if self.sandwich is not None:
            loss = self.sandwich.blend(loss, encoding, encode, number, batch.mask, totals)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        average_gradients(self.model)
        norm = float(nn.utils.clip_grad_norm_(self.model.parameters(), config.clip))
        with torch.no_grad():
            value = all_reduce(loss.detach()).item() / world_size()
        if not math.isfinite(value) or not math.isfinite(norm):
            what = f"loss is {value}" if not math.isfinite(value) else f"gradient of the loss is {norm}"
            raise DivergenceError(f"step {number + 1}: the {what}, at a learning rate of {rate:.2g}")
        self.optimizer.step()
        # The average begins short, so that the first weights are soon forgotten.
        update_average(self.average, self.model, min(config.average, (1 + number) / (10 + number)))
        progress.step = number + 1
        progress.loss_sum += value
        return value
