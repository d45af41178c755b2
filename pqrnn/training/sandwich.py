"""Training the smaller parts of a transformer together with the whole.

A step learns the whole network from its labels, and the smallest part and a few drawn at random from the whole
network's own answers: the sandwich rule and in-place distillation of Yu and Huang 2019 (arXiv:1903.05134), for parts
that drop words (LengthDrop) and layers (LayerDrop, Fan et al. 2019, arXiv:1909.11556), as Kim and Cho 2021
(arXiv:2010.07003, section 3) combine them. Their code takes the divergence in the other direction; here it is that from
the whole network's distribution, as everywhere in distillation.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from torch import Tensor

from pqrnn.errors import TrainingError
from pqrnn.model.length_config import WHOLE, LengthConfig, full_config, least_share
from pqrnn.model.losses import Totals, distillation_loss
from pqrnn.model.network import Encoding, Network
from pqrnn.recipes.settings import AdaptiveConfig, TrainingConfig
from pqrnn.seeding import make_random

_TEMPERATURE = 1.0
Encode = Callable[[LengthConfig], Encoding]


def smallest_lengths(layers: int, config: AdaptiveConfig) -> LengthConfig:
    """Return the part whose every layer drops as many words as it may; no layer is left out."""
    shares = [WHOLE]
    for _ in range(layers):
        shares.append(least_share(shares[-1], config.length_drop))
    return LengthConfig(tuple(shares[1:]))


def sample_lengths(layers: int, config: AdaptiveConfig, rng: random.Random) -> LengthConfig:
    """Draw a part: each layer is left out with a probability, and passes on a uniform number of the words that it may.

    At least one layer stays.

    Args:
        layers: Layers of the network.
        config: Bounds of the parts.
        rng: Generator.
    """
    skipped = [layer for layer in range(layers) if rng.random() < config.layer_drop]
    if len(skipped) == layers:
        del skipped[rng.randrange(layers)]
    shares, before = [], WHOLE
    for layer in range(layers):
        if layer not in skipped:
            before = rng.randint(least_share(before, config.length_drop), before)
        shares.append(before)
    return LengthConfig(tuple(shares), tuple(skipped))


def draw_parts(layers: int, config: AdaptiveConfig, seed: int, number: int) -> list[LengthConfig]:
    """Return the parts that a step learns, the smallest first; the whole network is none of them.

    Args:
        layers: Layers of the network.
        config: Bounds of the parts, and how many are drawn.
        seed: Seed of the run.
        number: Number of the step, from 0. All processes of a run draw the same.
    """
    rng = make_random(seed, "lengths", number)
    drawn = [sample_lengths(layers, config, rng) for _ in range(config.sandwich)]
    whole = full_config(layers)
    return [part for part in (smallest_lengths(layers, config), *drawn) if part != whole]


class Sandwich:
    """What the smaller parts add to the loss of a step.

    Attributes:
        smallest: The smallest part.
    """

    def __init__(self, network: Network, config: TrainingConfig) -> None:
        """Keep the settings.

        Args:
            network: The network.
            config: Settings of the run; its section `adaptive` says what the parts are.

        Raises:
            TrainingError: The network has no smaller parts.
        """
        self._layers, self._config = network.adaptive_layers, config
        if not self._layers:
            raise TrainingError(
                "--adaptive trains parts of a transformer that drop words, and this network has none: it reads every "
                "word in every layer; choose --network transformer, or an encoder of BERT's family"
            )
        self.smallest = smallest_lengths(self._layers, config.adaptive)

    def draw(self, number: int) -> list[LengthConfig]:
        """Return the parts that a step learns (`draw_parts`)."""
        return draw_parts(self._layers, self._config.adaptive, self._config.seed, number)

    def blend(self, loss: Tensor, whole: Encoding, encode: Encode, number: int, mask: Tensor, totals: Totals) -> Tensor:
        """Return the mean of the whole network's loss and of its parts' distances from it, float32[].

        Args:
            loss: Loss of the whole network, float32[].
            whole: Its outputs, which the parts learn and which learn nothing from that.
            encode: Runs a part on the same batch.
            number: Number of the step, from 0.
            mask: One where a word is, float32[B, W, 1].
            totals: Divisors of the sums, as in `pqrnn.model.losses`.
        """
        parts = self.draw(number)
        intent, tags = whole.intent.detach(), whole.tags.detach()
        for part in parts:
            found = encode(part)
            loss = loss + distillation_loss(
                found.intent, found.tags, intent, tags, mask, _TEMPERATURE, self._config.intent_weight, totals
            )
        return loss / (len(parts) + 1)
