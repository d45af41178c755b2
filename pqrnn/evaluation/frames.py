"""Gold labels and parses as frames that `pqrnn.evaluation.metrics` compares. No PyTorch: a board scores, too."""

from __future__ import annotations

from pqrnn.data.alignment import normalise_slots
from pqrnn.data.examples import Example
from pqrnn.evaluation.metrics import Frame
from runtime_py.decode.decoder import Parse


def frame_of_parse(parse: Parse) -> Frame:
    """Return what a parse says."""
    return parse.intent, tuple(sorted((slot.label, slot.start, slot.end) for slot in parse.slots))


def frame_of_example(example: Example) -> Frame:
    """Return what the gold labels say, white space at slot edges left out."""
    return example.intent, tuple(
        sorted((slot.label, slot.start, slot.end) for slot in normalise_slots(example.text, example.slots))
    )
