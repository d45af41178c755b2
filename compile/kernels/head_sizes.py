"""The shape of a head: which products it has, how large they are, and where their constants lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compile.kernels.families import InstructionFamily

PRODUCTS = ("pool", "intent", "tags", "pooled", "neighbours")
DEPTH_STEP = 16  # tags that are inputs are filled up to a multiple of this


@dataclass(frozen=True, slots=True)
class HeadSizes:
    """Shape of a head.

    Attributes:
        texts: Number of texts.
        words: Number of word rows of each text.
        width: Number of channels of the last layer.
        intents: Number of intent labels.
        tags: Number of tag labels.
        peaks: Whether the intent sees the largest state of every channel, besides the weighted mean.
        rounds: Number of rounds of refinement.
    """

    texts: int
    words: int
    width: int
    intents: int
    tags: int
    peaks: bool
    rounds: int

    @property
    def seen(self) -> int:
        """Number of inputs of the intent."""
        return (1 + self.peaks) * self.width

    def products(self, lanes: int, float32: bool = False) -> dict[str, tuple[int, int]]:
        """Return the depth and the number of columns of every product.

        The columns of the neighbours are those of both sides, one after the other, each filled up to whole blocks.
        """
        sides = 2 * round_up(self.tags, lanes)
        shares = self.tags if float32 else round_up(self.tags, DEPTH_STEP)
        sizes = (
            (self.width, 1),
            (self.seen, self.intents),
            (self.width, self.tags),
            (self.width, self.tags),
            (shares, sides),
        )
        return dict(zip(PRODUCTS, sizes, strict=True))

    def spans(self, lanes: int, float32: bool = False) -> dict[str, slice]:
        """Return where the offsets, scales and biases of every product lie in the tensors that hold those of all."""
        spans, stop = {}, 0
        for name, (_, columns) in self.products(lanes, float32).items():
            spans[name] = slice(stop, stop + round_up(columns, lanes))
            stop = spans[name].stop
        return spans

    def fits(self, lanes: int) -> bool:
        """Say whether there is a kernel: blocks of channels must not be torn apart."""
        return self.width % lanes == 0 and self.rounds > 0 and self.words > 1


def read_sizes(
    states: Sequence[int], intent: Sequence[int], family: InstructionFamily, numbers: Sequence[int]
) -> HeadSizes:
    """Return the sizes of a head from the shapes of its inputs.

    Args:
        states: Shape of the last layer's outputs, [texts * words, width].
        intent: Shape of the intent's packed weights.
        family: Instruction family that the intent's weights are packed for.
        numbers: Words of a text, intent labels, tag labels, rounds of refinement.
    """
    (rows, width), (words, intents, tags, rounds) = states, numbers
    return HeadSizes(rows // words, words, width, intents, tags, intent[1] * family.run >= 2 * width, rounds)


def round_up(size: int, step: int) -> int:
    """Return the smallest multiple of `step` that is at least `size`."""
    return -(-size // step) * step
