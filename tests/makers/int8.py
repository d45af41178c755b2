"""The small parser of `makers.small` in 8 bits."""

from __future__ import annotations

from makers.small import TEXTS, make_model
from pqrnn.data.examples import Example
from pqrnn.model.parser import ParserModel
from pqrnn.quantization import prepare_qat


def make_int8(seed: int) -> ParserModel:
    """A parser in 8 bits as training has it; `folded()` of it runs in integers."""
    return prepare_qat(make_model(seed), [Example(text, "") for text in TEXTS]).eval()
