"""A teacher: a pre-trained encoder with an intent head and a slot head, fine-tuned jointly.

This follows JointBERT (Chen et al. 2019, arXiv:1902.10909).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from pqrnn.distillation.pretrained import load_encoder
from pqrnn.distillation.romanization import romanise
from pqrnn.distillation.short_encoder import count_layers, run_encoder
from pqrnn.distillation.subwords import WordTokens
from pqrnn.features.projection import Projection
from pqrnn.model.length_config import LengthConfig, check_lengths
from pqrnn.model.macs import count_layer_macs
from pqrnn.model.network import Encoding, Network, WordTable
from pqrnn.recipes.settings import ProjectionConfig, TeacherConfig


class TeacherModel(Network):
    """Words in, logits out.

    A word is tagged at its first subword; the intent is read from the mean over all tokens beside the first one's
    state.
    """

    def __init__(self, config: TeacherConfig, intents: int, tags: int) -> None:
        """`intents`, `tags`: how many labels each head has.

        Raises:
            TeacherError: the encoder cannot be loaded.
        """
        super().__init__()
        self.config = config
        self.projection = Projection(ProjectionConfig())
        self.encoder, self.tokenizer = load_encoder(config.encoder)
        width = self.encoder.config.hidden_size
        self.longest = int(getattr(self.encoder.config, "max_position_embeddings", 512))
        self.dropout = nn.Dropout(config.dropout)
        self.intent = nn.Linear(2 * width, intents)
        self.tags = nn.Linear(2 * width, tags)
        self.encoder.get_input_embeddings().requires_grad_(config.train_embeddings)

    def make_table(self) -> WordTokens:
        """Return an empty table of subwords."""
        return WordTokens(self.tokenizer, romanise if self.config.romanise else None)

    def encode_words(
        self, table: WordTable, words: Tensor, mask: Tensor, lengths: LengthConfig | None = None
    ) -> Encoding:
        """Encode utterances, int64[B, W] rows of the table."""
        counts = mask[..., 0].sum(1).long().tolist()
        rows = [row[:count] for row, count in zip(words.tolist(), counts, strict=True)]
        batch = cast(WordTokens, table).collate(rows, self.longest)
        states = self._read(batch.tokens, batch.attention, lengths)
        seen = batch.attention[..., None].to(states.dtype)
        pooled = torch.cat([states[:, 0], (states * seen).sum(1) / seen.sum(1)], -1)
        starts = batch.starts[:, :, None].expand(-1, -1, states.shape[-1])
        begins = states.gather(1, starts)
        joined = torch.cat([begins, pooled[:, None, states.shape[-1] :].expand(-1, starts.shape[1], -1)], -1)
        return Encoding(
            self.intent(self.dropout(pooled)).float(), self.tags(self.dropout(joined)).float(), begins.float()
        )

    def _read(self, tokens: Tensor, attention: Tensor, lengths: LengthConfig | None) -> Tensor:
        """Return the states of all subwords."""
        if lengths is not None and not self.adaptive_layers:
            raise ValueError(
                f"a length configuration ({lengths.describe()}) is for encoders of BERT's family, and "
                f"{self.config.encoder} is another one"
            )
        if lengths is not None:
            check_lengths(lengths, self.adaptive_layers)
        if lengths is None or lengths.is_full:
            found: Tensor = self.encoder(input_ids=tokens, attention_mask=attention).last_hidden_state
            return found
        return run_encoder(self.encoder, tokens, attention, lengths)

    def encode_tokens(
        self, tokens: Tensor, attention: Tensor, lengths: LengthConfig | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the logits of the intents, [B, I], and those of a tag for every subword, [B, T, L], in evaluation.

        At the first subword of a word they are the tags of `encode_words`.

        Args:
            tokens: Ids of the subwords, integers [B, T].
            attention: One for a subword and zero for padding, integers [B, T].
            lengths: How many subwords each layer passes on; None for all.
        """
        states = self._read(tokens, attention, lengths)
        seen = attention[..., None].to(states.dtype)
        mean = (states * seen).sum(1) / seen.sum(1)
        joined = torch.cat([states, mean[:, None, :].expand(-1, states.shape[1], -1)], -1)
        return self.intent(torch.cat([states[:, 0], mean], -1)), self.tags(joined)

    @property
    def adaptive_layers(self) -> int:
        """Number of layers of an encoder of BERT's family; 0 for any other."""
        return count_layers(self.encoder)

    def count_units(self, table: WordTable, words: Sequence[int]) -> int:
        """Return how many subwords an utterance has, with those around it."""
        return cast(WordTokens, table).collate([words], self.longest).tokens.shape[1]

    def count_macs(self, units: int, lengths: LengthConfig | None = None) -> int:
        """Return the MACs of a text of so many subwords; its words are counted as as many."""
        shape, (intents, width), tags = self.encoder.config, self.intent.weight.shape, len(self.tags.weight)
        sizes = (int(shape.hidden_size), int(shape.intermediate_size))
        layers = count_layer_macs(*sizes, int(shape.num_hidden_layers), units, lengths)
        return layers + intents * width + units * tags * self.tags.weight.shape[1]

    def rate_scale(self, name: str) -> float:
        """Return `head_scale` for the heads."""
        return 1.0 if name.startswith("encoder.") else self.config.head_scale

    def parameters_count(self) -> int:
        """Return how many numbers the encoder and the heads have."""
        return sum(parameter.numel() for parameter in self.parameters())
