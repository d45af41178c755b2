"""Gold labels and parses as frames that `pqrnn.evaluation.metrics` compares. No PyTorch: a board scores, too."""

from __future__ import annotations

from pqrnn.data.alignment import normalise_slots
from pqrnn.data.examples import Example
from pqrnn.evaluation.metrics import Frame
from runtime_py.parity.metrics import frame_of_parse

__all__ = ["frame_of_example", "frame_of_parse"]


def frame_of_example(example: Example) -> Frame:
    """Return what the gold labels say, white space at slot edges left out."""
    return example.intent, tuple(
        sorted((slot.label, slot.start, slot.end) for slot in normalise_slots(example.text, example.slots))
    )
