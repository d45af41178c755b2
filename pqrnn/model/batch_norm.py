"""Batch normalisation over the words of a batch, not over its padding, and its disappearance at export."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pqrnn.distributed import all_reduce


class MaskedBatchNorm(nn.Module):
    """Batch norm (Ioffe and Szegedy 2015) over the positions of a mask.

    The variance is E[(x - mean)^2] over the words that exist, and the running statistics follow the usual convention
    `old * (1 - momentum) + new * momentum`: pQRNN's open code differs in both, by mistake. Processes that learn
    together share the statistics of their whole batch, so that the result does not depend on how many there are.
    """

    def __init__(self, width: int, momentum: float = 0.1, epsilon: float = 1e-5) -> None:
        """`width`: channels, the last dimension."""
        super().__init__()
        self.momentum, self.epsilon = momentum, epsilon
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.mean: Tensor
        self.variance: Tensor
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("variance", torch.ones(width))

    def forward(self, value: Tensor, mask: Tensor) -> Tensor:
        """Normalise float32[..., width] with a float32[..., 1] mask of ones and zeros."""
        if self.training:
            dims = tuple(range(value.ndim - 1))
            total = all_reduce(mask.sum()).clamp(min=1.0)
            mean = all_reduce((value * mask).sum(dims)) / total
            centred = value - mean
            variance = all_reduce((centred.square() * mask).sum(dims)) / total
            self.follow(mean, variance)
            return centred * (variance + self.epsilon).rsqrt() * self.weight + self.bias
        scale, shift = self.affine()
        return value * scale + shift

    @torch.no_grad()
    def follow(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics, float32[width] each, towards those of a batch."""
        self.mean.lerp_(mean, self.momentum)
        self.variance.lerp_(variance, self.momentum)

    def affine(self) -> tuple[Tensor, Tensor]:
        """Return the scale and shift, float32[width] each, that evaluation applies."""
        scale = self.weight * (self.variance + self.epsilon).rsqrt()
        return scale, self.bias - self.mean * scale


def fold_into_linear(linear: nn.Linear, scale: Tensor, shift: Tensor) -> nn.Linear:
    """Return the linear layer that equals `linear` followed by `* scale + shift`."""
    folded = nn.Linear(linear.in_features, linear.out_features, device=linear.weight.device, dtype=linear.weight.dtype)
    with torch.no_grad():
        bias = linear.bias if linear.bias is not None else torch.zeros_like(shift)
        folded.weight.copy_(linear.weight * scale[:, None])
        folded.bias.copy_(bias * scale + shift)
    return folded
