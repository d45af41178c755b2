"""From logits to probabilities that mean something: of a whole parse, of each slot, and of being in scope at all.

A softmax says how sure a network is, not how often it is right. What turns one into the other is fitted on the
development split of a run (`pqrnn.evaluation.calibrating`), travels with checkpoint and package, and changes no
decision. Three things are said of a parse:

- *right*: a logistic model of the log odds of the intent, and of the log odds of all words' tags together (the scaling
  of Platt 1999, of which a temperature (Guo et al. 2017) is the case with one input);
- *in scope*: a logistic model of what `describe_logits` says of the logits and, for each intent, of its logit; there
  is one only where texts that are out of scope were at hand. Their product is the score, through a growing line (a
  binned isotonic regression, Zadrozny and Elkan 2002, or a logistic curve where utterances were few);
- a *slot*: a logistic model of the log odds of its words' tags.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

VERSION = 1
CLIP = 15.0  # log odds beyond which nothing is told apart
MOST_KNOTS = 64
SUMMARY = ("intent", "tags", "energy", "largest", "entropy", "mean tag", "words")  # what `describe_logits` says

Weight = Annotated[float, Meta(ge=-1e6, le=1e6)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Knot = tuple[Share, Share]


class RightModel(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How probable it is that a parse is right, given that the text is in scope.

    Attributes:
        intent: Weight of the log odds of the intent's softmax probability.
        tags: Weight of the log odds of the product of all words' softmax probabilities of their tags.
        bias: What is added.
    """

    intent: Weight
    tags: Weight
    bias: Weight

    def probability(self, intent: float, tags: float) -> float:
        """Return the probability, from log odds."""
        return sigmoid(self.intent * intent + self.tags * tags + self.bias)


class ScopeModel(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How probable it is that a text is in scope.

    Attributes:
        summary: Weight of each number of `describe_logits`.
        intents: Weight of each intent's logit; empty where only the summary counts.
        bias: What is added.
    """

    summary: Annotated[tuple[Weight, ...], Meta(min_length=len(SUMMARY), max_length=len(SUMMARY))]
    intents: tuple[Weight, ...] = ()
    bias: Weight

    def probability(self, summary: Sequence[float], intents: NDArray[np.float32]) -> float:
        """Return the probability, from `describe_logits` and the logits of the intents."""
        total = self.bias + sum(weight * value for weight, value in zip(self.summary, summary, strict=True))
        if self.intents:
            total += float(np.dot(np.asarray(self.intents), intents.astype(np.float64)))
        return sigmoid(total)


class SlotModel(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How probable it is that a slot is right: label, beginning and end.

    Attributes:
        tags: Weight of the log odds of the product of its words' probabilities and of that of the word behind it.
        bias: What is added.
    """

    tags: Weight
    bias: Weight


class Threshold(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The recommended threshold, and what it was seen to do with texts that nothing was fitted on.

    Attributes:
        of: What has to reach it: ``in_scope``, which tells best what is out of scope, or ``score`` where there is no
            such probability.
        least: The probability below which a parse is better rejected.
        kept: Share of utterances in scope that reach it.
        refused: Share of texts out of scope that do not; null where there were none.
    """

    of: Literal["in_scope", "score"]
    least: Share
    kept: Share
    refused: Share | None = None


class Calibration(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What turns logits into probabilities.

    Attributes:
        version: Version of this form and of what its numbers mean; another one is refused.
        temperature: What logits of intents are divided by before their softmax ranks alternatives.
        right: How probable it is that a parse is right.
        slots: The same of a slot; null for parsers without slots.
        scope: How probable it is that a text is in scope; null where that could not be fitted.
        knots: Growing pairs of the product of those two probabilities, and of the share of parses that were right; what
            lies between is interpolated.
        recommended: The threshold to reject by.
        utterances: Number of development utterances that it was fitted on.
        error: Expected calibration error on these, in five parts of which each was scored by a fit to the others.
        error_before: The same of the intent's softmax probability.
        out_of_scope: Number of texts out of scope that it was fitted on.
        data: Fingerprint of the utterances.
    """

    version: Annotated[int, Meta(ge=1, le=VERSION)] = VERSION
    temperature: Annotated[float, Meta(ge=1e-3, le=1e3)] = 1.0
    right: RightModel
    slots: SlotModel | None = None
    scope: ScopeModel | None = None
    knots: Annotated[tuple[Knot, ...], Meta(min_length=2, max_length=MOST_KNOTS)]
    recommended: Threshold
    utterances: Annotated[int, Meta(ge=0)] = 0
    error: Share
    error_before: Share
    out_of_scope: Annotated[int, Meta(ge=0)] = 0
    data: Annotated[str, Meta(max_length=200)] = ""


class Confidence(NamedTuple):
    """What a calibration says of a parse.

    Attributes:
        score: Probability that the text is in scope and its parse is right.
        in_scope: Probability that the text is in scope; None where that was not fitted.
    """

    score: float
    in_scope: float | None


class LogProbabilities(NamedTuple):
    """Logarithms of softmax probabilities, in float64.

    Attributes:
        intent: That of the chosen intent.
        tags: Those of each word's chosen tag.
    """

    intent: float
    tags: NDArray[np.float64]


def sigmoid(value: float) -> float:
    """Return the probability of log odds, of any size."""
    return 1.0 / (1.0 + math.exp(-value)) if value >= 0 else math.exp(value) / (1.0 + math.exp(value))


def log_odds(logarithm: float) -> float:
    """Return the log odds of a probability that is given by its logarithm, cut at `CLIP`."""
    if logarithm >= 0.0:
        return CLIP
    return max(-CLIP, min(CLIP, logarithm - math.log(-math.expm1(logarithm))))


def log_probabilities(
    intent: NDArray[np.float32], tags: NDArray[np.float32], best: int, chosen: Sequence[int]
) -> LogProbabilities:
    """Return the logarithms of the probabilities of what was decided.

    Args:
        intent: Logits, float32 [intents].
        tags: Logits, float32 [words, tags].
        best: Index of the intent.
        chosen: Index of each word's tag.
    """
    doubles = intent.astype(np.float64)
    rows = tags.astype(np.float64)
    if not len(rows):
        return LogProbabilities(float(doubles[best] - _log_sum(doubles)), np.zeros(0))
    largest = rows.max(axis=1)
    sums = np.log(np.exp(rows - largest[:, None]).sum(axis=1)) + largest
    return LogProbabilities(
        float(doubles[best] - _log_sum(doubles)), rows[np.arange(len(rows)), np.asarray(chosen)] - sums
    )


def describe_logits(intent: NDArray[np.float32], logarithms: LogProbabilities) -> tuple[float, ...]:
    """Return the numbers by which texts in scope differ from others (`SUMMARY`).

    These are the log odds of the intent (the largest probability: Hendrycks and Gimpel 2017) and of all tags together,
    the energy (Liu et al. 2020), the largest logit, the entropy of the intents, the mean of the words' logarithms, and
    the logarithm of the number of words, up to 20.
    """
    doubles = intent.astype(np.float64)
    energy = _log_sum(doubles)
    shares = np.exp(doubles - energy)
    words = len(logarithms.tags)
    return (
        log_odds(logarithms.intent),
        log_odds(float(logarithms.tags.sum())),
        energy,
        float(doubles.max()),
        float(-(shares * (doubles - energy)).sum()),
        float(logarithms.tags.mean()) if words else 0.0,
        math.log(min(words + 1, 20)),
    )


def judge(calibration: Calibration, intent: NDArray[np.float32], logarithms: LogProbabilities) -> Confidence:
    """Return how probable it is that a text is in scope and its parse is right."""
    right = calibration.right.probability(log_odds(logarithms.intent), log_odds(float(logarithms.tags.sum())))
    in_scope = None
    if calibration.scope is not None:
        in_scope = calibration.scope.probability(describe_logits(intent, logarithms), intent)
        right *= in_scope
    return Confidence(interpolate(calibration.knots, right), in_scope)


def interpolate(knots: Sequence[Knot], value: float) -> float:
    """Return the height of the line through knots at a value; outside of them it is level."""
    return float(np.interp(value, [x for x, _ in knots], [y for _, y in knots]))


def judge_slot(model: SlotModel | None, tags: NDArray[np.float64], start: int, end: int) -> float:
    """Return how probable it is that a slot is right.

    Args:
        model: The model; without one it is the softmax probability of the slot's words.
        tags: Logarithms of the probabilities of all words' tags.
        start: Index of the slot's first word.
        end: Index of the word behind its last.
    """
    total = float(tags[start : end + 1].sum())
    return math.exp(total) if model is None else sigmoid(model.tags * log_odds(total) + model.bias)


def rank_intents(intent: NDArray[np.float32], best: int, count: int, temperature: float) -> list[tuple[int, float]]:
    """Return the most probable intents, the chosen one first, each with its probability.

    Args:
        intent: Logits, float32 [intents].
        best: Index of the chosen intent, which need not have the largest logit.
        count: How many to return at most.
        temperature: What logits are divided by.
    """
    scaled = intent.astype(np.float64) / temperature
    shares = np.exp(scaled - _log_sum(scaled))
    # By logits: where the temperature is small, shares of several are 0.
    order = [int(index) for index in np.argsort(-scaled, kind="stable")[: count + 1] if index != best]
    return [(index, float(shares[index])) for index in [best, *order][:count]]


def _log_sum(values: NDArray[np.float64]) -> float:
    largest = float(values.max())
    return largest + math.log(float(np.exp(values - largest).sum()))
