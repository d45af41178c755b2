"""The bidirectional QRNN layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from pqrnn.distributed import world_size
from pqrnn.model.batch_norm import MaskedBatchNorm
from pqrnn.model.fused_qrnn import pack_words, run_layer
from pqrnn.model.int8 import ActivationRange
from pqrnn.model.linear import make_linear
from pqrnn.model.qat import shorten
from pqrnn.model.recurrence import recur_by_loop, recur_by_scan
from pqrnn.recipes.settings import ModelConfig


def widen(value: Tensor) -> Tensor:
    """Return bfloat16 and float16 as float32, anything else as it is."""
    return value.float() if value.dtype in (torch.bfloat16, torch.float16) else value


class QrnnLayer(nn.Module):
    """One bidirectional QRNN layer with fo-pooling; all taps, gates and directions in one matrix product.

    With kernel k and state s the product has 2 * k * 3 * s columns, ordered by direction, tap, gate (candidate z,
    forget f, output o).
    """

    def __init__(self, width: int, config: ModelConfig, depth: int) -> None:
        """`width`: of the input; `depth`: number of the layer, from 1."""
        super().__init__()
        self.state, self.kernel, self.zoneout = config.state, config.kernel, config.zoneout**depth
        gates = 3 * config.state
        kind = ActivationRange.POSITIVE if depth == 1 else ActivationRange.SIGNED
        self.product = make_linear(config, width, 2 * config.kernel * gates, kind, bias=False, taps=config.kernel)
        bound = (6.0 / (config.kernel * width + config.state)) ** 0.5
        nn.init.uniform_(self.product.weight, -bound, bound)
        self.norm = MaskedBatchNorm(2 * gates) if config.norm == "batch" else None
        self.bias = nn.Parameter(torch.zeros(2 * gates))
        self.short_bias = config.precision == "int8"

    def forward(self, value: Tensor, mask: Tensor, *, scan: bool) -> Tensor:
        """Encode words float32[B, T, width] into float32[B, T, 2 * state].

        Both are zero where `mask`, float32[B, T, 1], is zero.
        """
        if self._can_fuse(value, mask):
            return self._forward_fused(value, mask)
        words = value.shape[1]
        # In training the product may be of lower precision (autocast); what follows it never is.
        taps = widen(self.product(value)).chunk(2 * self.kernel, -1)
        forward, backward = taps[0], taps[self.kernel]
        for reach in range(1, min(self.kernel, words)):
            forward = forward + functional.pad(taps[reach][:, :-reach], (0, 0, reach, 0))
            backward = backward + functional.pad(taps[self.kernel + reach][:, reach:], (0, 0, 0, reach))
        gates = torch.cat([forward, backward], -1)
        if self.norm is not None:
            gates = self.norm(gates, mask)
        gates = gates + (shorten(self.bias) if self.short_bias else self.bias)
        recur = recur_by_scan if scan else recur_by_loop
        outs = []
        for number, half in enumerate(gates.chunk(2, -1)):
            candidate, forget, output = half.chunk(3, -1)
            forget = torch.sigmoid(forget)
            if self.training and self.zoneout:
                forget = torch.maximum(forget, torch.bernoulli(torch.full_like(forget, self.zoneout)))
            update = (1.0 - forget) * torch.tanh(candidate) * mask
            outs.append(torch.sigmoid(output) * recur(forget, update, reverse=number == 1))
        return torch.cat(outs, -1) * mask

    def _can_fuse(self, value: Tensor, mask: Tensor) -> bool:
        """Say whether `_forward_fused` can compute this batch.

        It can in training on one processor, in floating point and with a norm, whose statistics no other process
        shares.
        """
        trained = self.norm is not None and self.norm.training and self.training
        return (
            trained
            and type(self.product) is nn.Linear
            and value.device.type == "cpu"
            and world_size() == 1
            and bool(mask.any())
        )

    def _forward_fused(self, value: Tensor, mask: Tensor) -> Tensor:
        """Do what `forward` does, in less time (`pqrnn.model.fused_qrnn`)."""
        assert self.norm is not None
        packing = pack_words(mask)
        rows = value.flatten(0, 1)[packing.positions]
        weight = self.product.weight.unflatten(0, (2, self.kernel, -1))
        out, mean, variance = run_layer(
            rows,
            weight,
            self.norm.weight,
            self.norm.bias + self.bias,
            packing,
            epsilon=self.norm.epsilon,
            zoneout=self.zoneout,
        )
        self.norm.follow(mean, variance)
        result = value.new_zeros((mask.numel(), 2 * self.state))
        return result.index_copy(0, packing.positions, out).unflatten(0, mask.shape[:2])

    def fold(self) -> None:
        """Work the norm's statistics into the product and the bias, and turn what has 8 bits into integers."""
        with torch.no_grad():
            if self.norm is not None:
                scale, shift = self.norm.affine()
                columns = scale.reshape(2, 1, -1).expand(-1, self.kernel, -1).reshape(-1, 1)
                self.product.weight.mul_(columns)
                self.bias.add_(shift)
                self.norm = None
            if self.short_bias:
                self.bias.copy_(shorten(self.bias))
                self.short_bias = False
