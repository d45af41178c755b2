"""What the trainer has to know of a network.

Student and teacher learn in the same loop, from the same words, for the same labels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from torch import Tensor, nn

from pqrnn.features.projection import Projection
from pqrnn.model.length_config import LengthConfig


class Encoding(NamedTuple):
    """The outputs of a network for a batch.

    Attributes:
        intent: Logits of the intents, float32[B, I].
        tags: Logits of the tags, float32[B, W, L].
        states: The words' last hidden states, float32[B, W, d].
    """

    intent: Tensor
    tags: Tensor
    states: Tensor


class WordTable(Protocol):
    """What a network looks up for words, made once for each distinct word and numbered by its row."""

    def __len__(self) -> int:
        """Distinct words so far."""

    def index(self, words: Iterable[bytes]) -> list[int]:
        """Return the row of each word, making those not met before."""


class Network(nn.Module, ABC):
    """A network that reads words and gives logits.

    Attributes:
        projection: Cuts texts into words. All networks use the same words, so a teacher's tags are about the student's
            words.
    """

    projection: Projection

    @abstractmethod
    def make_table(self) -> WordTable:
        """Return an empty table."""

    @property
    def adaptive_layers(self) -> int:
        """Number of layers that a length configuration is about; 0 for a network that always reads all words."""
        return 0

    @abstractmethod
    def encode_words(
        self, table: WordTable, words: Tensor, mask: Tensor, lengths: LengthConfig | None = None
    ) -> Encoding:
        """Encode utterances given as rows of the table.

        Args:
            table: Table of `make_table`.
            words: Rows of the table, int64[B, W].
            mask: One where a word is, float32[B, W, 1].
            lengths: How many words each layer passes on; None for all.

        Raises:
            ValueError: There is no such length configuration of this network.
        """

    def count_units(self, table: WordTable, words: Sequence[int]) -> int:
        """Return how many rows the layers have for an utterance, given as rows of the table."""
        return len(words)

    def count_macs(self, units: int, lengths: LengthConfig | None = None) -> int:
        """Return the multiplications of the matrix products for a text of so many rows (`pqrnn.model.macs`).

        Args:
            units: Rows of the layers.
            lengths: How many of them each layer passes on; None for all.

        Raises:
            ValueError: The network has no parts whose work could be compared.
        """
        raise ValueError("this network reads every word in every layer, so it has no parts whose work is counted")

    def rate_scale(self, name: str) -> float:
        """Return how many times the learning rate a parameter learns with."""
        return 1.0

    def stored(self) -> dict[str, Tensor]:
        """Return what a checkpoint of the network holds."""
        return self.state_dict()

    def restore(self, stored: Mapping[str, Tensor]) -> None:
        """Take what a checkpoint holds.

        Raises:
            ValueError: They are no weights of this network; names, types and shapes are those of `stored`.
        """
        self.load_state_dict(stored)

    @abstractmethod
    def parameters_count(self) -> int:
        """Trained numbers of what ships."""
