"""A QRNN layer as training on a processor computes it: without padding, and with few passes over little memory.

What a layer does is written in `pqrnn.model.qrnn.QrnnLayer`; the same is done here to a batch whose words lie one after
another, all first words, then all second words and so on, so that a step of the recurrence is one block. A layer is one
function with its gradient written out, which keeps only what that needs: automatic differentiation would keep every
value between, and fetching memory for them takes longer than all the arithmetic.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

_LEVELS = 1 << 16  # random numbers of 16 bits, four from each draw


class Packing(NamedTuple):
    """Where the words of a batch lie when padding is left out.

    Attributes:
        positions: Index of each word among the B * T positions of the batch, int64[N].
        numbers: Index of the word of each step and text, int64[T, B], N where there is none; the longest text is first.
        counts: How many texts have a word at each step.
    """

    positions: Tensor
    numbers: Tensor
    counts: list[int]

    def find(self, reach: int) -> Tensor:
        """Return the index of the word `reach` words after each word (before it, if negative), int64[N].

        Where there is none, the index is N.
        """
        missing = len(self.positions)
        moved = functional.pad(self.numbers, (0, 0, max(-reach, 0), max(reach, 0)), value=missing)
        return moved[max(reach, 0) : max(reach, 0) + len(self.numbers)][self.numbers < missing]


def pack_words(mask: Tensor) -> Packing:
    """Return the packing of a batch, at least one word long.

    Args:
        mask: [B, T, 1], one for the words of each text, which come first, and zero after them.
    """
    batch, words = mask.shape[:2]
    inside = mask[..., 0] > 0
    order = torch.argsort(inside.sum(1), descending=True, stable=True)
    counts = inside.sum(0)
    steps = inside[order].t()
    numbers = torch.full((words, batch), int(counts.sum()))
    numbers[steps] = torch.arange(int(counts.sum()))
    positions = (order * words + torch.arange(words)[:, None])[steps]
    return Packing(positions, numbers, [count for count in counts.tolist() if count])


def run_layer(
    rows: Tensor, weight: Tensor, scale: Tensor, shift: Tensor, packing: Packing, *, epsilon: float, zoneout: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the outputs of a layer, and the mean and variance of its gates before the norm.

    Args:
        rows: The words, float32[N, width].
        weight: The three gates for each direction and tap, float32[2, taps, 3 * state, width].
        scale: Scale of the batch norm, float32[2 * 3 * state].
        shift: Bias of the batch norm and of the gates, float32[2 * 3 * state].
        packing: Packing of the batch.
        epsilon: Epsilon of the batch norm.
        zoneout: Share of states kept unchanged.

    Returns:
        Outputs float32[N, 2 * state], mean and variance float32[2 * 3 * state] each.
    """
    out, mean, variance = _Layer.apply(rows, weight, scale, shift, packing, epsilon, zoneout)
    return out, mean, variance


class _Layer(torch.autograd.Function):
    @staticmethod
    def forward(
        context: Any,
        rows: Tensor,
        weight: Tensor,
        scale: Tensor,
        shift: Tensor,
        packing: Packing,
        epsilon: float,
        zoneout: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        taps, gates = weight.shape[1:3]
        state = gates // 3
        # The products may be of lower precision (autocast); what follows them never is.
        kind = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else rows.dtype
        out, kept, means, deviations = rows.new_empty((len(rows), 2 * state)), [], [], []
        with torch.autocast("cpu", enabled=False):
            short = rows.to(kind)
            for reverse in (False, True):
                seen = _gather(short, [packing.find(reach if reverse else -reach) for reach in range(taps)])
                matrix = weight[int(reverse)].transpose(0, 1).to(kind).flatten(1)
                product = torch.mm(seen, matrix.t()).to(rows.dtype)
                own = slice(reverse * gates, (reverse + 1) * gates)
                values, mean, deviation = torch.native_batch_norm(
                    product, scale[own], shift[own], None, None, True, 0.0, epsilon
                )
                candidate, forget, output = values.split(state, 1)
                candidate.tanh_()
                values[:, state:].sigmoid_()
                if zoneout:
                    torch.maximum(forget, _draw(forget, zoneout), out=forget)
                states = torch.addcmul(candidate, candidate, forget, value=-1.0)
                for now, last in _steps(packing.counts, reverse):
                    states[now].addcmul_(forget[now], states[last])
                torch.mul(output, states, out=out[:, reverse * state : (reverse + 1) * state])
                kept += [seen, matrix, product, mean, deviation, values, states]
                means.append(mean)
                deviations.append(deviation)
        context.save_for_backward(scale, *kept)
        context.packing, context.epsilon, context.taps = packing, epsilon, taps
        mean, variance = torch.cat(means), torch.cat(deviations).square_().reciprocal_().sub_(epsilon).clamp_(min=0.0)
        context.mark_non_differentiable(mean, variance)
        return out, mean, variance

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        scale, *kept = context.saved_tensors
        packing, taps = context.packing, context.taps
        gates, width = len(scale) // 2, kept[0].shape[1] // taps
        for_rows = scale.new_zeros((len(packing.positions), width))
        for_weight = scale.new_empty((2, taps, gates, width))
        for_scale, for_shift = torch.empty_like(scale), torch.empty_like(scale)
        for reverse, gradient in zip((False, True), gradients[0].chunk(2, 1), strict=True):
            seen, matrix, product, mean, deviation, values, states = kept[7 * reverse : 7 * reverse + 7]
            candidate, forget, output = values.chunk(3, 1)
            result = torch.empty_like(values)
            for_candidate, for_forget, for_output = result.chunk(3, 1)
            torch.ops.aten.sigmoid_backward(gradient * states, output, grad_input=for_output)
            flow = gradient * output  # dL/dc_t, with what comes from the next steps
            change = candidate.neg()  # c_(t-1) - z_t
            for now, last in reversed(_steps(packing.counts, reverse)):
                change[now].add_(states[last])
                flow[last].addcmul_(forget[now], flow[now])
            torch.ops.aten.sigmoid_backward(change.mul_(flow), forget, grad_input=for_forget)
            torch.ops.aten.tanh_backward(flow.addcmul_(flow, forget, value=-1.0), candidate, grad_input=for_candidate)
            own = slice(reverse * gates, (reverse + 1) * gates)
            result, for_scale[own], for_shift[own] = torch.ops.aten.native_batch_norm_backward(
                result, product, scale[own], None, None, mean, deviation, True, context.epsilon, [True, True, True]
            )
            result = result.to(matrix.dtype)
            for_weight[int(reverse)].transpose(0, 1).copy_(torch.mm(result.t(), seen).unflatten(1, (taps, width)))
            for reach, part in enumerate(torch.mm(result, matrix).split(width, 1)):
                for_rows += part if reach == 0 else _gather(part, [packing.find(-reach if reverse else reach)])
        return for_rows, for_weight, for_scale, for_shift, None, None, None


def _gather(rows: Tensor, numbers: list[Tensor]) -> Tensor:
    """Return the rows of each list of indices beside each other, zeros for the index N.

    Rows [N, width] and lists of [N] become [N, lists * width].
    """
    padded = functional.pad(rows, (0, 0, 0, 1))
    return padded.index_select(0, torch.stack(numbers, 1).flatten()).reshape(len(rows), -1)


def _draw(like: Tensor, share: float) -> Tensor:
    """Return ones with this probability, to a 65536th, and zeros, of the shape and type of `like`.

    This is far quicker than a draw for each.
    """
    bits = torch.empty(-(-like.numel() // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
    return (bits[: like.numel()].view(like.shape) <= max(round(share * _LEVELS), 1) - 1 - _LEVELS // 2).to(like.dtype)


def _steps(counts: list[int], reverse: bool) -> list[tuple[slice, slice]]:
    """Return the steps of the recurrence in order: the block of words, and that of the words before them."""
    starts = [sum(counts[:step]) for step in range(len(counts))]
    pairs = [
        (slice(starts[step - 1], starts[step - 1] + counts[step]), slice(starts[step], starts[step] + counts[step]))
        for step in range(1, len(counts))
    ]
    return pairs[::-1] if reverse else [(now, last) for last, now in pairs]
