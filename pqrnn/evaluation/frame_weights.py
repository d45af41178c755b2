"""How much the frames of the training utterances should say beside a network's logits, chosen on development data.

A slot that never came with an intent in training may be a mistake of the network, or a pair that the training data
happen to lack; a frame that was frequent may be frequent again, or not. Which of these it is depends on the data, so
the weights (`runtime_py.decode.frame_weights.FrameWeights`) are chosen for each run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from pqrnn.data.examples import Example
from pqrnn.evaluation.evaluate import evaluate_predictions
from pqrnn.evaluation.frames import frame_of_example, frame_of_parse
from pqrnn.evaluation.metrics import Scores
from pqrnn.evaluation.prediction import Prediction, decide
from runtime_py.decode.decoder import Decoder
from runtime_py.decode.frame_weights import FrameWeights
from runtime_py.decode.labels import Labels

# Chosen on the development splits of MTOP English, MASSIVE and SNIPS, and of two sets whose training rows lack pairs of
# intent and slot; `benchmarks.unseen_pairs` measures what they give on the test splits of these two.
DEFAULT = FrameWeights(prior=0.4, penalty=2.0, margin=1.0)
PRIORS = (0.0, 0.2, 0.4, 0.6)
PENALTIES = (0.0, 1.0, 2.0, 4.0, 8.0)
MARGINS = (0.0, 0.5, 1.0, 2.0, 4.0, None)

_MOST = 4096  # utterances that are looked at


def choose_frame_weights(labels: Labels, examples: Sequence[Example], answers: Sequence[Prediction]) -> FrameWeights:
    """Return the weights under which most development utterances are parsed exactly.

    One weight after another is tried, from `DEFAULT` on, until none is better. Another one is taken only if it mends
    more utterances than it breaks by more than chance would: by the square root of those that change.

    Args:
        labels: Names, frames and counts of the network.
        examples: Development utterances.
        answers: Logits of each.
    """
    step = -(-len(examples) // _MOST)
    examples, answers = examples[::step], answers[::step]
    texts, gold = [example.text for example in examples], [frame_of_example(example) for example in examples]
    tried: dict[FrameWeights, npt.NDArray[np.bool_]] = {}

    def score(weights: FrameWeights) -> npt.NDArray[np.bool_]:
        if weights not in tried:
            decoder = Decoder(labels.intents, labels.tags, labels.frames, labels.frame_counts, weights)
            parses = decide(decoder, texts, answers)
            tried[weights] = np.array([frame_of_parse(p) == frame for p, frame in zip(parses, gold, strict=True)])
        return tried[weights]

    best, improves = DEFAULT, True
    while improves:
        improves = False
        for other in _vary(best):
            mended, broken = int((score(other) & ~score(best)).sum()), int((score(best) & ~score(other)).sum())
            if mended - broken > (mended + broken) ** 0.5:
                best, improves = other, True
    return best


def decide_on(labels: Labels, examples: Sequence[Example], answers: Sequence[Prediction]) -> tuple[Labels, Scores]:
    """Return labels with the chosen weights, where there are slots, and a network's scores under them."""
    if labels.frame_counts:
        labels = msgspec.structs.replace(labels, frame_weights=choose_frame_weights(labels, examples, answers))
    return labels, evaluate_predictions(examples, answers, labels.decoder()).scores


def _vary(weights: FrameWeights) -> Iterator[FrameWeights]:
    """Yield these weights with another one in the place of each."""
    for prior in PRIORS:
        yield msgspec.structs.replace(weights, prior=prior)
    for penalty in PENALTIES:
        yield msgspec.structs.replace(weights, penalty=penalty)
    for margin in MARGINS:
        yield msgspec.structs.replace(weights, margin=margin)
