"""Scores of networks on the development set while they learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from pqrnn.augmentation.restyling import Restyler
from pqrnn.dataset.collate import collate
from pqrnn.dataset.encoded import EncodedDataset, EncodedUtterance
from pqrnn.distributed import broadcast, is_leader
from pqrnn.evaluation.evaluate import evaluate_predictions
from pqrnn.evaluation.frame_weights import decide_on
from pqrnn.evaluation.frames import frame_of_example
from pqrnn.evaluation.metrics import count_frames, score_frames
from pqrnn.evaluation.prediction import compute_encoded_logits, predict_encoded
from pqrnn.model.length_config import LengthConfig
from pqrnn.model.network import Network, WordTable
from pqrnn.seeding import make_random
from pqrnn.training.scores import REWRITTEN, SMALLEST
from runtime_py.decode.labels import Labels

_MOST = 1000  # rewritten texts
_BATCH = 64


def rewrite_all(dataset: EncodedDataset, restyle: Restyler) -> list[EncodedUtterance]:
    """Return utterances of a data set, each rewritten once, always in the same way.

    Those of which the tags are not known are left out, and of many an even part is taken.
    """
    rows = [row for row in dataset.utterances if row.tags is not None and row.words]
    rows = rows[:: max(len(rows) // _MOST, 1)]
    return [restyle(row, 1.0, make_random(0, "rewritten", number)) for number, row in enumerate(rows)]


class Scorer:
    """Scores networks on the development set.

    Attributes:
        dataset: The development set.
        labels: Labels that decisions are made with.
        decoder: Turns logits into parses.
    """

    def __init__(
        self,
        dataset: EncodedDataset,
        labels: Labels,
        table: WordTable,
        rewritten: Sequence[EncodedUtterance] = (),
        *,
        weighed: bool = False,
        smallest: LengthConfig | None = None,
    ) -> None:
        """Keep what is scored on.

        Args:
            dataset: The development set.
            labels: Labels that decisions are made with.
            table: Words of the networks.
            rewritten: Rewritten utterances of the development set, none where a run learns none.
            weighed: Whether the weights of the frames in `labels` stay, if there are any.
            smallest: The smallest part of the networks that learns beside them; None where none does.
        """
        self._smallest = smallest
        self._weighed = weighed and bool(labels.frame_weights)
        self.dataset, self.labels, self.decoder, self._table = dataset, labels, labels.decoder(), table
        self._gold = [frame_of_example(example) for example in dataset.examples]
        self._rewritten = sorted(rewritten, key=lambda row: len(row.words))

    def __call__(self, network: Network) -> dict[str, Any]:
        """Return the scores, in every process those of the leader: other machines might round differently."""
        if not is_leader():
            return broadcast({})
        frames = predict_encoded(network, self.decoder, self.dataset, self._table)
        scores: dict[str, Any] = score_frames(self._gold, frames).as_dict()
        if self._smallest is not None:
            frames = predict_encoded(network, self.decoder, self.dataset, self._table, self._smallest)
            right = count_frames(self._gold, frames)[:, 0].mean()
            scores[SMALLEST] = {"value": round(float(right), 6), "n": len(frames)}
        if self._rewritten:
            scores[REWRITTEN] = {"value": round(self._score_rewritten(network), 6), "n": len(self._rewritten)}
        return broadcast(scores)

    def _score_rewritten(self, network: Network) -> float:
        right, scheme = 0, self.decoder.scheme
        with torch.inference_mode():
            for first in range(0, len(self._rewritten), _BATCH):
                rows = self._rewritten[first : first + _BATCH]
                batch = collate(rows)
                encoding = network.encode_words(self._table, batch.words, batch.mask)
                for number, row in enumerate(rows):
                    tags = encoding.tags[number, : len(row.words)].numpy()
                    intent, spans = self.decoder.decide(encoding.intent[number].numpy(), tags)
                    right += intent == row.intent and spans == scheme.spans(row.tags or [])
        return right / len(self._rewritten)

    def choose(self, network: Network | None) -> tuple[Labels, dict[str, Any]]:
        """Return the labels with the best weights of the frames, and the scores under them.

        Args:
            network: What the run keeps; only the leader's is looked at.
        """
        if not is_leader() or network is None:
            return broadcast((self.labels, {}))
        answers = compute_encoded_logits(network, self.dataset, self._table)
        if self._weighed:
            labels = self.labels
            scores = evaluate_predictions(self.dataset.examples, answers, labels.decoder()).scores
        else:
            labels, scores = decide_on(self.labels, self.dataset.examples, answers)
        return broadcast((labels, {"dev": scores.as_dict()}))
