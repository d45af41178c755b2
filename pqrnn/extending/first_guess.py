"""The rows of new labels before anything is learned by steps: a least-squares fit to what the body says already.

A new row that begins with zeros needs hundreds of steps until it says anything, and disturbs the others meanwhile. Its
best weights under a fixed body are a linear regression: the logit is to be above the largest old one where the label is
right, and well below elsewhere. From there a few steps are left to learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pqrnn.dataset.collate import pad_words
from pqrnn.dataset.encoded import EncodedUtterance, encode_examples
from pqrnn.dataset.segmented import SegmentedExamples
from pqrnn.model.network import WordTable
from pqrnn.model.parser import ParserModel
from runtime_py.decode.labels import Labels

_ABOVE, _BELOW = 4.0, 6.0  # in logits, against the largest old one
_RIDGE = 0.003  # of the weight of all rows: chosen on SNIPS with 5, 20 and 50 rows
_BATCH = 64


def guess_new_rows(
    model: ParserModel, examples: SegmentedExamples, before: Labels, after: Labels, weights: dict[str, Tensor]
) -> None:
    """Fill the rows of new labels in place.

    Args:
        model: The parser as it is, in evaluation mode.
        examples: Old texts with its answers, and new rows.
        before: Labels that it has.
        after: All labels, those first.
        weights: Its weights for all labels (`pqrnn.extending.weights.grow_weights`).
    """
    model = model.folded()
    table = model.make_table()
    utterances = encode_examples(examples, table, after.intents, after.tags).utterances
    seen = _look(model, table, utterances)
    count = len(before.intents)
    if len(weights["intent.bias"]) > count:
        gold = torch.tensor([each.intent for each in utterances])
        rows, biases = _fit(seen["pooled"], seen["intent"].amax(1), gold, count, len(weights["intent.bias"]))
        weights["intent.weight"][count:], weights["intent.bias"][count:] = rows, biases
    count = len(before.tags)
    if len(weights["tags.bias"]) > count:
        known = seen["gold"] >= 0
        inputs = torch.cat([seen["states"], seen["context"]], 1)[known]
        largest = seen["tags"].amax(1)[known]
        rows, biases = _fit(inputs, largest, seen["gold"][known], count, len(weights["tags.bias"]))
        width = seen["states"].shape[1]
        weights["tags.weight"][count:], weights["tags_from_pool.weight"][count:] = rows[:, :width], rows[:, width:]
        weights["tags.bias"][count:] = biases


def _fit(inputs: Tensor, largest: Tensor, gold: Tensor, first: int, labels: int) -> tuple[Tensor, Tensor]:
    """Return weights and biases of the labels from `first` on, each the ridge regression of its logit.

    Args:
        inputs: What the head sees, float32[n, K].
        largest: The largest old logit of each, float32[n].
        gold: The right labels, int64[n].
        first: Number of the first new label.
        labels: Number of all labels.
    """
    wide = torch.cat([inputs, torch.ones(len(inputs), 1)], 1).double()
    rows = []
    for label in range(first, labels):
        hits = gold == label
        targets = torch.where(hits, largest + _ABOVE, largest - _BELOW).double()
        shares = torch.where(hits, 0.5 / hits.sum().clamp(min=1), 0.5 / (~hits).sum().clamp(min=1)).double()
        pull = torch.full((wide.shape[1],), _RIDGE, dtype=torch.float64)
        pull[-1] = 1e-6
        product = (wide * shares[:, None]).T
        rows.append(torch.linalg.solve(product @ wide + torch.diag(pull), product @ targets))
    found = torch.stack(rows).float()
    return found[:, :-1], found[:, -1]


@torch.inference_mode()
def _look(model: ParserModel, table: WordTable, utterances: Sequence[EncodedUtterance]) -> dict[str, Tensor]:
    """Return what the heads see and say: of each utterance, and of each word."""
    caught: dict[str, Tensor] = {}

    def catch(name: str) -> Any:
        def hook(_: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            caught[f"{name} in"], caught[f"{name} out"] = inputs[0], output

        return hook

    hooks = [getattr(model, name).register_forward_hook(catch(name)) for name in ("intent", "tags", "tags_from_pool")]
    parts: dict[str, list[Tensor]] = {name: [] for name in ("pooled", "intent", "states", "context", "tags", "gold")}
    try:
        for first in range(0, len(utterances), _BATCH):
            some = utterances[first : first + _BATCH]
            words, mask = pad_words([each.words for each in some])
            model.encode_words(table, words, mask)
            parts["pooled"].append(caught["intent in"])
            parts["intent"].append(caught["intent out"])
            unary = caught["tags out"] + caught["tags_from_pool out"][:, None, :]
            for row, each in enumerate(some):
                count = len(each.words)
                parts["states"].append(caught["tags in"][row, :count])
                parts["context"].append(caught["tags_from_pool in"][row : row + 1].expand(count, -1))
                parts["tags"].append(unary[row, :count])
                parts["gold"].append(
                    torch.tensor(each.tags if each.tags is not None else [-1] * count, dtype=torch.int64)
                )
    finally:
        for hook in hooks:
            hook.remove()
    return {name: torch.cat(values) for name, values in parts.items()}
