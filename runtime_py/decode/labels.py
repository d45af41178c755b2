"""The names of a parser's outputs, as checkpoints, logit stores and package manifests hold them."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from runtime_py.decode.calibration import Calibration
from runtime_py.decode.decoder import Decoder
from runtime_py.decode.frame_search import LONGEST
from runtime_py.decode.frame_weights import FrameWeights

MOST_INTENTS, MOST_TAGS = 16_384, 2048
Count = Annotated[int, Meta(ge=0, le=(1 << 53) - 1)]  # what JSON readers agree on
Name = Annotated[str, Meta(min_length=1, max_length=4096)]
FrameCount = Annotated[tuple[Count, ...], Meta(min_length=1, max_length=1 + LONGEST)]


class Labels(Struct, frozen=True, forbid_unknown_fields=True):
    """The names behind the logits, and which slots were seen with which intent.

    Slots are given as indices into the sorted list of all slot labels (`runtime_py.decode.tags.TagScheme.slots`).

    Attributes:
        intents: Names of the intents, in the order of the intent logits.
        tags: Tags of words in the order of the tag logits: ``O``, then ``B-label``, ``I-label``, and ``B2-label`` for
            a slot that begins two code points before the end of a word.
        frames: For each intent, the slots that it was seen with. Empty if every slot goes with every intent, as in
            packages before schema 1.3.
        frame_counts: For each intent, how often it was seen with which slots in training, as lists of
            ``[times, slot, slot, ...]``. Empty if parses are not weighed by that, as in packages before schema 1.4.
        frame_weights: How much frames and counts weigh. Missing in packages before schema 1.5.
    """

    intents: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=MOST_INTENTS)]
    tags: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=MOST_TAGS)]
    frames: tuple[tuple[Count, ...], ...] = ()
    frame_counts: tuple[tuple[FrameCount, ...], ...] = ()
    frame_weights: FrameWeights | UnsetType = UNSET

    def outputs(self) -> Labels:
        """Return the names alone: networks whose names are equal can replace each other."""
        return Labels(self.intents, self.tags)

    def decoder(self, calibration: Calibration | None = None) -> Decoder:
        """Return the decoder that turns logits into a parse, with scores that are probabilities by a calibration."""
        return Decoder(self.intents, self.tags, self.frames, self.frame_counts, self.frame_weights or None, calibration)
