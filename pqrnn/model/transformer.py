"""Transformer layers on the projection of words.

These are those of Vaswani et al. 2017 (arXiv:1706.03762) with the norm before each part (Xiong et al. 2020,
arXiv:2002.04745), which learns without a long warm-up, and with a learned bias for the distance of two words in the
place of positions (Raffel et al. 2020, arXiv:1910.10683, section 2.1, without its logarithmic classes): the length of a
text has no limit, and neighbours are told apart from the first layer on.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from pqrnn.model.qrnn import widen
from pqrnn.recipes.settings import ModelConfig

HIDDEN = 1e6  # what is taken from the logit of padding: its probability is 0


class Relatives(NamedTuple):
    """What a layer's words ask, offer and give: queries, keys and values, float32[B, W, width] each.

    Heads lie one after the other in the last dimension.
    """

    queries: Tensor
    keys: Tensor
    values: Tensor


class TransformerLayer(nn.Module):
    """Self-attention and a feed-forward part, each added to what it reads."""

    def __init__(self, config: ModelConfig) -> None:
        """Make an untrained layer of a shape that `pqrnn.model.shape` allows."""
        super().__init__()
        shape = config.transformer
        self.heads, self.reach, self.dropout = shape.heads, shape.reach, config.dropout
        self.attention_norm = nn.LayerNorm(shape.width)
        self.product = nn.Linear(shape.width, 3 * shape.width)
        self.mix = nn.Linear(shape.width, shape.width)
        self.distances = nn.Parameter(torch.zeros(2 * shape.reach + 1, shape.heads))
        self.ffn_norm = nn.LayerNorm(shape.width)
        self.grow = nn.Linear(shape.width, shape.ffn)
        self.shrink = nn.Linear(shape.ffn, shape.width)
        for linear in (self.product, self.mix, self.grow, self.shrink):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)
        for linear in (self.mix, self.shrink):  # the sum of all parts begins as large as one part
            linear.weight.data.mul_((2 * config.layers) ** -0.5)

    def forward(self, value: Tensor, mask: Tensor, *, scan: bool = False) -> Tensor:
        """Encode words float32[B, W, width] into the same shape; both are zero where `mask`, [B, W, 1], is zero.

        `scan` is of the recurrent layers and has no meaning here.
        """
        value = value + self._drop(self.attend(self.relate(value), mask))
        inner = functional.gelu(widen(self.grow(self.ffn_norm(value))))
        return (value + self._drop(widen(self.shrink(inner)))) * mask

    def relate(self, value: Tensor) -> Relatives:
        """Return queries, keys and values of the layer's inputs."""
        return Relatives(*widen(self.product(self.attention_norm(value))).chunk(3, -1))

    def attend(self, relatives: Relatives, mask: Tensor) -> Tensor:
        """Return the output of attention, float32[B, W, width]; padding is neither seen nor kept out of the result."""
        queries, keys, values = (self._split(part) for part in relatives)
        scores = torch.matmul(queries, keys.transpose(2, 3)) * (queries.shape[-1] ** -0.5)
        hidden = (mask - 1.0) * HIDDEN
        scores = scores + self._bias(mask.shape[1]) + hidden.reshape(mask.shape[0], 1, 1, -1)
        mixed = torch.matmul(torch.softmax(scores, -1), values)
        return widen(self.mix(mixed.transpose(1, 2).reshape(relatives.values.shape)))

    def _split(self, value: Tensor) -> Tensor:
        """Return float32[B, H, W, width / H] of float32[B, W, width]."""
        return value.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def _bias(self, words: int) -> Tensor:
        """Return what the distance of two words adds to their logit, float32[H, W, W]."""
        positions = torch.arange(words, dtype=torch.int32, device=self.distances.device)
        distances = (positions[None, :] - positions[:, None]).clamp(-self.reach, self.reach) + self.reach
        return functional.embedding(distances, self.distances).permute(2, 0, 1)

    def _drop(self, value: Tensor) -> Tensor:
        return functional.dropout(value, self.dropout, self.training)
