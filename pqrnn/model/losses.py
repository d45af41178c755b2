"""Training losses: pure functions."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torch.nn import functional

IGNORED = -100
SHARPNESS = 5.0  # of relations between words: the cosines of two states, from -1 to 1, become logits from -5 to 5


class Totals(NamedTuple):
    """What sums over a batch are divided by: its utterances, and those whose intent is known.

    A process that learns a share of a batch together with others divides by the batch's numbers over the number of
    processes, so that the mean over the processes is the batch's own loss.
    """

    utterances: float
    known: float


def joint_loss(
    intent_logits: Tensor,
    tag_logits: Tensor,
    intents: Tensor,
    tags: Tensor,
    smoothing: float = 0.0,
    intent_weight: float = 1.0,
    totals: Totals | None = None,
) -> Tensor:
    """Return the mean over utterances of `-w log p(intent) - sum_t log p(tag_t)`.

    For w = 1 it is the negative log likelihood of an exact match.

    Args:
        intent_logits: Logits of the intents, float32[B, I].
        tag_logits: Logits of the tags, float32[B, W, L].
        intents: Gold intents, int64[B], `IGNORED` where unknown.
        tags: Gold tags, int64[B, W], `IGNORED` where there is no word or its tag is unknown.
        smoothing: Label smoothing of the intent (Szegedy et al. 2016, arXiv:1512.00567).
        intent_weight: Weight w of the intent.
        totals: Counts of the batch that these utterances are a share of; by default they are all of it.
    """
    totals = totals or Totals(len(intents), int((intents != IGNORED).sum()))
    # The mean over utterances whose intent is known; nothing, where none is.
    intent = functional.cross_entropy(
        intent_logits, intents, ignore_index=IGNORED, reduction="sum", label_smoothing=smoothing
    ) / (totals.known or 1.0)
    tag = functional.cross_entropy(tag_logits.flatten(0, 1), tags.flatten(), ignore_index=IGNORED, reduction="sum")
    return intent_weight * intent + tag / totals.utterances


def soft_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """`T^2 KL(softmax(teacher / T) || softmax(student / T))` over the last dimension (Hinton et al.

    2015, arXiv:1503.02531, section 2).

    The factor keeps gradients of the same size at every temperature. Any batch shape; returns it without the last
    dimension.
    """
    expected = functional.log_softmax(teacher / temperature, -1)
    found = functional.log_softmax(student / temperature, -1)
    return temperature**2 * functional.kl_div(found, expected, reduction="none", log_target=True).sum(-1)


def distillation_loss(
    intent_logits: Tensor,
    tag_logits: Tensor,
    intent_targets: Tensor,
    tag_targets: Tensor,
    mask: Tensor,
    temperature: float,
    intent_weight: float = 1.0,
    totals: Totals | None = None,
) -> Tensor:
    """Return the mean over utterances of `w KL(intent) + sum_t KL(tag_t)`, each as `soft_loss`.

    It is `joint_loss` with a teacher's distributions for labels.

    Args:
        intent_logits: Logits of the intents, float32[B, I].
        tag_logits: Logits of the tags, float32[B, W, L].
        intent_targets: The teacher's logits of the intents, float32[B, I].
        tag_targets: The teacher's logits of the tags, float32[B, W, L].
        mask: One where a word is, float32[B, W, 1].
        temperature: Temperature T.
        intent_weight: Weight w of the intent.
        totals: Counts, as for `joint_loss`.
    """
    intent = soft_loss(intent_logits, intent_targets, temperature).sum()
    tag = (soft_loss(tag_logits, tag_targets, temperature) * mask[..., 0]).sum()
    return (intent_weight * intent + tag) / (totals.utterances if totals else len(intent_logits))


def relate(states: Tensor, mask: Tensor, heads: int) -> Tensor:
    """Return the relations between the words of an utterance.

    They are `log softmax_j(s cos(h_i, h_j))` for every head's share of the channels.

    After MiniLMv2 (Wang et al. 2021, arXiv:2012.15828, section 3.2), which compares softmaxed scaled dot products of
    queries, keys and values of two transformers. A QRNN has none of these, and its states are bounded by gates where a
    transformer's are not: here the relations are those of the words' states themselves, and the cosine with a fixed
    sharpness s takes the place of the scaled dot product. As there, widths may differ; only heads are common.

    Args:
        states: Hidden states of the words, float32[B, W, d].
        mask: One where a word is, float32[B, W, 1].
        heads: Number of heads R, a divisor of d.

    Returns:
        Log probabilities over the last dimension, float32[B, R, W, W], very small for padding.
    """
    batch, words, width = states.shape
    parts = functional.normalize(states.reshape(batch, words, heads, width // heads).transpose(1, 2), dim=-1)
    logits = SHARPNESS * parts @ parts.transpose(2, 3) + (mask.reshape(batch, 1, 1, words) - 1.0) * 1e6
    return functional.log_softmax(logits, -1)


def relation_loss(states: Tensor, targets: Tensor, mask: Tensor, totals: Totals | None = None) -> Tensor:
    """Return the mean over utterances of `sum_i mean_r KL(teacher's relations of word i in head r || student's)`.

    Relations are those of `relate`; the sum is over words, as in `joint_loss`.

    Args:
        states: The student's hidden states, float32[B, W, d].
        targets: The teacher's relations as probabilities, float32[B, R, W, W].
        mask: One where a word is, float32[B, W, 1].
        totals: Counts, as for `joint_loss`.
    """
    found = relate(states, mask, targets.shape[1])
    distance = functional.kl_div(found, targets, reduction="none").sum(-1).mean(1)
    return (distance * mask[..., 0]).sum() / (totals.utterances if totals else len(states))
