"""A teacher without a pre-trained encoder of its own: a wide parser that also sees pre-trained subword vectors, for all languages at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import msgspec
import torch
from torch import Tensor, nn

from pqrnn.features import WordFeatures
from pqrnn.model import ModelConfig, ParserModel
from pqrnn.network import Encoding, Network, WordTable
from pqrnn.teacher.vectors import USE, WordUnits, load_vectors


class HybridConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that shapes a hybrid teacher.

    Attributes:
        parser: the network over the words, usually several times as wide as the student.
        vectors: what `pqrnn.teacher.vectors.load_vectors` loads.
        vector_dropout: of the channels of the vectors, in training.
    """

    parser: ModelConfig = ModelConfig(bottleneck=384, state=256)
    vectors: str = USE
    vector_dropout: float = 0.2


class HybridTable:
    """Projected features and pre-trained units of distinct words (`pqrnn.network.WordTable`)."""

    def __init__(self, features: WordFeatures, units: WordUnits) -> None:
        """Both number words in the order in which they are first met."""
        self.features, self.units = features, units

    def __len__(self) -> int:
        """Distinct words so far."""
        return len(self.features)

    def index(self, words: Iterable[bytes]) -> list[int]:
        """Return the row of each word, making those not met before."""
        wanted = list(words)
        rows = self.features.index(wanted)
        self.units.index(wanted)
        return rows


class HybridTeacher(Network):
    """Words in, logits out: the parser, with a linear map of the words' pre-trained vectors (fixed) added to its bottleneck."""

    def __init__(self, config: HybridConfig, intents: int, tags: int) -> None:
        """`intents`, `tags`: how many labels each head has.

        Raises:
            TeacherError: the vectors cannot be loaded.
        """
        super().__init__()
        self.config = config
        self.parser = ParserModel(config.parser, intents, tags)
        self.projection = self.parser.projection
        self._vectors = load_vectors(config.vectors)
        self.dense = nn.Linear(self._vectors.width, config.parser.bottleneck, bias=False)
        self.dropout = nn.Dropout(config.vector_dropout)

    def make_table(self) -> HybridTable:
        """Return an empty table."""
        return HybridTable(WordFeatures(self.projection), WordUnits(self._vectors))

    def encode_words(self, table: WordTable, words: Tensor, mask: Tensor) -> Encoding:
        """Encode utterances, int64[B, W] rows of the table."""
        known = cast(HybridTable, table)
        counts = mask[..., 0].sum(1).long().tolist()
        units = torch.zeros_like(words)
        for place, (row, count) in enumerate(zip(words.tolist(), counts, strict=True)):
            units[place, :count] = torch.tensor(known.units.place(row[:count]), dtype=torch.int64)
        distinct, back = units.unique(return_inverse=True)
        vectors = self.dense(self.dropout(known.units.vectors()[distinct]))
        return self.parser.encode(known.features.project(words, self.parser.bottleneck) + vectors[back], mask)

    def parameters_count(self) -> int:
        """Return how many numbers were trained."""
        return sum(parameter.numel() for parameter in self.parameters())
