"""Embeddings of subwords in 8 bits: a scale for every subword."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_LEVELS = 127


class IntegerEmbedding(nn.Module):
    """A look-up of integers, which become float32 when they are read: integers [...] to float32[..., d].

    Attributes:
        weight: Embeddings in steps, int8[V, d], -127 to 127.
        scale: Step of every subword, float32[V, 1].
    """

    weight: Tensor
    scale: Tensor

    def __init__(self, entries: int, width: int) -> None:
        """Make embeddings that are zero until they are loaded or set."""
        super().__init__()
        self.register_buffer("weight", torch.zeros((entries, width), dtype=torch.int8))
        self.register_buffer("scale", torch.ones((entries, 1)))

    @classmethod
    def rounded(cls, weight: Tensor) -> IntegerEmbedding:
        """Return embeddings, float32[V, d], rounded to the nearest steps; the largest of a subword is 127 steps."""
        made = cls(*weight.shape)
        scale = weight.detach().abs().amax(1, keepdim=True) / _LEVELS
        made.scale.copy_(torch.where(scale > 0.0, scale, torch.ones_like(scale)))
        made.weight.copy_(torch.floor(weight.detach() / made.scale + 0.5).clamp(-_LEVELS, _LEVELS))
        return made

    def forward(self, indices: Tensor) -> Tensor:
        """Return the embeddings of subwords."""
        rows = functional.embedding(indices, self.weight).to(self.scale.dtype)
        return rows * functional.embedding(indices, self.scale)
