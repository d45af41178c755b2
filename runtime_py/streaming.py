"""What is certain while somebody still speaks: which intents can still win, given the beginning of a text."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime_py.decode.decoder import softmax

if TYPE_CHECKING:
    from runtime_py.parser import Parser

# Between what is chosen on the development data of MTOP English and of Home Assistant's German sentences, such that a
# settled intent is as rarely wrong as that of the whole text (`python -m benchmarks.streaming`).
MARGIN = 5.0
HOLD = 4


@dataclass(frozen=True, slots=True)
class Partial:
    """What the beginning of a text says.

    Attributes:
        text: The beginning.
        candidates: Intents that can still win, the likeliest first.
        scores: Their probabilities, were this the whole text.
        settled: Whether the likeliest one is taken to have won.
    """

    text: str
    candidates: tuple[str, ...]
    scores: tuple[float, ...]
    settled: bool

    @property
    def intent(self) -> str:
        """The likeliest intent."""
        return self.candidates[0]

    def to_dict(self) -> dict[str, Any]:
        """Return plain types, ready for JSON."""
        candidates = [
            {"intent": intent, "score": score} for intent, score in zip(self.candidates, self.scores, strict=True)
        ]
        return {"text": self.text, "settled": self.settled, "candidates": candidates}


def read_partial(parser: "Parser", text: str, margin: float = MARGIN, hold: int = HOLD) -> Partial:
    """Return which intents can still win, given the beginning of a text.

    Ask again with each text that a recogniser of speech has so far: nothing is remembered in between. It is a rule, not
    a promise: an intent can still win that is near enough to the likeliest one, or was the likeliest one after one of
    the last words; it has won when none else can, and so many words were said. How often that is wrong depends on the
    parser, and is measured by `benchmarks.streaming`. A call costs `hold` calls of the parser.

    Args:
        parser: The parser.
        text: The beginning.
        margin: How far, in logits, an intent may lie behind the likeliest one and still win.
        hold: For how many words an intent has to have been the likeliest one before it has won.

    Raises:
        InputTooLongError: The text does not fit, and the parser's policy is to refuse such texts.
        ParserClosedError: The parser was closed.
        ValueError: The margin is negative, or `hold` is less than 1.
    """
    if not margin >= 0 or hold < 1:
        raise ValueError(f"margin is {margin} and hold {hold}, expected at least 0 and 1")
    logits = parser.logits(text).intent
    words = text.split()
    earlier = (" ".join(words[:end]) for end in range(max(1, len(words) - hold + 1), len(words)))
    leaders = {int(np.argmax(parser.logits(each).intent)) for each in earlier}
    names = parser.manifest.labels.intents
    scores = softmax(logits)
    order = np.argsort(-logits, kind="stable").tolist()
    least = float(logits[order[0]]) - margin
    kept = [index for index in order if not words or float(logits[index]) >= least or index in leaders]
    chosen = tuple(names[index] for index in kept)
    return Partial(text, chosen, tuple(float(scores[index]) for index in kept), len(kept) == 1 and len(words) >= hold)
