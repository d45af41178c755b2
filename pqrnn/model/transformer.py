"""Transformer layers on the projection of words.

These are those of Vaswani et al. 2017 (arXiv:1706.03762) with the norm before each part (Xiong et al. 2020,
arXiv:2002.04745), which learns without a long warm-up, and with a learned bias for the distance of two words in the
place of positions (Raffel et al. 2020, arXiv:1910.10683, section 2.1, without its logarithmic classes): the length of a
text has no limit, and neighbours are told apart from the first layer on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from pqrnn.model.int8 import ActivationRange
from pqrnn.model.length_config import WHOLE, LengthConfig, count_kept
from pqrnn.model.linear import make_linear
from pqrnn.model.qrnn import widen
from pqrnn.model.word_selection import (
    Selection,
    drops_nothing,
    gather_rows,
    measure_significance,
    restore_words,
    select_words,
)
from pqrnn.recipes.settings import ModelConfig

HIDDEN = 1e6  # what is taken from the logit of padding: its probability is 0


class Relatives(NamedTuple):
    """What a layer's words ask, offer and give: queries, keys and values, float32[B, W, width] each.

    Heads lie one after the other in the last dimension.
    """

    queries: Tensor
    keys: Tensor
    values: Tensor


class SomeWords(NamedTuple):
    """The words that are left of texts.

    Attributes:
        value: Their states, float32[B, K, width].
        mask: One where a word is, float32[B, K, 1].
        positions: Their positions in the text, int32[B, K]; None while all words are there, in order.
    """

    value: Tensor
    mask: Tensor
    positions: Tensor | None = None


class AdaptiveLayer(Protocol):
    """A layer that can pass on fewer words than it gets."""

    def forward_some(
        self, words: SomeWords, total: Tensor, share: int, rows: int
    ) -> tuple[SomeWords, tuple[Tensor, Selection] | None]:
        """Encode words of which only some go on (`TransformerLayer.forward_some`)."""


class TransformerLayer(nn.Module):
    """Self-attention and a feed-forward part, each added to what it reads."""

    def __init__(self, config: ModelConfig) -> None:
        """Make an untrained layer of a shape that `pqrnn.model.shape` allows."""
        super().__init__()
        shape = config.transformer
        self.heads, self.reach, self.dropout = shape.heads, shape.reach, config.dropout
        self.attention_norm = nn.LayerNorm(shape.width)
        kind = ActivationRange.MEASURED
        self.product = make_linear(config, shape.width, 3 * shape.width, kind)
        self.mix = make_linear(config, shape.width, shape.width, kind)
        self.distances = nn.Parameter(torch.zeros(2 * shape.reach + 1, shape.heads))
        self.ffn_norm = nn.LayerNorm(shape.width)
        self.grow = make_linear(config, shape.width, shape.ffn, kind)
        self.shrink = make_linear(config, shape.ffn, shape.width, kind)
        for linear in (self.product, self.mix, self.grow, self.shrink):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)
        for linear in (self.mix, self.shrink):  # the sum of all parts begins as large as one part
            linear.weight.data.mul_((2 * config.layers) ** -0.5)

    def forward(self, value: Tensor, mask: Tensor, *, scan: bool = False) -> Tensor:
        """Encode words float32[B, W, width] into the same shape; both are zero where `mask`, [B, W, 1], is zero.

        `scan` is of the recurrent layers and has no meaning here.
        """
        return self._feed(value + self._drop(self.attend(self.relate(value), mask)), mask)

    def forward_some(
        self, words: SomeWords, total: Tensor, share: int, rows: int
    ) -> tuple[SomeWords, tuple[Tensor, Selection] | None]:
        """Encode words of which only some go on: those that received most of this layer's attention.

        They are chosen behind the attention, so that only they ask for values and pass the feed-forward part.

        Args:
            words: The words that the layer gets.
            total: Number of words of each text before any was dropped, int32[B].
            share: Percent of these that go on.
            rows: Rows for those that go on; 0 where nothing is dropped.

        Returns:
            The words that go on, and the states before the layer with the selection, for `restore_words`; None where
            nothing was dropped.
        """
        value, mask, positions = words
        relatives = self.relate(value)
        attention = self.weigh(relatives, mask, positions)
        if not rows:
            return words._replace(
                value=self._feed(value + self._drop(self.mix_values(attention, relatives)), mask)
            ), None
        selection = select_words(measure_significance(attention, mask), total, share, rows)
        asking = gather_rows(attention.transpose(1, 2).flatten(2), selection.indices)
        asking = asking.unflatten(2, (self.heads, -1)).transpose(1, 2)
        chosen = gather_rows(value, selection.indices)
        chosen = self._feed(chosen + self._drop(self.mix_values(asking, relatives)), selection.mask)
        there = selection.indices
        if positions is not None:
            there = gather_rows(positions[..., None], there)[..., 0]
        return SomeWords(chosen, selection.mask, there), (value, selection)

    def relate(self, value: Tensor) -> Relatives:
        """Return queries, keys and values of the layer's inputs."""
        return Relatives(*widen(self.product(self.attention_norm(value))).chunk(3, -1))

    def attend(self, relatives: Relatives, mask: Tensor) -> Tensor:
        """Return the output of attention, float32[B, W, width]; padding is neither seen nor kept out of the result."""
        return self.mix_values(self.weigh(relatives, mask), relatives)

    def weigh(self, relatives: Relatives, mask: Tensor, positions: Tensor | None = None) -> Tensor:
        """Return the probabilities of attention, float32[B, H, W, W], of the words in the last dimension.

        Args:
            relatives: Queries, keys and values.
            mask: One where a word is, float32[B, W, 1].
            positions: Positions of the words in their text, int32[B, W]; None where no word is left out.
        """
        queries, keys = self._split(relatives.queries), self._split(relatives.keys)
        scores = torch.matmul(queries, keys.transpose(2, 3)) * (queries.shape[-1] ** -0.5)
        hidden = (mask - 1.0) * HIDDEN
        bias = self._bias(mask.shape[1]) if positions is None else self._bias_between(positions)
        return torch.softmax(scores + bias + hidden.reshape(mask.shape[0], 1, 1, -1), -1)

    def mix_values(self, attention: Tensor, relatives: Relatives) -> Tensor:
        """Return what words get that pay attention, float32[B, K, width] of float32[B, H, K, W]."""
        mixed = torch.matmul(attention, self._split(relatives.values))
        return widen(self.mix(mixed.transpose(1, 2).flatten(2)))

    def _feed(self, value: Tensor, mask: Tensor) -> Tensor:
        """Add the feed-forward part."""
        inner = functional.gelu(widen(self.grow(self.ffn_norm(value))))
        return (value + self._drop(widen(self.shrink(inner)))) * mask

    def _split(self, value: Tensor) -> Tensor:
        """Return float32[B, H, W, width / H] of float32[B, W, width]."""
        return value.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def _bias(self, words: int) -> Tensor:
        """Return what the distance of two words adds to their logit, float32[H, W, W]."""
        positions = torch.arange(words, dtype=torch.int32, device=self.distances.device)
        distances = (positions[None, :] - positions[:, None]).clamp(-self.reach, self.reach) + self.reach
        return functional.embedding(distances, self.distances).permute(2, 0, 1)

    def _bias_between(self, positions: Tensor) -> Tensor:
        """Return the same for words at given positions, int32[B, W] to float32[B, H, W, W]."""
        distances = (positions[:, None, :] - positions[:, :, None]).clamp(-self.reach, self.reach) + self.reach
        return functional.embedding(distances, self.distances).permute(0, 3, 1, 2)

    def _drop(self, value: Tensor) -> Tensor:
        return functional.dropout(value, self.dropout, self.training)


def run_layers(layers: Sequence[AdaptiveLayer], value: Tensor, mask: Tensor, lengths: LengthConfig) -> Tensor:
    """Encode words as a length configuration says, and give every word the last state that it had.

    Args:
        layers: The layers.
        value: Their inputs, float32[B, W, width], zero where `mask` is.
        mask: One where a word is, float32[B, W, 1].
        lengths: What each layer passes on (`pqrnn.model.length_config.check_lengths`).

    Returns:
        States of all words, float32[B, W, width].
    """
    total = mask.sum((1, 2)).to(torch.int32)
    words, before = SomeWords(value, mask), WHOLE
    dropped = []
    for number, layer in enumerate(layers):
        if number in lengths.skipped:
            continue
        share = lengths.kept[number]
        rows = 0 if drops_nothing(share, before, mask.shape[1]) else count_kept(mask.shape[1], share)
        words, selected = layer.forward_some(words, total, share, rows)
        before = share
        if selected is not None:
            dropped.append(selected)
    return restore_words(dropped, words.value)
