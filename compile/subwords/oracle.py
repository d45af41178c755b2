"""PyTorch's answers of a parser of subwords, in float32 and in float64."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from compile.subwords.program import SubwordParser
from compile.verify.choices import smallest_choice
from compile.verify.reference import Reference, SummedInOrder
from compile.verify.roundings import Roundings
from pqrnn.evaluation.prediction import Prediction
from pqrnn.features.utf8 import pack_texts
from pqrnn.model.length_config import LengthConfig
from pqrnn.model.word_selection import watch_choices
from runtime_py.package_format.manifest import Bucket


class SubwordOracle:
    """Gives PyTorch's answers: for parsers of subwords what `compile.verify.reference.Oracle` is."""

    def __init__(self, model: SubwordParser, buckets: Sequence[Bucket], lengths: LengthConfig | None = None) -> None:
        """Keep a model and a copy of it in float64.

        Args:
            model: The parser.
            buckets: Buckets, in rising order of the subwords that they hold.
            lengths: The part of the encoder that answers; None for all of it.
        """
        self._lengths = lengths
        self._model, self._exact = model, copy.deepcopy(model).double()
        self._buckets = buckets
        self._table = model.make_table()

    def answer(self, text: bytes) -> Reference | None:
        """Return the answers to a text, or None for a text that fits no bucket."""
        limit = self._buckets[-1].bytes
        if len(text) > limit:
            return None
        with torch.inference_mode():
            packed = pack_texts([text], limit)
            count = int(self._model.projection.segment(packed, 1)[1][0])
            spans = self._model.projection.segment(packed, max(count, 1))[0][0, :count]
        row = self._table.index([text[start:end] for start, end in spans.tolist()])
        batch = self._table.collate([row], max(self._model.longest, self._buckets[-1].words + 1))
        needed = max(batch.tokens.shape[1], count)
        bucket = next((each for each in self._buckets if each.words >= needed and each.bytes >= len(text)), None)
        if bucket is None:
            return None
        tokens = torch.full((1, bucket.words), self._table.padding, dtype=torch.int32)
        tokens[0, : batch.tokens.shape[1]] = batch.tokens[0]
        length = torch.tensor([batch.tokens.shape[1]], dtype=torch.int32)
        with torch.inference_mode():
            single = self._model(tokens, length, self._lengths)
            with SummedInOrder():
                ordered = self._model(tokens, length, self._lengths)
            with watch_choices() as choices:
                double = self._exact(tokens, length, self._lengths)
        if not double[0].dtype == double[1].dtype == torch.float64:
            raise TypeError("the encoder turns float64 into another type on its way: there is no reference")
        starts = batch.starts[0, :count]
        return Reference(
            text,
            _predict(single, starts, spans),
            _predict(ordered, starts, spans),
            _predict(double, starts, spans),
            Roundings(),
            needed,
            smallest_choice(choices, int(length)),
        )

    def shift(self, reference: Reference, reach: dict[str, float]) -> float:
        """Return 0: nothing is rounded to 8 bits."""
        return 0.0


def _predict(outputs: tuple[Tensor, Tensor], starts: Tensor, spans: Tensor) -> Prediction:
    intent, tags = outputs
    return Prediction(intent[0].numpy(), tags[0, starts].numpy(), spans.numpy().astype(np.int32))
