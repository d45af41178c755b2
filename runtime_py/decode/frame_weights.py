"""What the frames of the training utterances weigh in the search for the best parse."""

import math
from typing import Annotated

from msgspec import Meta, Struct

# Chosen on the development splits of MTOP's six languages, where 0.3 to 0.5 are as good; those of SNIPS and MASSIVE
# gain or stay.
WEIGHT = 0.4

_SMOOTHING = 0.1  # is added to every count


class FrameWeights(Struct, frozen=True, forbid_unknown_fields=True):
    """How much the frames of the training utterances say beside the logits; chosen on the development set of a run.

    Attributes:
        prior: Weight of the logarithm of how often an intent came with these slots; 0 leaves that out.
        penalty: What a slot costs that never came with its intent, in logits; None forbids it.
        margin: How much smaller than the largest an intent's logit may be to be chosen all the same; None for any.
    """

    prior: Annotated[float, Meta(ge=0.0, le=100.0)] = WEIGHT
    penalty: Annotated[float, Meta(ge=0.0, le=1e6)] | None = None
    margin: Annotated[float, Meta(ge=0.0, le=1e6)] | None = None


def log_prior(count: int, total: int, weight: float = WEIGHT) -> float:
    """Return what is added to the logits of a parse whose slots came with its intent before.

    Args:
        count: Training utterances of the intent that had just these slots.
        total: All training utterances of the intent.
        weight: Weight of that logarithm.
    """
    return weight * math.log((count + _SMOOTHING) / (total + 1))
