"""What an extended parser learns: from itself what it said of old texts, from gold labels what new ones mean."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import torch
from torch import Tensor

from pqrnn.data.fingerprint import fingerprint_examples
from pqrnn.dataset.segmented import SegmentedExamples
from pqrnn.distillation.labelling import answer
from pqrnn.distillation.logit_store import StoreIndex, TeacherLogits, TransferText, write_logits
from pqrnn.distillation.transfer_set import make_transfer_set
from pqrnn.model.parser import ParserModel
from pqrnn.recipes.settings import TransferConfig
from runtime_py.decode.labels import Labels

_CERTAIN = 20.0  # logit of a gold label against all others: leaves no doubt at the usual temperatures
_NEVER = 20.0  # how much below all else that the parser says of a text a label is that it did not have


def write_lessons(
    folder: Path,
    model: ParserModel,
    before: Labels,
    after: Labels,
    training: SegmentedExamples,
    old: int,
    config: TransferConfig,
    *,
    teacher: str,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> StoreIndex:
    """Write the answers that an extended parser learns, or go on with what an earlier call began.

    Args:
        folder: Folder of the logit store.
        model: The parser as it is, in evaluation mode.
        before: Its labels.
        after: All labels, those first.
        training: Old texts with the parser's answers, then new rows with gold labels.
        old: How many of them are old.
        config: Which variants are made.
        teacher: Name of the parser, for people.
        on_progress: Called with the number of texts answered so far and of all texts.

    Raises:
        TeacherError: the folder holds lessons of something else.
    """
    texts = make_transfer_set(training, (), after, config)
    decisive = [
        msgspec.to_builtins(config),
        _digest(model),
        fingerprint_examples(training[:old]),
        fingerprint_examples(training[old:]),
        [after.intents, after.tags],
    ]

    def label(part: Sequence[TransferText]) -> TeacherLogits:
        return _label(model, before, after, part, old)

    return write_logits(
        folder,
        texts,
        label,
        fingerprint=hashlib.sha256(json.dumps(decisive).encode()).hexdigest(),
        labels=after.outputs(),
        teachers=[teacher],
        utterances=len(training),
        on_progress=on_progress,
    )


def _label(model: ParserModel, before: Labels, after: Labels, part: Sequence[TransferText], old: int) -> TeacherLogits:
    """Return the parser's answers to the old texts of a part, and what the gold labels of new ones say."""
    mine = [text for text in part if text.source < old]
    said = answer(model, mine) if mine else None
    intents, tags = [], []
    row = word = 0
    for text in part:
        if text.source < old and said is not None:
            intents.append(_widen(said.intent[row : row + 1], len(after.intents)))
            tags.append(_widen(said.tags[word : word + len(text.words)], len(after.tags)))
            row, word = row + 1, word + len(text.words)
        else:
            intents.append(_certain([text.intent], len(after.intents)))
            tags.append(_certain(text.tags or [-1] * len(text.words), len(after.tags)))
    return TeacherLogits(torch.cat(intents), torch.cat(tags))


def _widen(logits: Tensor, count: int) -> Tensor:
    """Return logits with those of labels that were not there before."""
    if count == logits.shape[1]:
        return logits
    least = logits.amax(1, keepdim=True) - _NEVER
    return torch.cat([logits, least.expand(-1, count - logits.shape[1])], 1)


def _certain(labels: Sequence[int], count: int) -> Tensor:
    """Return logits that leave no doubt of labels, and all doubt where a label is -1."""
    logits = torch.zeros((len(labels), count))
    for row, label in enumerate(labels):
        if label >= 0:
            logits[row, label] = _CERTAIN
    return logits


def _digest(model: ParserModel) -> str:
    parts = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        parts.update(name.encode() + value.contiguous().numpy().tobytes())
    return parts.hexdigest()
