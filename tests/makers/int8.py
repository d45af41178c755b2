"""The small parser of `makers.small` in 8 bits."""

from __future__ import annotations

from makers.small import TEXTS, make_model
from pqrnn.data.examples import Example
from pqrnn.model.parser import ParserModel
from pqrnn.model.qat import QuantizedLinear
from pqrnn.quantization import prepare_qat


def make_int8(seed: int) -> ParserModel:
    """A parser in 8 bits as training has it; `folded()` of it runs in integers."""
    return prepare_qat(make_model(seed), [Example(text, "") for text in TEXTS]).eval()


def make_four_bits(seed: int) -> ParserModel:
    """The same with weights of 4 bits, but for the pooling's scores, which keep 8."""
    model = make_int8(seed)
    for name, module in model.named_modules():
        if isinstance(module, QuantizedLinear) and name != "pool":
            module.bits = 4
    return model
