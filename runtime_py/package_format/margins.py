"""Whether an answer is decided: no error within a bound could change any of its decisions.

The decoder takes the parse with the largest sum of logits. If every logit of that parse is lowered by the bound, and
every other logit raised by it, each other parse gains as much as it can on it, all at once: so a parse that is chosen
still would be chosen under any error within the bound.
"""

import numpy as np
from numpy.typing import NDArray

from runtime_py.decode.frame_search import Frames
from runtime_py.decode.labels import Labels
from runtime_py.decode.tags import TagScheme


class DecisionMargin:
    """Tells whether logits are decided, under the labels of a parser."""

    def __init__(self, labels: Labels) -> None:
        """Prepare the search for the best parse."""
        self._frames = Frames(TagScheme(labels.tags), labels.frames, labels.frame_counts)

    def is_decided(self, intent: NDArray[np.float32], tags: NDArray[np.float32], tolerance: float) -> bool:
        """Return whether no change of every logit by at most the tolerance changes a largest logit or the parse.

        Args:
            intent: Logits of the intents, float [intents].
            tags: Logits of the tags of each word, float [words, tags].
            tolerance: The bound.
        """
        if not smallest_gap(intent, tags) > 2 * tolerance:
            return False
        index, chosen = self._frames.decide(intent, tags)
        lower, upper = intent + np.float32(tolerance), tags + np.float32(tolerance)
        lower[index] = intent[index] - np.float32(tolerance)
        rows = np.arange(len(tags))
        upper[rows, chosen] = tags[rows, chosen] - np.float32(tolerance)
        return self._frames.decide(lower, upper) == (index, chosen)


def smallest_gap(intent: NDArray[np.float32], tags: NDArray[np.float32]) -> float:
    """Return the smallest difference of the best and the second best logit, over the intent and every word's tag.

    It is infinite where there is no choice.
    """
    gaps = [
        np.partition(part.astype(np.float64), part.shape[1] - 2, axis=1)[:, -2:]
        for part in (intent[None, :], tags)
        if part.size and part.shape[1] > 1
    ]
    return min((float((pair[:, 1] - pair[:, 0]).min()) for pair in gaps), default=float("inf"))
