"""The numbers that a compiled program gives for a text."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray


class Logits(NamedTuple):
    """The output of the compiled program for one text, before any decision.

    Those that a parser returns own their memory: no later call touches them.

    Attributes:
        intent: Logits of the intents, float32 [intents].
        tags: Logits of the tags, float32 [words, tags].
        spans: Start and end byte of each word in the UTF-8 text, int32 [words, 2].
        truncated: Whether the end of the text was left out.
        bucket: Length of the bucket that ran, in words.
    """

    intent: NDArray[np.float32]
    tags: NDArray[np.float32]
    spans: NDArray[np.int32]
    truncated: bool
    bucket: int

    def copied(self) -> Self:
        """Return the same numbers in memory of their own."""
        intent, tags, spans, truncated, bucket = self
        return type(self)(intent.copy(), tags.copy(), spans.copy(), truncated, bucket)
